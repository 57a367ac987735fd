"""Who makes the segments: this process, several on this machine. What is made is the same."""

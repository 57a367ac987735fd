"""Reading video files and pictures: what is in them, and their frames as clips."""

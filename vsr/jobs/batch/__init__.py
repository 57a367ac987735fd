"""Many files in one run: found, named, gone through, and noted in a log."""

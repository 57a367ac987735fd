"""What a run, a batch or a library would take, measured on a few frames before it begins."""

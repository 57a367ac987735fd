"""One file from plan to verified target: segments, a journal, and the run that joins them."""

"""One video from its plan to a verified target: segments, a journal, and the run that joins
them."""

"""Training data: pictures and frame sequences, and the batches that are made of them."""

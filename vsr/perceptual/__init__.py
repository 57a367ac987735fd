"""Networks that judge how alike two pictures look, for training and for measuring."""

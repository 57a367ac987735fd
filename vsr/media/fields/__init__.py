"""Fields: which of them belong to one moment, found over a whole video, and frames made of them."""

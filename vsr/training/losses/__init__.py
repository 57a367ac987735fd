"""What a network is asked to make small: pixels, features, and what an adversary notices."""

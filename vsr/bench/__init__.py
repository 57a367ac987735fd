"""Measure speed: of a network, of the whole pipeline, and of other ways to the same result."""

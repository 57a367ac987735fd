"""Needs the extra ``vsr[models]``: `make models` runs these in an environment of their own."""

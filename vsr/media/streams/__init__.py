"""Joining segments, and carrying every other stream of the source across."""

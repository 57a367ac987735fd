"""Faults of disks, injected: a library that is preloaded, and the sweep over all calls."""

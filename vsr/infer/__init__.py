"""Tiles, devices and the engine: tensors in, tensors out. No files."""

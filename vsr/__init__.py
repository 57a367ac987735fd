"""vsr: upscale a video four times; only the pixels change on the way."""

__version__ = "0.1.0"

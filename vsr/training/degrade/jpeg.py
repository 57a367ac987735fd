"""JPEG: pictures that were stored as such, and what MJPEG cameras make."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from vsr.errors import DataError
from vsr.training.degrade.base import Frames, happens


@dataclass(frozen=True, slots=True)
class Jpeg:
    """Encoded and decoded in memory at a random quality (libjpeg's 1..100) from ``worst`` up."""

    chance: float = 0.15
    worst: int = 40
    best: int = 95
    frames: int = 1
    margin: int = 8

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """One quality for every frame."""
        if not happens(self.chance, rng):
            return frames
        quality = int(rng.integers(self.worst, self.best + 1))
        return np.stack([through(frame, quality) for frame in frames])


def through(frame: Frames, quality: int) -> Frames:
    """One (h, w, 3) picture, stored and read."""
    stored, data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not stored:
        raise DataError(f"OpenCV could not store a picture of {frame.shape[:2]} as JPEG")
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), dtype=np.uint8)

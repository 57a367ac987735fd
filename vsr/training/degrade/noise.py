"""Noise of a sensor or of film: Gaussian, more in bright places or evenly, coloured or gray."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from vsr.training.degrade.base import Frames, happens


@dataclass(frozen=True, slots=True)
class Noise:
    """Additive noise with a standard deviation up to ``most`` code values.

    ``gray`` is the share of draws with one value for all three channels, ``shot`` the share whose
    variance grows with brightness (photons), ``grain`` the share that is blurred as film grain is.
    """

    chance: float = 0.4
    most: float = 8.0
    gray: float = 0.5
    shot: float = 0.5
    grain: float = 0.3
    frames: int = 1
    margin: int = 0

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """Fresh noise on every frame, of one kind and strength."""
        if not happens(self.chance, rng):
            return frames
        sigma = rng.uniform(0.5, self.most)
        channels = 1 if happens(self.gray, rng) else 3
        noise = rng.standard_normal((*frames.shape[:3], channels), dtype=np.float32)
        if happens(self.grain, rng):
            # Blurred noise is weaker: 1.75 brings a sigma of 0.5 px back to unit variance.
            for frame in noise:
                cv2.GaussianBlur(frame, (3, 3), 0.5, frame)
            noise *= np.float32(1.75)
        pixels = frames.astype(np.float32)
        if happens(self.shot, rng):
            noise = noise * np.sqrt(pixels.mean(3, keepdims=True) / 127.5)
        return np.clip(np.rint(pixels + np.float32(sigma) * noise), 0, 255).astype(np.uint8)

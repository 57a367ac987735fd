"""What real footage has beside codecs and noise: sharpening that went too far, and woven fields."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from vsr.training.degrade.base import Frames, happens


@dataclass(frozen=True, slots=True)
class Oversharpen:
    """An unsharp mask as cameras and encoders apply it: halos around edges, and more noise.

    ``least`` to ``most`` is the share that is added of what a Gaussian of up to ``radius`` pixels
    takes away. It runs at the low size.
    """

    chance: float = 0.25
    least: float = 0.3
    most: float = 1.5
    radius: float = 1.5
    frames: int = 1
    margin: int = 4

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """The same on every frame."""
        if not happens(self.chance, rng):
            return frames
        share, sigma = rng.uniform(self.least, self.most), rng.uniform(0.5, self.radius)
        made = np.empty_like(frames)
        for source, target in zip(frames, made, strict=True):
            pixels = source.astype(np.float32)
            soft = np.asarray(
                cv2.GaussianBlur(pixels, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101),
                np.float32,
            )
            target[:] = np.clip(np.rint(pixels + np.float32(share) * (pixels - soft)), 0, 255)
        return made


@dataclass(frozen=True, slots=True)
class Interlaced:
    """What is left of interlacing: every second line is of the next moment, in part or whole.

    With a share of ``blended`` the two fields were averaged by a vertical filter, which leaves a
    ghost of what moves in place of the comb. The last frame has no next one, and stays.
    """

    chance: float = 0.08
    blended: float = 0.5
    frames: int = 2
    margin: int = 1

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """As many frames as came."""
        if len(frames) < 2 or not happens(self.chance, rng):
            return frames
        pixels = frames.astype(np.float32)
        woven = pixels.copy()
        line, share = int(rng.integers(2)), np.float32(rng.uniform(0.4, 1.0))
        here, there = pixels[:-1, line::2], pixels[1:, line::2]
        woven[:-1, line::2] = here + share * (there - here)
        if happens(self.blended, rng):
            lines = np.array([[1], [2], [1]], np.float32) / 4
            for frame in woven[:-1]:
                frame[:] = cv2.filter2D(frame, -1, lines, borderType=cv2.BORDER_REFLECT_101)
        return np.clip(np.rint(woven), 0, 255).astype(np.uint8)

"""Blur: lenses, focus, and resizes that filtered too much. A Gaussian, at any angle."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from vsr.training.degrade.base import Frames, happens
from vsr.training.degrade.kernels import Kernel, bell


@dataclass(frozen=True, slots=True)
class Blur:
    """A Gaussian whose two sigmas are drawn from ``least`` to ``most`` pixels, turned at random.

    It runs before the shrink, so in high-resolution pixels.
    """

    chance: float = 0.5
    least: float = 0.3
    most: float = 2.5
    frames: int = 1
    margin: int = 2

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """The same blur on every frame."""
        if not happens(self.chance, rng):
            return frames
        across, along = rng.uniform(self.least, self.most, size=2)
        kernel = gaussian(float(across), float(along), float(rng.uniform(0, np.pi)))
        blurred = [
            cv2.filter2D(frame, -1, kernel, borderType=cv2.BORDER_REFLECT_101) for frame in frames
        ]
        return np.stack(blurred).astype(np.uint8, copy=False)


def gaussian(across: float, along: float, angle: float) -> Kernel:
    """A normalised odd-sided kernel of two sigmas in pixels, turned by ``angle`` radians."""
    reach = max(1, round(3 * max(across, along)))
    return bell(2 * reach + 1, across, along, angle)

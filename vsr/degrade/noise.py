"""Noise of a sensor or of film, Gaussian, more in bright places or evenly; and specks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from vsr.degrade.base import Frames, happens


@dataclass(frozen=True, slots=True)
class Noise:
    """Additive noise of a random kind and strength."""

    chance: float = 0.4
    """Probability that it happens to a clip."""
    most: float = 8.0
    """Largest standard deviation, in code values; the least is 0.5."""
    gray: float = 0.5
    """Probability of one value for all three channels."""
    shot: float = 0.5
    """Probability that the variance grows with brightness, as of photons."""
    grain: float = 0.3
    """Probability that the noise is blurred as film grain is."""
    frames: int = 1
    """One is enough: each frame gets fresh noise."""
    margin: int = 0
    """None are wanted around a patch."""

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """Fresh noise on every frame, of one kind and strength."""
        if not happens(self.chance, rng):
            return frames
        sigma = rng.uniform(0.5, self.most)
        channels = 1 if happens(self.gray, rng) else 3
        noise = rng.standard_normal((*frames.shape[:3], channels), dtype=np.float32)
        if happens(self.grain, rng):
            kernel = cv2.getGaussianKernel(3, 0.5, cv2.CV_32F)
            for frame in noise:
                cv2.sepFilter2D(frame, -1, kernel, kernel, frame)
            # Blurred noise is weaker. Each direction leaves the sum of the squared weights of its
            # variance, so both together leave as much of its standard deviation.
            noise /= np.square(kernel).sum()
        pixels = frames.astype(np.float32)
        if happens(self.shot, rng):
            noise = noise * np.sqrt(pixels.mean(3, keepdims=True) / 127.5)
        return np.clip(np.rint(pixels + np.float32(sigma) * noise), 0, 255).astype(np.uint8)


Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare with ==
class Paint:
    """What is painted on a picture."""

    mask: Mask
    """(h, w): where."""
    colours: NDArray[np.uint8]
    """(h, w, 3) code values: what, where the mask is true."""
    ground: int | None
    """Code value that fills the picture first; ``None`` to paint on the picture as it is."""


@dataclass(frozen=True, slots=True)
class Specks:
    """Blocks of black, white and pure colours, scattered or as checks, at the same place in all
    frames, in a part of the picture.
    """

    chance: float = 0.04
    """Probability that it happens to a clip."""
    scale: int = 4
    """How many times the frames are shrunk afterwards: blocks mostly are of so many pixels a
    side."""
    frames: int = 1
    """One is enough: all frames get the same blocks."""
    margin: int = 0
    """None are wanted around a patch."""

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """Frames with such blocks, or the very ones that came."""
        paint = self.draw(frames.shape[1], frames.shape[2], rng)
        if paint is None:
            return frames
        ground = paint.ground
        frames = frames.copy() if ground is None else np.full_like(frames, np.uint8(ground))
        frames[:, paint.mask] = paint.colours[paint.mask]
        return frames

    def draw(self, height: int, width: int, rng: Generator) -> Paint | None:
        """What to paint on frames of that size, mostly nothing."""
        if not happens(self.chance, rng):
            return None
        cell = self.scale
        if not happens(0.7, rng):
            cell = int(rng.integers(1, 3 * cell))
        rows, columns = -(-height // cell), -(-width // cell)
        if happens(0.2, rng):
            where: Mask = np.indices((rows, columns)).sum(0) % 2 == 0
        else:
            where = rng.random((rows, columns)) < 10 ** rng.uniform(-2.5, -0.2)
        colours: Frames = rng.integers(0, 2, (rows, columns, 3), dtype=np.uint8) * np.uint8(255)
        if happens(0.4, rng):  # all of one colour
            colours[:] = colours[0, 0]
        elif happens(0.3, rng):  # black and white
            colours[:] = colours[..., :1]
        ground = 255 * happens(0.3, rng) if happens(0.5, rng) else None
        bottom, right = rng.integers(1, (rows + 1, columns + 1))
        where[bottom:], where[:, right:] = False, False
        mask: Mask = where.repeat(cell, 0).repeat(cell, 1)[:height, :width]
        painted = colours.repeat(cell, 0).repeat(cell, 1)[:height, :width]
        return Paint(mask, painted, ground)

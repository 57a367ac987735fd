"""Colours at the end of every scale: lights, confetti, dither, cut-outs. Painted on originals.

Photographs hold few of them, and a network that never saw one answers it with anything: a chain of
layers once made 64,000 of a pixel of pure red on black. It runs before the shrink, on what is to be
learnt, so that the target is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from vsr.training.degrade.base import Frames, happens

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare with ==
class Paint:
    """What is painted: ``colours`` (h, w, 3) where ``mask`` (h, w), on the picture or a ground."""

    mask: Mask
    colours: NDArray[np.uint8]
    ground: int | None


@dataclass(frozen=True, slots=True)
class Specks:
    """Blocks of black, white and pure colours, scattered or as checks, at the same place in all
    frames, in a part of the picture. ``scale`` is the shrink that follows."""

    chance: float = 0.04
    scale: int = 4
    frames: int = 1
    margin: int = 0

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

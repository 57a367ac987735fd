"""Losses between frames: what changes and the motion does not explain, beside the original's."""

from __future__ import annotations

from torch import Tensor

from vsr.models.recurrent import warped
from vsr.training.losses.pixel import charbonnier


def flicker(made: Tensor, real: Tensor, motion: Tensor) -> Tensor:
    """How far warped differences are from those of the originals; a scalar.

    (n, t, 3, h, w) frames; ``motion``, (n, t, 2, h, w) in their pixels, leads from each frame to
    the one before. Where the motion fails, both fail alike, and where the original changes (a light
    that flashes), so may what is made. One frame flickers not at all.
    """
    if made.shape[1] < 2:
        return (made * 0).sum()
    return charbonnier(_unexplained(made, motion), _unexplained(real, motion))


def _unexplained(frames: Tensor, motion: Tensor) -> Tensor:
    before = warped(frames[:, :-1].flatten(0, 1), motion[:, 1:].flatten(0, 1))
    return frames[:, 1:].flatten(0, 1) - before

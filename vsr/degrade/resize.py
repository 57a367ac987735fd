"""Shrinking: the antialiased bicubic that the networks are to undo, and chains of resizes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch.nn import functional

from vsr.degrade.base import Frames, happens

_KERNELS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def bicubic(frames: Frames, height: int, width: int) -> Frames:
    """Antialiased bicubic, Keys' a = -1/2, as MATLAB's ``imresize`` and Pillow shrink."""
    # A picture of the cache may not be written to, and torch has no such tensors.
    owned = np.require(frames, requirements=("C", "W"))
    pixels = torch.from_numpy(owned).permute(0, 3, 1, 2)
    resized = functional.interpolate(pixels, size=(height, width), mode="bicubic", antialias=True)
    return np.ascontiguousarray(resized.permute(0, 2, 3, 1).numpy())


@dataclass(frozen=True, slots=True)
class Shrink:
    """To 1 / ``scale`` of the size, by antialiased bicubic, or in two steps."""

    scale: int = 4
    """How many times smaller each side becomes."""
    detour: float = 0.0
    """Probability of two steps: the first ends at a random size up to twice the last, by a random
    kernel, as in pictures that were resized before."""
    frames: int = 1
    """One is enough: frames are resized each by itself."""
    margin: int = 0
    """None are wanted around a patch."""

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """(t, h, w, 3) to (t, h / scale, w / scale, 3)."""
        height, width = frames.shape[1] // self.scale, frames.shape[2] // self.scale
        if happens(self.detour, rng):
            factor = rng.uniform(1.0, 2.0)
            kernel = _any_kernel(rng)
            frames = _resized(frames, round(height * factor), round(width * factor), kernel)
        return bicubic(frames, height, width)


@dataclass(frozen=True, slots=True)
class Rescale:
    """To another size and back: a film that was stored smaller or larger than it is shown."""

    chance: float = 0.3
    """Probability that it happens to a clip."""
    least: float = 0.6
    """Smallest factor of the size in between."""
    most: float = 1.5
    """Largest factor of the size in between."""
    frames: int = 1
    """One is enough: frames are resized each by itself."""
    margin: int = 4
    """Low-resolution pixels around a patch that the two kernels look at."""

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """The size stays."""
        if not happens(self.chance, rng):
            return frames
        height, width = frames.shape[1:3]
        factor = rng.uniform(self.least, self.most)
        there, back = _any_kernel(rng), _any_kernel(rng)
        small = _resized(frames, round(height * factor), round(width * factor), there)
        return _resized(small, height, width, back)


def _any_kernel(rng: Generator) -> int:
    return _KERNELS[int(rng.integers(len(_KERNELS)))]


def _resized(frames: Frames, height: int, width: int, kernel: int) -> Frames:
    if kernel == cv2.INTER_CUBIC and height < frames.shape[1]:
        return bicubic(frames, height, width)  # OpenCV's own does not filter when it shrinks
    resized = np.empty((len(frames), height, width, 3), dtype=np.uint8)
    for source, target in zip(frames, resized, strict=True):
        cv2.resize(source, (width, height), target, interpolation=kernel)
    return resized

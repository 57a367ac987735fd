"""What video does to colour: chroma stored at half the resolution, and levels that were misread."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from vsr.color import BT709, FULL_RANGE, SMPTE170M, ColorSpec, from_rgb, to_rgb
from vsr.degrade.base import Frames, happens

LIMITED_RANGE = 1
LEFT, CENTRE = 1, 2


def to_planes(frames: Frames, spec: ColorSpec) -> tuple[Tensor, ...]:
    """(t, h, w, 3) RGB to planes."""
    return from_rgb(torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255, spec)


def to_frames(planes: tuple[Tensor, ...], spec: ColorSpec) -> Frames:
    """Planes to (t, h, w, 3) RGB, clamped."""
    pixels = to_rgb(planes, spec).clamp_(0, 1).mul_(255).round_()
    return np.ascontiguousarray(pixels.to(torch.uint8).permute(0, 2, 3, 1).numpy())


def random_spec(rng: Generator) -> ColorSpec:
    """8-bit 4:2:0 in limited range: BT.601 or BT.709, chroma to the left or in the middle."""
    return ColorSpec(
        shift=(1, 1),
        matrix=(BT709, SMPTE170M)[rng.integers(2)],
        range=LIMITED_RANGE,
        siting=(LEFT, CENTRE)[int(rng.random() < 0.3)],
    )


@dataclass(frozen=True, slots=True)
class ChromaSubsample:
    """To 4:2:0 and back, without a codec."""

    chance: float = 0.5
    """Probability that it happens to a clip."""
    frames: int = 1
    """One is enough: frames are converted each by itself."""
    margin: int = 2
    """Low-resolution pixels around a patch that the chroma filters may spoil."""

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """Luma stays within a code value."""
        if not happens(self.chance, rng):
            return frames
        spec = random_spec(rng)
        return to_frames(to_planes(frames, spec), spec)


@dataclass(frozen=True, slots=True)
class RangeError:
    """Levels squeezed into 16..235 that nobody stretched back, in part or whole.

    The opposite mistake, full range read as limited, clips: what it loses nothing can learn. So it
    is made only a little.
    """

    chance: float = 0.05
    """Probability that it happens to a clip."""
    least: float = -0.3
    """Smallest share of the whole mistake that is drawn; below 0 levels are stretched."""
    most: float = 1.0
    """Largest share of the whole mistake that is drawn."""
    frames: int = 1
    """One is enough: frames are converted each by itself."""
    margin: int = 0
    """None are wanted around a patch: each pixel is converted by itself."""

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """Only levels change."""
        if not happens(self.chance, rng):
            return frames
        spec = random_spec(rng)
        spec = replace(spec, shift=(0, 0))
        strength = np.float32(rng.uniform(self.least, self.most))
        misread = to_frames(to_planes(frames, spec), replace(spec, range=FULL_RANGE))
        mixed = frames.astype(np.float32)
        mixed = mixed + strength * (misread.astype(np.float32) - mixed)
        return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)

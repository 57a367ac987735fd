"""Training sequences: which film, which stretch and crop of it, which damage, and its motion.

As with single pictures (``data.py``), every sample is a pure function of seed and step. Motion is
estimated on the damaged frames at the low size, as it is when a video is upscaled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from vsr.color import ColorSpec
from vsr.degrade import base
from vsr.degrade.base import Degradation, Frames, happens
from vsr.degrade.noise import Specks
from vsr.degrade.resize import bicubic
from vsr.errors import DataError
from vsr.media.read.rgb import Pixels
from vsr.motion import MotionEstimator
from vsr.training.data.patches import PictureSource, TrainingBatch, below
from vsr.training.data.pictures import Cache, Picture
from vsr.training.data.synthetic_motion import film

MARGIN = 10
"""Low pixels around a patch that damage and motion see."""
SPECKS = Specks(chance=0.02)
RGB = ColorSpec(layout="rgb", shift=(0, 0))


@dataclass(frozen=True, slots=True)
class SequenceSampling:
    """How sequences are cut from films, and made from pictures."""

    patch: int
    """Side of a patch, in low-resolution pixels."""
    scale: int
    """How many times larger the original is."""
    batch: int
    """Sequences a step, in this process."""
    chain: tuple[Degradation, ...]
    """The damage that makes low frames, in order, the shrink included."""
    lengths: tuple[tuple[int, int], ...]
    """(step, frames) pairs: how long sequences are from that step on, the first from 0."""
    seed: int
    """Seed of all random numbers, together with the numbers of step and sample."""
    natural: float = 0.5
    """Share of sequences from films, 0..1, where there are both films and pictures."""
    specks: Specks = SPECKS
    """Painted on some originals."""
    offset: int = 0
    """The number of this process's first sequence within a step."""
    stride: int | None = None
    """Sequences of one step over all processes; nothing reads it."""
    reuse: int = 1
    """Steps in a row that are cut from one clip, always 1."""

    def length(self, step: int) -> int:
        """Frames of each sequence at a step."""
        return max(frames for begin, frames in self.lengths if step >= begin)


class SequenceSource(PictureSource):
    """Batches by number, of films and of motion made from pictures."""

    def __init__(
        self,
        films: Sequence[Frames],
        pictures: Sequence[Picture],
        sampling: SequenceSampling,
        cache: Cache,
    ) -> None:
        least = (sampling.patch + 2 * MARGIN) * sampling.scale
        self.films = [
            one for one in films if min(one.shape[1:3]) >= sampling.patch * sampling.scale
        ]
        super().__init__(
            [one for one in pictures if min(one.size.width, one.size.height) >= least], cache
        )
        if not self.films and not self.pictures:
            raise DataError(
                "there is no film and no picture to train on",
                hint=f"pictures of at least {least} px a side, or a smaller --patch",
            )
        self.sampling = sampling

    def group(self, number: int) -> list[TrainingBatch]:
        """The batch of a step."""
        plan = self.sampling
        samples = [self._sample(number, plan.offset + place) for place in range(plan.batch)]
        low, high, motion = (np.stack(part) for part in zip(*samples, strict=True))
        return [TrainingBatch(_tensor(low), _tensor(high), None, torch.from_numpy(motion))]

    def _sample(self, step: int, place: int) -> tuple[Frames, Frames, Frames]:
        """Low (t, p, p, 3), high (t, p * scale, p * scale, 3), motion (t, 2, p, p)."""
        plan = self.sampling
        rng = np.random.default_rng([plan.seed, step, place])
        count, scale, patch = plan.length(step), plan.scale, plan.patch
        wide = (patch + 2 * MARGIN) * scale
        high = self._turned(self._clip(rng, count, wide), rng)
        high = plan.specks(high, rng)
        low = base.run(plan.chain, high, rng)
        motion = MotionEstimator().next(_planes(low), RGB).vectors
        room = low.shape[1] - patch + 1
        y, x = below(room, rng), below(room, rng)
        rows, columns = slice(y, y + patch), slice(x, x + patch)
        large = high[:, y * scale : (y + patch) * scale, x * scale : (x + patch) * scale]
        return low[:, rows, columns], large, motion[..., rows, columns].numpy()

    def _clip(self, rng: Generator, count: int, wide: int) -> Frames:
        plan = self.sampling
        films = self.films and (not self.pictures or happens(plan.natural, rng))
        if not films:
            return film([self._picture(rng) for _ in range(2)], count, wide, rng)
        frames = self.films[below(len(self.films), rng)]
        if len(frames) < count:  # there and back: of three frames, A B C B A B C
            round_trip = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
            start = below(len(round_trip), rng)
            frames = frames[[round_trip[(start + n) % len(round_trip)] for n in range(count)]]
        else:
            start = below(len(frames) - count + 1, rng)
            frames = frames[start : start + count]
        if happens(0.5, rng):
            frames = frames[::-1]
        height, width = frames.shape[1:3]
        most = min(height, width)
        least = min(wide, most) // plan.scale * plan.scale
        side = least if happens(0.5, rng) else least + below(most - least + 1, rng)
        top, left = below(height - side + 1, rng), below(width - side + 1, rng)
        frames = frames[:, top : top + side, left : left + side]
        return frames if side == least else bicubic(frames, least, least)

    def _picture(self, rng: Generator) -> Pixels:
        """A random one; another where that is damaged."""
        return self.readable(
            lambda: below(len(self.pictures), rng),
            lambda place: self.cache.get(self.pictures[place].path),
        )

    @staticmethod
    def _turned(frames: Frames, rng: Generator) -> Frames:
        """One of the eight symmetries of the square."""
        turn = below(8, rng)
        if turn & 4:
            frames = frames.transpose(0, 2, 1, 3)
        return np.ascontiguousarray(frames[:, :: -1 if turn & 1 else 1, :: -1 if turn & 2 else 1])


def _planes(frames: Frames) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(frames[..., channel].copy()) for channel in range(3))


def _tensor(pixels: Frames) -> Tensor:
    """(n, t, h, w, 3) to (n, t, 3, h, w), channels last in memory."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 1, 4, 2, 3)

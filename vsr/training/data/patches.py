"""Training pairs: which picture, which crop, which damage. A pure function of seed and index.

Every sample of every step has random numbers of its own, so that what is learnt depends neither on
the number of workers nor of processes, and a resumed run sees what an uninterrupted one does.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from vsr.degrade import base, resize
from vsr.degrade.base import Degradation, Frames
from vsr.degrade.blur import sharpened
from vsr.degrade.noise import Specks
from vsr.errors import DataError
from vsr.media.read.rgb import Pixels
from vsr.training.data.pictures import Cache, Picture

log = logging.getLogger(__name__)

Taken = TypeVar("Taken")
Number = TypeVar("Number", bound=np.generic)
VISITS = 16
"""Crops taken from each picture while it is in memory, where not all fit at once."""
TRIES = 20
NO_SPECKS = Specks(chance=0)


class TrainingBatch(NamedTuple):
    """``low`` (n, 3, p, p) and ``high`` (n, 3, p * scale, p * scale), uint8 RGB on the host.

    ``real`` is what ``high`` was before it was sharpened; ``None`` where it was not. Sequences are
    (n, t, 3, p, p) and alike, and have ``motion``, (n, t, 2, p, p) int16 in 1/16 px.
    """

    low: Tensor
    high: Tensor
    real: Tensor | None = None
    motion: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How pairs are cut from pictures."""

    patch: int
    """Side of a patch, in low-resolution pixels."""
    scale: int
    """How many times larger the original is."""
    batch: int
    """Samples a step, in this process."""
    shrink: tuple[float, float]
    """Bounds of the random factor that crops are first shrunk by."""
    chain: tuple[Degradation, ...]
    """The damage that makes low pictures, in order, the shrink included."""
    seed: int
    """Seed of all random numbers, together with the numbers of group and sample."""
    reuse: int = 1
    """Steps in a row that are cut from one damaged clip a sample, where damage is expensive."""
    slack: int = 0
    """Low-resolution pixels that such a clip is wider than a patch, for other places in it."""
    sharp: bool = False
    """Whether targets are sharpened, and low pictures made of sharpened ones, too."""
    specks: Specks = NO_SPECKS
    """Painted on some originals."""
    offset: int = 0
    """The number of this process's first sample within a step."""
    stride: int | None = None
    """Samples of one step over all processes; ``None`` where this is the only one."""

    @property
    def total(self) -> int:
        """Samples of one step over all processes."""
        return self.stride or self.batch


@dataclass(frozen=True, slots=True)
class Crop:
    """Which square of a picture is taken."""

    top: int
    """Its first row, in pixels of the picture."""
    left: int
    """Its first column, in pixels of the picture."""
    window: int
    """Its side, in pixels of the picture."""
    side: int
    """The side that it is then shrunk to, in pixels of the original of a pair."""


class PictureSource:
    """Pictures to draw from. ``damaged`` holds those that turned out unreadable, and why."""

    def __init__(self, pictures: Sequence[Picture], cache: Cache) -> None:
        self.pictures, self.cache = list(pictures), cache
        self.damaged: dict[str, str] = {}
        self._lock = threading.Lock()

    def readable(
        self, draw: Callable[[], int], take: Callable[[int], Taken], hint: str = ""
    ) -> Taken:
        """What ``take`` gives for the number that ``draw`` gives; another where that is damaged.

        Raises :class:`DataError` where none of :data:`TRIES` can be read; ``hint`` ends its hint.
        """
        said = ""
        for _ in range(TRIES):
            place = draw()
            try:
                return take(place)
            except DataError as error:
                said = error.message
                self.leave_out(self.pictures[place], error)
        raise DataError(
            f"{TRIES} pictures in a row could not be read, the last: {said}",
            hint=f"remove damaged files{hint}",
        )

    def leave_out(self, picture: Picture, error: DataError) -> None:
        """Note that a picture cannot be read, and say so once."""
        with self._lock:
            if str(picture.path) not in self.damaged:
                log.warning("left out: %s", error.message)
            self.damaged[str(picture.path)] = error.message


class PatchSource(PictureSource):
    """Batches by number, from pictures."""

    def __init__(self, pictures: Sequence[Picture], sampling: Sampling, cache: Cache) -> None:
        if not pictures:
            raise DataError("there is no picture to train on")
        super().__init__(pictures, cache)
        self.sampling = sampling
        self._frames = base.frames_wanted(sampling.chain)
        self._margin = base.margin_wanted(sampling.chain)
        self._shards = _shards(self.pictures, cache.limit, sampling.seed)

    def group(self, number: int) -> list[TrainingBatch]:
        """The batches of steps ``number * reuse`` up to ``(number + 1) * reuse``."""
        plan = self.sampling
        columns = [self._samples(number, plan.offset + place) for place in range(plan.batch)]
        batches: list[TrainingBatch] = []
        for step in range(plan.reuse):
            low = np.stack([column[step][0] for column in columns])
            high = np.stack([column[step][1] for column in columns])  # real ones behind sharp ones
            real = _tensor(high[..., 3:]) if plan.sharp else None
            batches.append(TrainingBatch(_tensor(low), _tensor(high[..., :3]), real))
        return batches

    def _samples(self, number: int, place: int) -> list[tuple[Frames, Frames]]:
        """One (low, high) for each step of a group: crops of one damaged clip."""
        plan = self.sampling
        rng = np.random.default_rng([plan.seed, number, place])
        clip = self._clip(rng, number * plan.total + place)
        if (
            len(plan.chain) == 1 and plan.reuse == 1 and not plan.sharp
        ):  # the fast way: crop, turn, shrink
            high = plan.specks(_turned(clip, rng), rng)
            low = plan.chain[0](high, rng)
            return [(low[0], high[0])]
        clip = plan.specks(clip, rng)
        high = sharpened(clip) if plan.sharp else clip
        low = base.run(plan.chain, high, rng)
        if plan.sharp:
            high = np.concatenate([high, clip], axis=3)
        return [self._cut(low, high, rng) for _ in range(plan.reuse)]

    def _clip(self, rng: Generator, index: int) -> Frames:
        """(t, h, w, 3): a random part of a random picture, or of a film, shrunk a little."""

        def cropped(place: int) -> Frames:
            picture = self.pictures[place]
            if self._frames > 1 and picture.next:
                paths = (picture.path, *picture.next)[: self._frames]
                return self._cropped([self.cache.get(path) for path in paths], rng)
            return self._cropped([self.cache.get(picture.path)], rng)

        return self.pick(rng, index, cropped)

    def pick(self, rng: Generator, index: int, take: Callable[[int], Taken]) -> Taken:
        """What ``take`` gives for the number of a random picture; another where that is damaged."""
        shard = self._shard(index)
        hint = f"; {self.sampling.batch} good pictures would do"
        return self.readable(lambda: shard[below(len(shard), rng)], take, hint)

    def _cropped(self, film: list[Pixels], rng: Generator) -> Frames:
        """A window of the film through a random extra shrink; one still frame is made to move."""
        height, width = film[0].shape[:2]
        if any(frame.shape != film[0].shape for frame in film):
            film = film[:1]
        crop = self.place(height, width, rng)
        top, left, window = crop.top, crop.left, crop.window
        if self._frames > 1 and len(film) == 1:
            corners = _path(rng, (top, left), (height - window, width - window), self._frames)
            crops = [film[0][y : y + window, x : x + window] for y, x in corners]
        else:
            crops = [frame[top : top + window, left : left + window] for frame in film]
        clip = np.stack(crops)
        return clip if window == crop.side else resize.bicubic(clip, crop.side, crop.side)

    def place(self, height: int, width: int, rng: Generator) -> Crop:
        """A random square of a picture of that size. Raises :class:`DataError` if it is small."""
        plan = self.sampling
        least = plan.patch * plan.scale
        if min(height, width) < least:
            raise DataError(f"a picture of {width}x{height} px is smaller than its header says")
        wanted = (
            plan.patch + 2 * self._margin + (plan.slack if plan.reuse > 1 else 0)
        ) * plan.scale
        side = min(wanted, min(height, width) // plan.scale * plan.scale)
        room = min(height, width) / side
        factor = rng.uniform(min(plan.shrink[0], room), min(plan.shrink[1], room))
        window = max(side, min(round(side * factor), height, width))
        top = below(height - window + 1, rng)
        return Crop(top, below(width - window + 1, rng), window, side)

    def patch(self, side: int, frames: int, rng: Generator) -> tuple[int, int, int, int]:
        """A random frame, y and x of a patch in low pixels, and a symmetry: see :func:`turned`.

        Away from the edges of a clip of ``side``, where there is room.
        """
        frame = below(frames, rng)
        edge = min(self._margin, (side - self.sampling.patch) // 2)
        room = side - self.sampling.patch - 2 * edge + 1
        y, x = edge + below(room, rng), edge + below(room, rng)
        return frame, y, x, below(8, rng)

    def _cut(self, low: Frames, high: Frames, rng: Generator) -> tuple[Frames, Frames]:
        """A patch of one frame, turned."""
        scale, patch = self.sampling.scale, self.sampling.patch
        frame, y, x, turn = self.patch(low.shape[1], len(low), rng)
        end_y, end_x = y + patch, x + patch
        pair = (
            low[frame, y:end_y, x:end_x],
            high[frame, y * scale : end_y * scale, x * scale : end_x * scale],
        )
        return turned(pair[0], turn), turned(pair[1], turn)

    def _shard(self, index: int) -> list[int]:
        """The pictures that sample ``index`` may come from."""
        if len(self._shards) == 1:
            return self._shards[0]
        visits = VISITS * max(len(shard) for shard in self._shards)
        return self._shards[index // visits % len(self._shards)]


def _shards(pictures: list[Picture], limit: int, seed: int) -> list[list[int]]:
    """Indices of pictures in groups that fit half of the cache: all in one where they do."""
    if sum(picture.bytes * (1 + len(picture.next)) for picture in pictures) <= limit:
        return [list(range(len(pictures)))]
    shards: list[list[int]] = [[]]
    room = limit // 2
    for index in np.random.default_rng([seed, 1]).permutation(len(pictures)):
        picture = pictures[int(index)]
        size = picture.bytes * (1 + len(picture.next))
        if shards[-1] and size > room:
            shards.append([])
            room = limit // 2
        shards[-1].append(int(index))
        room -= size
    return shards


def _path(
    rng: Generator, start: tuple[int, int], most: tuple[int, int], count: int
) -> list[tuple[int, int]]:
    """Corners of a window that a camera pans by up to 6 px a frame; it stops at the borders."""
    speed = rng.uniform(-6, 6, size=2) * (rng.random() < 0.8)
    steps = np.rint(np.arange(count)[:, None] * speed).astype(int)
    places = np.clip(np.array(start) + steps, 0, most)
    return [(int(y), int(x)) for y, x in places]


def below(count: int, rng: Generator) -> int:
    """A random whole number from 0 up to, not with, ``count``."""
    return int(rng.integers(count))


def _turned(clip: Frames, rng: Generator) -> Frames:
    turn = below(8, rng)
    return np.stack([turned(frame, turn) for frame in clip])


def turned(picture: NDArray[Number], turn: int) -> NDArray[Number]:
    """One of the eight symmetries of the square: (h, w) or (h, w, 3), or transposed."""
    if turn & 4:
        picture = picture.swapaxes(0, 1)
    return picture[:: -1 if turn & 1 else 1, :: -1 if turn & 2 else 1]


def _tensor(pixels: Frames) -> Tensor:
    """(n, h, w, 3) to (n, 3, h, w) in channels-last order, without a copy where it lies so."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)

"""Estimate motion between consecutive frames from decoded luma: vectors, and scene cuts.

Dense inverse search (Kroeger et al., ECCV 2016) as OpenCV has it. It is estimated on the host,
ahead of the network. A pair of frames gives the same vectors wherever it is computed: OpenCV
divides the work among its threads and the result depends on how, so each pair is one thread's work.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vsr.color import ColorSpec

STEP = 16
"""Vectors are in 1 / 16 of a source pixel."""
MIN_SIDE = 16
"""Pixels a side below which nothing is estimated, and all vectors are zero."""
MAX_MOTION = 1 << 14  # in 1 / 16 px: vectors fit int16 and point no farther than 1024 px
ALIKE = 0.4
"""A scene cut is where the fine structure's correlation with the warped frame before is lower. Of
143 natural sequences, 98 of 100 pairs of scenes lie below 0.24, 98 of 100 pairs of neighbours above
0.8."""
SAME_SCENE = 0.85
"""No scene cut is where the coarse structure's correlation is higher: the fine one of a soft or a
dark scene may be noise, which no frame shares with another. Of 576 pairs of neighbours from 72 of
these sequences, blurred or darkened and with noise of 4 to 8 code values, at 256 and at 64 px, 252
were taken for cuts without, 4 are with. Of 288 cuts between them as they are, and with noise of 20,
287 are found."""
COARSE = 8
"""Cells a side that coarse structure is seen in."""
MAX_REMAP = (1 << 15) - 1
"""Pixels a side from which on OpenCV warps no frame, and no cut is looked for."""
MIRRORED = 4
"""Frames behind the first one of a video that a network with a state sees before it, backwards.

The first frame has none before it. Over 22 sequences of 15 frames, which none of the test sets has,
the first frame of `video` comes nearer to the original by 0.60 dB, all by 0.10 (2: 0.52 and 0.08;
8: 0.62 and 0.10); compressed by x264 at CRF 25, where first frames are the best, by 0.08 and 0.01.
"""
FLAT = 1.0
"""Code values. Weaker fine structure is noise, and no cut is seen in it."""

Luma = NDArray[np.uint8]  # (h, w)
Planes = tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, eq=False)  # tensors do not compare with ==
class Motion:
    """The motion of n frames, each from the frame before."""

    vectors: Tensor
    """(n, 2, h, w) int16, x then y, in 1/16 px: from a pixel to its place in the frame before."""
    begins: tuple[bool, ...]
    """Of each frame, whether it is the first one or the first of a scene."""
    same: tuple[bool, ...]
    """Of each frame, whether it repeats the frame before exactly."""

    def pixels(self, frame: int) -> Tensor:
        """The vectors of one frame, (1, 2, h, w) float32 in pixels."""
        return self.vectors[frame : frame + 1].float() / STEP


class MotionEstimator:
    """Estimates motion of frames that come clip by clip; how they are grouped changes nothing."""

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._last: tuple[Luma, Planes] | None = None

    def forget(self) -> None:
        """Take the next frame for a first one."""
        self._last = None

    def next(self, planes: Planes, color: ColorSpec) -> Motion:
        """Returns the motion of (n, h, w) integer planes that follow those of the last call."""
        frames = [tuple(plane[index] for plane in planes) for index in range(len(planes[0]))]
        lumas = [luma_of(frame, color) for frame in frames]
        height, width = lumas[0].shape
        vectors = torch.zeros(len(frames), 2, height, width, dtype=torch.int16)
        before = [self._last, *zip(lumas, frames, strict=True)][: len(frames)]
        self._last = lumas[-1], tuple(plane.clone() for plane in frames[-1])

        def pair(index: int) -> tuple[bool, bool]:
            last = before[index]
            if last is None:
                return True, False
            if all(torch.equal(one, two) for one, two in zip(frames[index], last[1], strict=True)):
                return False, True
            found = vectors_between(lumas[index], last[0])
            vectors[index] = torch.from_numpy(found)  # pyright: ignore[reportUnknownMemberType]
            return is_cut(lumas[index], last[0], found), False

        told = _mapped(pair, len(frames), self._threads)
        return Motion(vectors, tuple(cut for cut, _ in told), tuple(same for _, same in told))


def _mapped(
    function: Callable[[int], tuple[bool, bool]], count: int, threads: int
) -> list[tuple[bool, bool]]:
    if threads < 2 or count < 2:
        return list(map(function, range(count)))
    with ThreadPoolExecutor(min(threads, count), "vsr-motion") as pool:
        return list(pool.map(function, range(count)))


def luma_of(frame: Planes, color: ColorSpec) -> Luma:
    """The luma of one frame's planes, (h, w) 0..255, exact to a code value or two."""
    if color.layout == "rgb":
        red, green, blue = (plane.to(torch.int32) for plane in frame[:3])
        luma = (red * 77 + green * 150 + blue * 29) >> 8
    else:
        luma = frame[0].to(torch.int32)
    return (luma >> max(0, color.depth - 8)).clamp(0, 255).to(torch.uint8).numpy()


def mirrored_places(frames: int) -> range:
    """Of a video's first ``frames`` frames, those that lead in its first one, in that order."""
    return range(min(MIRRORED, frames - 1), 0, -1)


def in_sixteenths(flow: NDArray[np.float32]) -> NDArray[np.int16]:
    """Vectors (2, h, w) of :class:`Motion` from optical flow (h, w, 2) in pixels."""
    parts = np.rint(np.nan_to_num(flow) * STEP).clip(-MAX_MOTION, MAX_MOTION).astype(np.int16)
    return np.ascontiguousarray(parts.transpose(2, 0, 1))


def vectors_between(present: Luma, before: Luma) -> NDArray[np.int16]:
    """(2, h, w) in 1/16 px, from each pixel of ``present`` to its place in ``before``."""
    height, width = present.shape
    if min(height, width) < MIN_SIDE:
        return np.zeros((2, height, width), np.int16)
    cv2.setNumThreads(1)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    nothing: Any = None  # no initial flow
    return in_sixteenths(np.asarray(search.calc(present, before, nothing), np.float32))


def is_cut(present: Luma, before: Luma, vectors: NDArray[np.int16]) -> bool:
    """Whether the frame shows another scene than the one before it.

    Fine structure is compared after the motion, without brightness and contrast: flashes and fades
    change these, and leave the structure.
    """
    height, width = present.shape
    if min(height, width) < MIN_SIDE or max(height, width) >= MAX_REMAP:
        return False
    flow = vectors.astype(np.float32) / STEP
    across = flow[0] + np.arange(width, dtype=np.float32)
    down = flow[1] + np.arange(height, dtype=np.float32)[:, None]
    moved = cv2.remap(before, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    past = moved.astype(np.uint8)
    one, two = _structure(present), _structure(past)
    if min(float(np.sqrt(np.mean(fine * fine))) for fine in (one, two)) < FLAT:
        return False
    if _correlation(_coarse(present), _coarse(past)) > SAME_SCENE:
        return False
    return _correlation(one, two) < ALIKE


def _correlation(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    """Of two fields whose means are zero; 0 where one of them is nothing."""
    energy = float(np.mean(one * one)) * float(np.mean(two * two))
    return float(np.mean(one * two)) / energy**0.5 if energy else 0.0


def _coarse(luma: Luma) -> NDArray[np.float32]:
    """The means of a few cells, minus that of all."""
    cells = cv2.resize(luma.astype(np.float32), (COARSE, COARSE), interpolation=cv2.INTER_AREA)
    return np.asarray(cells - cells.mean(), np.float32)


def _structure(luma: Luma) -> NDArray[np.float32]:
    """The fine structure: half the size, minus its mean over a window of an eighth of that."""
    height, width = luma.shape
    small = cv2.resize(
        luma, (max(8, width // 2), max(8, height // 2)), interpolation=cv2.INTER_AREA
    )
    fine = small.astype(np.float32)
    side = max(3, min(fine.shape) // 8) | 1
    return fine - cv2.blur(fine, (side, side))

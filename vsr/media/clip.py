"""A clip: a few consecutive frames of one video stream, as planes on the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vsr.color import ColorSpec
from vsr.geometry import Size
from vsr.media.stall import ReadTimer
from vsr.motion import Motion


@dataclass(frozen=True, slots=True, eq=False)  # tensors do not compare with ==
class Clip:
    """n consecutive frames."""

    planes: tuple[Tensor, ...]
    """Y (n, h, w), U and V (n, h/sy, w/sx), alpha (n, h, w); or R, G, B and alpha, each (n, h, w).
    Code values in uint8, or in uint16 above 8 bit."""
    color: ColorSpec
    """What the code values mean."""
    pts: tuple[int, ...]
    """n presentation times, in units of ``time_base``."""
    durations: tuple[int, ...]
    """n durations, in units of ``time_base``; 0 where one is unknown."""
    time_base: Fraction
    """The unit of times and durations, in seconds."""
    motion: Motion | None = None
    """Each frame's motion from the frame before; ``None`` where no recurrent network wants it."""
    lead_in: bool = False
    """Whether a network sees the frames without their being written."""
    changed: tuple[npt.NDArray[np.uint8] | None, ...] | None = None
    """For each frame, which cells of 4x4 source pixels differ from the frame before, (rows,
    columns): 0, or bits for luma (1) and chroma (2); ``None`` of a first frame. ``None`` as a whole
    where frames were not compared."""

    def __post_init__(self) -> None:
        counts = {len(self.pts), len(self.durations), *(len(plane) for plane in self.planes)}
        if len(counts) > 1:
            raise ValueError(f"a clip has as many times as frames, got {sorted(counts)}")

    @property
    def size(self) -> Size:
        """Width and height of the frames."""
        return Size(self.planes[0].shape[-1], self.planes[0].shape[-2])


class ClipReader(Protocol):
    """What reads a video as clips, whatever it is stored as. It is iterated once.

    Errors while iterating are a :class:`MediaError` or :class:`StorageError`.
    """

    timer: ReadTimer
    """What waits for the source, which ``--stall`` bounds."""
    damaged: int
    """Packets and frames that could not be decoded, or not wholly."""
    converted: int
    """Frames of another pixel format than the first, converted to it."""

    @property
    def jumps(self) -> int:
        """Places where times fell back, as in a recording joined from several."""
        ...

    @property
    def changes(self) -> tuple[tuple[float, str], ...]:
        """The first places where tags of colour or the shape of pixels change: seconds, and what
        changes. All frames are taken as the first is tagged."""
        ...

    @property
    def repaired(self) -> int:
        """Frames whose presentation time was missing or did not rise."""
        ...

    def __iter__(self) -> Iterator[Clip]:
        """Yields the frames in order, in clips that cross no segment."""
        ...

"""How long a library takes on so many workers, played through on paper. Numbers in, numbers out.

Segments go to the next free worker, as the pool does it. What one process does alone (the pass
over a file's packets, joining, verifying) lies beside the next files' work, or between files that
are made one by one.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VideoWork:
    """One file's work: ``serial_seconds`` is what no other worker can take part in."""

    frames: int
    segment_frames: int
    frame_seconds: float
    serial_seconds: float

    @property
    def segments(self) -> list[int]:
        """Frames of each segment."""
        whole, rest = divmod(self.frames, self.segment_frames)
        return [self.segment_frames] * whole + ([rest] if rest else [])


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a real machine adds.

    Segments take longer or shorter by ``spread`` (a standard deviation, as a share), and a share of
    ``stragglers`` take ``straggling`` times as long: another program, a process that died and whose
    segment was made again. ``one_queue`` lets workers begin the next file while one is joined, as
    a folder's are made; a command for each file does not.
    """

    start_seconds: float = 3.0
    spread: float = 0.1
    stragglers: float = 0.01
    straggling: float = 3.0
    one_queue: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """A library on ``workers``: the wall time, and what of it all workers together worked."""

    workers: int
    seconds: float
    work_seconds: float
    serial_seconds: float

    @property
    def utilisation(self) -> float:
        """The share of the time that the workers had work, 0..1."""
        return self.work_seconds / max(1e-9, self.workers * self.seconds)


def simulate(
    videos: Sequence[VideoWork], workers: int, conditions: Conditions | None = None
) -> SimulationResult:
    """The library's time on so many workers."""
    given = conditions or Conditions()
    dice = random.Random(given.seed)
    free = [given.start_seconds] * workers  # when each worker is free again: a heap
    alone = worked = 0.0  # when the process that joins is free again
    for video in videos:
        if not given.one_queue:  # nobody begins before the file before is saved
            free = [max(alone, given.start_seconds)] * workers
        end = alone
        for frames in video.segments:
            seconds = frames * video.frame_seconds * max(0.1, dice.gauss(1.0, given.spread))
            seconds *= given.straggling if dice.random() < given.stragglers else 1.0
            worked += seconds
            done = free[0] + seconds
            heapq.heapreplace(free, done)
            end = max(end, done)
        alone = max(alone, end) + video.serial_seconds
    total = sum(video.serial_seconds for video in videos)
    return SimulationResult(workers, alone, worked, total)

"""Presentation times that only rise, from those a container claims. Integers only, no frames."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

Frame = TypeVar("Frame")
LOOKAHEAD = 8


class Clock(Generic[Frame]):
    """Give frames, in the order decoded, rising times; ``repaired`` counts those it had to make up.

    A container without presentation times (AVI) leaves B-frames with each other's: within
    :data:`LOOKAHEAD` frames the times are sorted back. A time that is missing or does not rise
    becomes the one before it plus ``nominal``. Right times pass untouched.

    Times that fall by more than that (a recording joined from several, a clock that was set back)
    go on where the ones before ended: ``jumps`` counts such places.
    """

    def __init__(self, nominal: int) -> None:
        self.nominal = max(1, nominal)
        self.repaired = 0
        self.jumps = 0

    def order(self, frames: Iterable[tuple[Frame, int | None]]) -> Iterator[tuple[Frame, int]]:
        """(frame, claimed time) pairs to (frame, time) pairs, in the same order."""
        held: deque[tuple[Frame, int | None]] = deque()
        times: list[int] = []
        last: int | None = None
        top: int | None = None
        shift = 0
        for frame, said in frames:
            claimed = None if said is None else said + shift
            if claimed is not None and top is not None and claimed < top - LOOKAHEAD * self.nominal:
                shift += top + self.nominal - claimed
                claimed = top + self.nominal
                self.jumps += 1
            if claimed is not None:
                top = claimed if top is None else max(top, claimed)
            held.append((frame, claimed))
            if claimed is not None:
                heapq.heappush(times, claimed)
            if len(held) > LOOKAHEAD:
                first, own = held.popleft()
                last = self._next(own, times, len(held) + 1, last)
                yield first, last
        while held:
            first, own = held.popleft()
            last = self._next(own, times, len(held) + 1, last)
            yield first, last

    def _next(self, own: int | None, times: list[int], waiting: int, last: int | None) -> int:
        if own is not None and len(times) == waiting:
            time = heapq.heappop(times)
            self.repaired += time != own
        else:  # some of those waiting have no time: each keeps its own
            if own in times:
                times.remove(own)
                heapq.heapify(times)
            elif own is not None:  # it was given to another frame; this one gets what is left
                own = heapq.heappop(times)
            time = own
        if time is None or (last is not None and time <= last):
            step = self.nominal
            if times and last is not None and times[0] > last:  # stay before the next right time
                step = max(1, min(step, (times[0] - last) // 2))
            time = 0 if last is None else last + step
            self.repaired += 1
        return time


def shown(frames: Iterable[tuple[Frame, int]]) -> Iterator[tuple[Frame, int]]:
    """Without the frames that end before time 0. One that lasts beyond it begins at 0.

    Times rise. A frame lasts until the next one; the last of all is not known to last.
    """
    early: Frame | None = None
    for frame, time in frames:
        if time < 0:
            early = frame
            continue
        if early is not None and time > 0:
            yield early, 0
        early = None
        yield frame, time

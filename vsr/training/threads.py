"""How many threads a CPU's steps take: all cores, or one where other programs want them too.

A step is made of thousands of small parallel parts. Where another program holds one of the cores,
each part waits for the thread that is not running, and all cores together are many times slower
than one alone: measured on two shared cores, 300 ms a step against 40. So both are tried, and the
faster is kept, and tried again now and then.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from statistics import median

import torch

TRIAL_STEPS, WARMUP_STEPS = 5, 20
FIRST_INTERVAL, LAST_INTERVAL = 100, 3200
BETTER, HOPELESS, WORSE = 0.9, 3.0, 1.5


class ThreadChoice:
    """Told how long every step took, says how many threads the next one takes: 1 or ``most``."""

    def __init__(self, most: int) -> None:
        self.most, self.current = most, 1
        self._times = {1: deque[float](maxlen=9), most: deque[float](maxlen=9)}
        self._trial: list[float] | None = None  # of the other number
        self._interval, self._until = FIRST_INTERVAL, WARMUP_STEPS

    @property
    def threads(self) -> int:
        """For the step to come."""
        return self.current if self._trial is None else self._other

    @property
    def _other(self) -> int:
        return self.most if self.current == 1 else 1

    def record_time(self, seconds: float) -> None:
        """The last step, with :attr:`threads`."""
        if self.most == 1:
            return
        if self._trial is not None:
            self._try(seconds)
            return
        times = self._times[self.current]
        times.append(seconds)
        self._until -= 1
        slowed = (
            self.current > 1
            and len(times) == times.maxlen
            and bool(self._times[1])
            and median(times) > WORSE * median(self._times[1])
        )
        if self._until <= 0 or slowed:
            self._trial = []

    def _try(self, seconds: float) -> None:
        assert self._trial is not None
        self._trial.append(seconds)
        usual = median(self._times[self.current])
        if len(self._trial) < TRIAL_STEPS and seconds < HOPELESS * usual:
            return
        found, other = median(self._trial), self._other
        self._times[other].clear()
        self._times[other].extend(self._trial)
        self._trial = None
        if found < BETTER * usual:
            self.current, self._interval = other, FIRST_INTERVAL
        else:
            self._interval = min(LAST_INTERVAL, 2 * self._interval)
        self._until = self._interval
        self._times[self.current].clear()
        if self.current == other:
            self._times[other].append(found)
        else:
            self._times[self.current].append(usual)


def _ignore(seconds: float) -> None:
    del seconds


@contextmanager
def thread_pacer(free: bool) -> Generator[Callable[[float], None]]:
    """A function to tell every step's seconds; it sets torch's threads for the next.

    It does nothing where it is not ``free`` to: in float32, whose sums are to be repeatable, and
    where OMP_NUM_THREADS was set by someone who knows.
    """
    before = torch.get_num_threads()
    if not free or os.environ.get("OMP_NUM_THREADS"):
        yield _ignore
        return
    choice = ThreadChoice(before)

    def record_time(seconds: float) -> None:
        choice.record_time(seconds)
        torch.set_num_threads(choice.threads)

    torch.set_num_threads(choice.threads)
    try:
        yield record_time
    finally:
        torch.set_num_threads(before)

"""One run of an executor of several workers: its tasks, what was told of them. No worker here."""

from __future__ import annotations

import queue
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vsr.events import Advanced, Event
from vsr.jobs.segments import Tally, Task
from vsr.media.writer import Segment


@dataclass(frozen=True, slots=True)
class Delivery:
    """A segment that a worker made."""

    segment: Segment
    worker: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A task that a worker made, of so many segments and frames."""

    worker: str
    segments: int
    frames: int
    tally: Tally


class Order:
    """The tasks of one video. ``told`` is what its thread hears: deliveries, ends, events, errors.

    Everything else is touched under the lock of the crew that works on it.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.left = deque(tasks)
        self.open = len(tasks)  # those whose end its thread has not heard of
        self.told: queue.SimpleQueue[Delivery | Ended | Event | BaseException] = queue.SimpleQueue()
        self.deaths: Counter[int] = Counter()  # of workers, by segment
        self.given: list[Task] = []
        self.cancelled = False
        # A task without times has no end that is known: it can be a whole video.
        self.endless = any(task.times is None for task in tasks)
        self._frames: Counter[int] = Counter()  # of a task that were told as done

    def take(self, mark: str) -> Errand:
        """The next task, to be made under a name that no other attempt has."""
        task = replace(self.left.popleft(), mark=mark)
        self.given.append(task)
        return Errand(self, task, self._frames[task.index])

    def give_back(self, task: Task) -> None:
        """A worker died at it: whoever is next begins with it."""
        if not self.cancelled:
            self.left.appendleft(replace(task, mark=""))

    def advance(self, errand: Errand, event: Advanced) -> None:
        """Tell of frames, but of none twice where a segment is made again."""
        again = min(errand.again, event.frames)
        errand.again -= again
        self._frames[errand.task.index] += event.frames - again
        if event.frames > again:
            self.told.put(replace(event, frames=event.frames - again))

    def sweep(self) -> None:
        """Remove what workers that were killed had begun."""
        for task in self.given:
            for path in task.folder.glob(f"*{task.mark}.*"):
                path.unlink(missing_ok=True)


@dataclass(slots=True, eq=False)
class Errand:
    """A task on its way with a worker. ``again`` are frames that were made before, and told."""

    order: Order
    task: Task
    again: int
    segments: int = 0
    frames: int = 0

    def passed(self, segment: Segment) -> None:
        """One of its segments is made: another worker would go on behind it."""
        self.segments += 1
        self.frames += segment.frames
        task, self.again = self.task, 0
        times = None if task.times is None else task.times[segment.frames :]
        self.task = replace(task, index=segment.index + 1, after=segment.shown[-1], times=times)

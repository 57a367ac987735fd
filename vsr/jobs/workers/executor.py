"""The protocol of executors, which make segment tasks and deliver the finished segments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vsr.events import EventSink, WorkerShare
from vsr.jobs.video.segments import RunStats, Task
from vsr.media.write.writer import Segment

Deliver = Callable[[Segment, str], None]  # a segment, and the name of the worker that made it


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How an executor's run ended."""

    stats: RunStats
    """What was met in all tasks together."""
    complete: bool = True
    """Whether every task was made; not where it was asked to stop."""
    workers: tuple[WorkerShare, ...] = ()
    """What each worker did; empty where this process did it."""


class Executor(Protocol):
    """Makes tasks: in any order, each once, with the same bytes as any other executor."""

    @property
    def workers(self) -> int:
        """How many tasks may be under way at once."""
        ...

    @property
    def kind(self) -> str | None:
        """The kind of device and precision of the workers; ``None`` if it is this process's."""
        ...

    def run(
        self,
        tasks: Sequence[Task],
        deliver: Deliver,
        on_event: EventSink,
        should_stop: Callable[[], bool],
    ) -> RunOutcome:
        """Make every task; ``deliver`` and ``on_event`` are called in the calling thread only.

        Several threads may call this, each for a video of its own; they share the workers.
        ``should_stop`` is asked between segments: those under way are finished then, and no other
        is begun. Raises what a worker raised, :class:`~vsr.jobs.video.segments.FramesDiffer` too;
        files of segments that were not delivered are removed then.
        """
        ...

    def close(self, *, kill: bool = False) -> None:
        """End the workers; with ``kill`` at once, which ends runs in other threads too."""
        ...


@dataclass(slots=True)
class WorkerTotals:
    """Sums up what each worker did, for the report."""

    stats: RunStats = field(default_factory=RunStats)
    """What was met in all tasks together."""
    _rows: dict[str, tuple[int, int, float]] = field(
        default_factory=dict[str, "tuple[int, int, float]"]
    )

    def add(self, worker: str, *, segments: int, frames: int, stats: RunStats) -> None:
        """Count a finished task of a worker."""
        self.stats += stats
        before = self._rows.get(worker, (0, 0, 0.0))
        self._rows[worker] = (before[0] + segments, before[1] + frames, before[2] + stats.seconds)

    def shares(self, names: Iterable[str], total_seconds: float) -> tuple[WorkerShare, ...]:
        """Each worker's part of a run; those of ``names`` that made nothing have a row too."""
        return tuple(
            WorkerShare(name, *row, min(1.0, row[2] / max(total_seconds, 1e-9)))
            for name in sorted({*names, *self._rows})
            for row in (self._rows.get(name, (0, 0, 0.0)),)
        )

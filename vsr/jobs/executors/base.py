"""What an executor is: it takes tasks and hands on segments as they are finished. No work here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vsr.events import EventSink, WorkerShare
from vsr.jobs.segments import Tally, Task
from vsr.media.writer import Segment

Deliver = Callable[[Segment, str], None]  # a segment, and the name of the worker that made it


@dataclass(frozen=True, slots=True)
class Done:
    """How an executor's run ended. ``complete`` unless it was asked to stop."""

    tally: Tally
    complete: bool = True
    workers: tuple[WorkerShare, ...] = ()


class Executor(Protocol):
    """Someone who makes tasks: in any order, each once, the result the same as anyone's."""

    @property
    def workers(self) -> int:
        """How many tasks may be under way at once."""
        ...

    @property
    def kind(self) -> str | None:
        """What the workers compute on, where that need not be what this process would."""
        ...

    def run(
        self,
        tasks: Sequence[Task],
        deliver: Deliver,
        on_event: EventSink,
        should_stop: Callable[[], bool],
    ) -> Done:
        """Make every task. Called back from the thread that called, and never after it returned.

        Several threads may call it, each for a video of its own: the workers go from one to the
        next. ``should_stop`` is asked between segments: those under way are finished then, and no
        other is begun. Raises what a worker raised, :class:`~vsr.jobs.segments.Diverged` too;
        nothing of what was not delivered is left then.
        """
        ...

    def close(self, *, kill: bool = False) -> None:
        """Let go of processes and devices; ``kill`` to end runs in other threads, too."""
        ...


@dataclass(slots=True)
class Ledger:
    """Counts what each worker did, for the report."""

    tally: Tally = field(default_factory=Tally)
    _rows: dict[str, tuple[int, int, float]] = field(
        default_factory=dict[str, "tuple[int, int, float]"]
    )

    def add(self, worker: str, *, segments: int, frames: int, tally: Tally) -> None:
        """A worker finished a task."""
        self.tally += tally
        before = self._rows.get(worker, (0, 0, 0.0))
        self._rows[worker] = (before[0] + segments, before[1] + frames, before[2] + tally.seconds)

    def shares(self, names: Iterable[str], total_seconds: float) -> tuple[WorkerShare, ...]:
        """What each did of a run of so many seconds; one that came to nothing is there too."""
        return tuple(
            WorkerShare(name, *row, min(1.0, row[2] / max(total_seconds, 1e-9)))
            for name in sorted({*names, *self._rows})
            for row in (self._rows.get(name, (0, 0, 0.0)),)
        )

"""The executor of this process alone, on one device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vsr.events import EventSink
from vsr.infer.engine import Engine
from vsr.jobs.pieces import stretches
from vsr.jobs.segments import Tally, Task, make
from vsr.jobs.workers.executor import Deliver, RunOutcome
from vsr.media.writer import Segment


class LocalExecutor:
    """Makes tasks one after the other with the caller's engine.

    Segments that follow each other are read in one go.
    """

    workers = 1
    kind: str | None = None

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def run(
        self,
        tasks: Sequence[Task],
        deliver: Deliver,
        on_event: EventSink,
        should_stop: Callable[[], bool],
    ) -> RunOutcome:
        """See :class:`~vsr.jobs.workers.executor.Executor`."""
        stats = Tally()

        def on_segment(segment: Segment) -> None:
            deliver(segment, "")
            if should_stop():
                raise _StopRequested

        try:
            for task in stretches(tasks):
                stats += make(task, self._engine, on_event, on_segment)
        except _StopRequested:
            return RunOutcome(stats, complete=False)
        return RunOutcome(stats)

    def close(self, *, kill: bool = False) -> None:
        """Does nothing: the engine is the caller's."""
        del kill


class _StopRequested(Exception):
    """Ends a task after a segment, because ``should_stop`` said so."""

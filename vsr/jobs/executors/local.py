"""One worker: this process, on one device. Segments that follow each other are read in one go."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vsr.events import EventSink
from vsr.infer.engine import Engine
from vsr.jobs.executors.base import Deliver, Done
from vsr.jobs.pieces import stretches
from vsr.jobs.segments import Tally, Task, make
from vsr.media.writer import Segment


class Local:
    """Makes tasks one after the other with an engine that its owner keeps."""

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
    ) -> Done:
        """See :class:`~vsr.jobs.executors.base.Executor`."""
        tally = Tally()

        def on_segment(segment: Segment) -> None:
            deliver(segment, "")
            if should_stop():
                raise _HaltedError

        try:
            for task in stretches(tasks):
                tally += make(task, self._engine, on_event, on_segment)
        except _HaltedError:
            return Done(tally, complete=False)
        return Done(tally)

    def close(self, *, kill: bool = False) -> None:
        """Nothing was opened."""
        del kill


class _HaltedError(Exception):
    """It was asked to stop, and a segment has just been finished."""

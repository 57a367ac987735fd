"""The executor of this process alone, on one device."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence

from vsr.events import Event, EventSink
from vsr.infer.engine import Engine
from vsr.jobs.enlarge import FrameObserver
from vsr.jobs.video.segment_tasks import merged_tasks
from vsr.jobs.video.segments import RunStats, Task, make
from vsr.jobs.workers.executor import Deliver, RunOutcome
from vsr.media.write.writer import Segment
from vsr.system import discard


class LocalExecutor:
    """Makes tasks with the caller's engine, up to ``encoders`` of them side by side.

    With one encoder, segments that follow each other are read in one go. With several, each segment
    has a reader and an encoder of its own, and the engine computes now for one, now for another; an
    ``observer`` is for one encoder.
    """

    workers = 1
    kind: str | None = None

    def __init__(
        self, engine: Engine, encoders: int = 1, observer: FrameObserver | None = None
    ) -> None:
        self._engine, self._encoders, self._observer = engine, encoders, observer

    def run(
        self,
        tasks: Sequence[Task],
        deliver: Deliver,
        on_event: EventSink,
        should_stop: Callable[[], bool],
    ) -> RunOutcome:
        """See :class:`~vsr.jobs.workers.executor.Executor`."""
        divided = all(task.times is not None for task in tasks)
        if divided and min(self._encoders, len(tasks)) > 1:
            return _SideBySide(self._engine, self._encoders, tasks).run(
                deliver, on_event, should_stop
            )
        stats = RunStats()

        def on_segment(segment: Segment) -> None:
            deliver(segment, "")
            if should_stop():
                raise _StopRequested

        try:
            for task in merged_tasks(tasks):
                stats += make(task, self._engine, on_event, on_segment, observer=self._observer)
        except _StopRequested:
            return RunOutcome(stats, complete=False)
        return RunOutcome(stats)

    def close(self, *, kill: bool = False) -> None:
        """Does nothing: the engine is the caller's."""
        del kill


class _SideBySide:
    """Tasks in threads that share one engine's network; all is told to the thread that runs it."""

    def __init__(self, engine: Engine, encoders: int, tasks: Sequence[Task]) -> None:
        self._left = deque(sorted(tasks, key=lambda task: task.index))
        count = min(encoders, len(tasks))
        engines = [engine, *(engine.beside() for _ in range(count - 1))]
        self._heard: queue.SimpleQueue[Segment | RunStats | Event | BaseException | None] = (
            queue.SimpleQueue()
        )
        self._halted, self._aborted = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(each,), name=f"vsr-segment-{place}")
            for place, each in enumerate(engines)
        ]

    def run(
        self, deliver: Deliver, on_event: EventSink, should_stop: Callable[[], bool]
    ) -> RunOutcome:
        """Make every task; no thread is left when it returns or raises."""
        stats, failure, working = RunStats(), None, len(self._threads)
        for thread in self._threads:
            thread.start()
        try:
            while working:
                match self._heard.get():
                    case None:
                        working -= 1
                    case BaseException() as error:
                        failure = failure or error
                        self._abort()
                    case Segment() as segment if failure is None:
                        deliver(segment, "")
                        if should_stop():
                            self._halted.set()
                    case Segment() as segment:
                        discard(segment.path)
                    case RunStats() as more:
                        stats += more
                    case event:
                        on_event(event)
        finally:
            self._abort(after=not working)
            for thread in self._threads:
                thread.join()
            self._sweep()
        if failure is not None:
            raise failure
        return RunOutcome(stats, complete=not self._halted.is_set())

    def _work(self, engine: Engine) -> None:
        try:
            while self._left and not self._halted.is_set():
                try:
                    task = self._left.popleft()
                except IndexError:  # another thread has taken the last one
                    break
                self._heard.put(make(task, engine, self._tell, self._heard.put))
        except _StopRequested:
            pass  # whoever asked for it knows
        except BaseException as error:
            self._heard.put(error)
        finally:
            self._heard.put(None)

    def _tell(self, event: Event) -> None:
        if self._aborted.is_set():
            raise _StopRequested
        self._heard.put(event)

    def _abort(self, *, after: bool = False) -> None:
        """End what is under way, at its next clip; ``after`` all has ended there is nothing to."""
        if not after:
            self._halted.set()
            self._aborted.set()

    def _sweep(self) -> None:
        """Remove segments that nobody was given."""
        while not self._heard.empty():
            left = self._heard.get()
            if isinstance(left, Segment):
                discard(left.path)


class _StopRequested(Exception):
    """Ends a task after a segment, because ``should_stop`` said so."""

"""An executor of several workers, in processes or on nodes: it waits for what they deliver.

Any number of threads may each have a video made at once. A worker that dies is replaced, and its
task given to another.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence

from vsr.errors import DeviceError, Stopped
from vsr.events import Event, EventSink, Warned
from vsr.jobs.video.segments import Task
from vsr.jobs.workers.executor import Deliver, RunOutcome, WorkerTotals
from vsr.jobs.workers.scheduler import Scheduler, WorkerHandle
from vsr.jobs.workers.video_run import SegmentDelivered, TaskEnded, VideoRun
from vsr.jobs.workers.worker import Handshake, WorkerSetup

POLL_SECONDS = 0.5  # between looks at whether to stop
WARN_AFTER_SECONDS = 30.0  # without a worker


class WorkerPool:
    """An executor whose workers stay for the next run.

    ``spawn`` starts a worker. ``expected`` is the handshake that all must give, by default that of
    the first one. Without a single worker for ``max_wait_seconds`` a run fails; its finished
    segments are kept.
    """

    kind: str | None = None

    def __init__(
        self,
        setups: Sequence[WorkerSetup],
        spawn: Callable[[WorkerSetup], WorkerHandle],
        *,
        expected: Handshake | None = None,
        max_wait_seconds: float = float("inf"),
    ) -> None:
        self._scheduler = Scheduler(setups, spawn, expected)
        self._max_wait = max_wait_seconds
        self.workers = len(setups)

    def start_one(self, on_event: EventSink) -> Handshake:
        """Start one worker, wait until it is ready, and return its handshake."""
        begun, warned = time.monotonic(), False
        with self._scheduler.lock:
            self._scheduler.spawn_up_to(1)
            while self._scheduler.none_ready:
                if self._scheduler.error is not None:
                    raise self._scheduler.error
                warned = self._check_wait(begun, on_event, warned=warned)
                self._scheduler.changed.wait(POLL_SECONDS)
            assert self._scheduler.expected is not None
            return self._scheduler.expected

    def run(
        self,
        tasks: Sequence[Task],
        deliver: Deliver,
        on_event: EventSink,
        should_stop: Callable[[], bool],
    ) -> RunOutcome:
        """See :class:`~vsr.jobs.workers.executor.Executor`."""
        video_run, totals, scheduler = VideoRun(tasks), WorkerTotals(), self._scheduler
        begun = time.perf_counter()
        complete = True
        try:
            with scheduler.lock:
                if scheduler.error is not None:
                    raise scheduler.error
                scheduler.runs.append(video_run)
                scheduler.dispatch()
            for message in self._messages(video_run, on_event):
                match message:
                    case SegmentDelivered():
                        deliver(message.segment, message.worker)
                    case TaskEnded():
                        video_run.unfinished -= 1
                        totals.add(
                            message.worker,
                            segments=message.segments,
                            frames=message.frames,
                            stats=message.stats,
                        )
                    case None:
                        pass
                    case _:
                        on_event(message)
                if not video_run.cancelled and should_stop():
                    complete = not self._stop_after_current(video_run)
                if (
                    video_run.cancelled
                    and video_run.open_ended
                    and isinstance(message, SegmentDelivered)
                ):
                    self._cancel(video_run)
                    complete, video_run.unfinished = False, 0
        except BaseException:
            self._cancel(video_run)
            raise
        finally:
            with scheduler.lock:
                scheduler.runs = [other for other in scheduler.runs if other is not video_run]
        seconds = time.perf_counter() - begun
        return RunOutcome(totals.stats, complete, totals.shares(scheduler.names, seconds))

    def close(self, *, kill: bool = False) -> None:
        """End every worker. A run in another thread ends with :class:`Stopped`."""
        self._scheduler.fail(Stopped("stopped at once: the same command goes on"))
        self._scheduler.end_all(kill=kill)

    def _messages(
        self, video_run: VideoRun, on_event: EventSink
    ) -> Iterator[SegmentDelivered | TaskEnded | Event | None]:
        """The messages of a run until all its tasks have ended; ``None`` while there are none."""
        since, warned = time.monotonic(), False
        while video_run.unfinished:
            self._scheduler.replace_silent()
            try:
                message = video_run.messages.get(timeout=POLL_SECONDS)
            except queue.Empty:
                with self._scheduler.lock:
                    self._scheduler.dispatch()  # a worker that never gets ready is replaced
                if self._scheduler.none_ready:
                    warned = self._check_wait(since, on_event, warned=warned)
                else:
                    since, warned = time.monotonic(), False
                yield None
                continue
            if isinstance(message, BaseException):
                raise message
            yield message

    def _check_wait(self, since: float, on_event: EventSink, *, warned: bool) -> bool:
        """Warn once where no worker is ready; returns whether it was warned.

        Raises :class:`DeviceError` after ``max_wait_seconds``.
        """
        waited = time.monotonic() - since
        if waited > self._max_wait:
            raise DeviceError(
                f"no worker was there for {self._max_wait / 60:.0f} minutes",
                hint="`ray status` says what the cluster has and what is asked of it; the same "
                "command goes on",
            )
        if not warned and waited > WARN_AFTER_SECONDS and self._max_wait < float("inf"):
            on_event(Warned("no worker is there: waiting for the cluster to have room for one"))
            return True
        return warned

    def _stop_after_current(self, video_run: VideoRun) -> bool:
        """Drop a run's pending tasks; returns whether there were any."""
        with self._scheduler.lock:
            left = len(video_run.pending)
            video_run.pending.clear()
            video_run.cancelled = True
            video_run.unfinished -= left
        return bool(left)

    def _cancel(self, video_run: VideoRun) -> None:
        """Kill the workers of a run, and remove the files that they had begun."""
        scheduler = self._scheduler
        with scheduler.lock:
            video_run.cancelled = True
            video_run.pending.clear()
            busy = [
                slot
                for slot in scheduler.slots
                if slot.assignment is not None and slot.assignment.run is video_run
            ]
            scheduler.slots = [slot for slot in scheduler.slots if slot not in busy]
        scheduler.end(busy, kill=True)
        video_run.remove_partial_files()
        with scheduler.lock:
            scheduler.dispatch()

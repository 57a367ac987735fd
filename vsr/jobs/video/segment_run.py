"""All the segments of one video: those that are there, and those that someone has to make."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from vsr.errors import MediaError, Stopped
from vsr.events import EventSink, SegmentDone, Warned
from vsr.infer.engine import Engine
from vsr.infer.tiles import TilePlan
from vsr.jobs.enlarge import FrameObserver
from vsr.jobs.video.journal import Journal
from vsr.jobs.video.plan import Plan
from vsr.jobs.video.segment_tasks import open_task, segment_tasks, tasks_match, without_gaps
from vsr.jobs.video.segments import FramesDiffer, Task
from vsr.jobs.workers.executor import Executor, RunOutcome
from vsr.jobs.workers.local import LocalExecutor
from vsr.media.ffmpeg_lock import ffmpeg_lock
from vsr.media.read.index import frame_times
from vsr.media.read.probe import MediaInfo
from vsr.media.stall import watched
from vsr.media.write.writer import Segment
from vsr.options import EngineOptions


class SegmentRun:
    """Makes what the journal lacks, by whoever is there. ``finished`` are all segments, in order.

    A video is divided where its container tells the time of every frame, and where several are
    there to do it or an earlier run left gaps. If the frames turn out to be others, what follows
    the first gap is made anew, in order, by one: that is how the segments are defined.
    """

    def __init__(
        self,
        plan: Plan,
        engine: Engine,
        with_tiling: EngineOptions,
        journal: Journal,
        on_event: EventSink,
        encoders: int = 1,
        observer: FrameObserver | None = None,
    ) -> None:
        self._encoders, self._observer = encoders, observer
        self.plan, self.engine, self.journal, self.on_event = plan, engine, journal, on_event
        self.finished: list[Segment] = []
        self.unsettled = journal.has_segments
        """Whether an earlier run's segments are still to be looked at."""
        self._options = with_tiling
        self._begun = time.perf_counter()

    def run(self, executor: Executor | None, should_stop: Callable[[], bool]) -> RunOutcome:
        """Make every segment. Raises what a worker raised, :class:`Stopped` if it was asked to."""
        self.finished = self.journal.recover()
        self.unsettled = False
        with ffmpeg_lock:
            tasks = watched(
                self.plan.info.path, self.plan.stall_seconds, lambda: self._divided(executor)
            )
        for segment in self.finished:
            self.on_event(SegmentDone(segment.index, segment.frames, resumed=True))
        who = executor or LocalExecutor(self.engine, self._encoders, self._observer)
        try:
            todo = [self._rest()] if tasks is None else tasks
            done = who.run(todo, self._deliver, self.on_event, should_stop)
        except FramesDiffer:
            self._undo()
            done = who.run([self._rest()], self._deliver, self.on_event, should_stop)
        if not done.complete:
            raise Stopped(
                f"stopped with {len(self.finished)} segments finished: the same command goes on"
            )
        if not self.finished:
            raise MediaError(
                f"no frame of {self.plan.info.path} lies in the chosen stretch",
                hint=_where(self.plan.info),
            )
        return done

    def _divided(self, executor: Executor | None) -> Sequence[Task] | None:
        """A task for each segment that is missing; ``None`` to go through the video in order."""
        begun = without_gaps(self.finished)
        several = executor is not None
        if not several and self._encoders == 1 and len(begun) == len(self.finished):
            return None
        tasks = segment_tasks(self.plan, self.journal.folder, self._options)
        if tasks is not None and tasks_match(tasks, self.finished):
            there = {segment.index for segment in self.finished}
            return [task for task in tasks if task.index not in there]
        self.finished = self.journal.keep(begun)
        if several:
            self._warn("does not tell the times of its frames without decoding them")
        return None

    def _undo(self) -> None:
        self.finished = self.journal.keep(without_gaps(self.finished))
        self._warn("has other frames than its container says, or damaged ones")

    def _warn(self, why: str) -> None:
        name = self.plan.info.path.name
        self.on_event(Warned(f"{name} {why}: it is gone through in order, by one worker"))

    def _rest(self) -> Task:
        return open_task(self.plan, self.journal.folder, self._options, self.finished)

    def _deliver(self, segment: Segment, worker: str) -> None:
        segment = self.journal.adopt(segment)
        now = time.perf_counter()
        self.journal.add(segment, now - self._begun)
        self._begun = now
        self.finished = sorted([*self.finished, segment], key=lambda segment: segment.index)
        self.on_event(SegmentDone(segment.index, segment.frames, resumed=False, worker=worker))


def with_tiling(options: EngineOptions, tiles: TilePlan, batch: int) -> EngineOptions:
    """The options with the tiles and the batch chosen, so that no worker chooses others."""
    side = max(16, tiles.window.width, tiles.window.height)
    return replace(options, tile=side, batch=batch)


def _where(info: MediaInfo) -> str:
    """Where a video's frames lie on the clock of ``--start`` and ``--end``, for people."""
    times = None if info.is_folder else frame_times(info)
    if not times:
        return "check --start and --end"
    first, last = (
        float(time * info.time_base) - info.start_seconds for time in (times[0], times[-1])
    )
    return f"its frames begin at {first:.3f} s, and the last is at {last:.3f} s"

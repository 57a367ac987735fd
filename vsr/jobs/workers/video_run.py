"""The state of one video's run on a pool of workers: its tasks, and the messages about them."""

from __future__ import annotations

import queue
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vsr.events import Advanced, Event
from vsr.jobs.video.segments import RunStats, Task
from vsr.media.write.writer import Segment
from vsr.system import discard


@dataclass(frozen=True, slots=True)
class SegmentDelivered:
    """A segment was finished."""

    segment: Segment
    """The segment, on this machine's storage."""
    worker: str
    """Name of the worker that made it."""


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """A task has ended with a worker."""

    worker: str
    """Name of the worker."""
    segments: int
    """How many segments of the task it made."""
    frames: int
    """How many frames those have."""
    stats: RunStats
    """What was met in the task; all 0 where the worker died."""


class VideoRun:
    """The tasks of one video, and the queue of messages to the thread that waits for it.

    All but ``messages`` and ``unfinished`` is touched under the scheduler's lock only.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.pending = deque(tasks)
        self.unfinished = len(tasks)  # tasks whose end the waiting thread has not read
        self.messages: queue.SimpleQueue[SegmentDelivered | TaskEnded | Event | BaseException] = (
            queue.SimpleQueue()
        )
        self.worker_deaths: Counter[int] = Counter()  # by segment
        self.attempts: list[Task] = []
        self.cancelled = False
        # A task without times has no end that is known: it can be a whole video.
        self.open_ended = any(task.times is None for task in tasks)
        self._reported_frames: Counter[int] = Counter()  # by segment

    def next_assignment(self, mark: str) -> Assignment:
        """The next task. ``mark`` goes into its files' names, so that no two attempts share one."""
        task = replace(self.pending.popleft(), mark=mark)
        self.attempts.append(task)
        return Assignment(self, task, self._reported_frames[task.index])

    def requeue(self, task: Task) -> None:
        """Put back a task whose worker died, before all others."""
        if not self.cancelled:
            self.pending.appendleft(replace(task, mark=""))

    def report_progress(self, assignment: Assignment, event: Advanced) -> None:
        """Pass on the number of frames made, without those that an earlier attempt had reported."""
        repeated = min(assignment.repeated_frames, event.frames)
        assignment.repeated_frames -= repeated
        self._reported_frames[assignment.task.index] += event.frames - repeated
        if event.frames > repeated:
            self.messages.put(replace(event, frames=event.frames - repeated))

    def remove_partial_files(self) -> None:
        """Remove the files of killed workers."""
        for task in self.attempts:
            for path in task.folder.glob(f"*{task.mark}.*"):
                discard(path)


@dataclass(slots=True, eq=False)
class Assignment:
    """A task that a worker makes."""

    run: VideoRun
    """The run that the task is of."""
    task: Task
    """What is left of the task: it shrinks as its segments are finished."""
    repeated_frames: int
    """Frames of the segment that an earlier attempt made and reported."""
    segments: int = 0
    """Finished segments."""
    frames: int = 0
    """Frames of finished segments."""

    def segment_done(self, segment: Segment) -> None:
        """Move the task's beginning behind a finished segment: another worker would go on there."""
        self.segments += 1
        self.frames += segment.frames
        self.repeated_frames = 0
        self.task = self.task.behind(segment)

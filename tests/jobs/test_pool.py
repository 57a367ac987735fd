"""Who gets which task: hands that answer at once, never, or die. No process and no cluster."""

from __future__ import annotations

import queue
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import MakeClip
from tests.jobs.test_run import options
from vsr.errors import DeviceError
from vsr.events import Event, Warned, ignore
from vsr.jobs.video import plan as planning
from vsr.jobs.video.plan import make_plan
from vsr.jobs.video.segment_tasks import open_task, segment_tasks
from vsr.jobs.video.segments import RunStats, Task
from vsr.jobs.workers import pool as pools
from vsr.jobs.workers import scheduler as schedulers
from vsr.jobs.workers.executor import Deliver
from vsr.jobs.workers.pool import WorkerPool
from vsr.jobs.workers.worker import Handshake, Message, SegmentMade, TaskDone, WorkerSetup
from vsr.media.write.writer import Segment
from vsr.weights import load

HANDSHAKE = Handshake("1", "2", "3", "f" * 64, "cpu fp32")


def nobody(segment: Segment, worker: str) -> None:
    del segment, worker


def into(made: list[tuple[int, str]]) -> Deliver:
    def deliver(segment: Segment, worker: str) -> None:
        made.append((segment.index, worker))

    return deliver


def never() -> bool:
    return False


NOTHING: Any = None  # an upscaler that nobody asks for


class WorkerHandle:
    """A worker that makes segments of nothing; ``absent`` never greets, ``mortal`` dies of each."""

    def __init__(self, setup: WorkerSetup, *, absent: bool = False, mortal: bool = False) -> None:
        self.name, self._mortal = setup.name, mortal
        self.made: list[Task] = []
        self._told: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        if not absent:
            self._told.put(replace(HANDSHAKE, name=setup.name))

    def give(self, task: Task) -> None:
        if self._mortal:
            self._told.put(None)
            return
        self.made.append(task)
        for number in range(1 if task.times else 3):
            shown = (task.times or (number * 10,))[:4]
            path = task.segment_path(task.index + number)
            self._told.put(SegmentMade(Segment(task.index + number, path, shown, 1, "")))
        self._told.put(TaskDone(RunStats(seconds=0.1)))

    def receive(self) -> Message | None:
        return self._told.get()

    def cause_of_death(self) -> str:
        return "it was mortal"

    def close(self, *, kill: bool = False) -> None:
        del kill
        self._told.put(None)


def setups(count: int) -> list[WorkerSetup]:
    return [
        WorkerSetup(NOTHING, options().engine, f"worker {number}", 1) for number in range(count)
    ]


@pytest.fixture
def tasks(make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Task, ...]:
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", 4 / 25)
    monkeypatch.setattr(pools, "POLL_SECONDS", 0.02)
    plan = make_plan(make_clip(frames=24), tmp_path / "out.mp4", options(), load("bicubic"))
    made = segment_tasks(plan, tmp_path, options().engine)
    assert made is not None
    return made


def test_a_place_where_nobody_comes_is_not_waited_for(
    tasks: tuple[Task, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedulers, "STARTUP_GRACE_SECONDS", 0.1)
    pool = WorkerPool(setups(2), lambda setup: WorkerHandle(setup, absent=setup.name == "worker 0"))
    delivered: list[tuple[int, str]] = []
    done = pool.run(tasks[:1], into(delivered), ignore, never)
    pool.close()
    assert done.complete
    assert delivered == [(0, "worker 1")]


def test_where_nobody_is_at_all_it_is_told_and_then_an_error(
    tasks: tuple[Task, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "WARN_AFTER_SECONDS", 0.05)
    pool = WorkerPool(
        setups(1), lambda setup: WorkerHandle(setup, absent=True), max_wait_seconds=0.3
    )
    events: list[Event] = []
    for call in (
        lambda: pool.start_one(events.append),
        lambda: pool.run(tasks, nobody, events.append, never),
    ):
        with pytest.raises(DeviceError, match="no worker was there"):
            call()
    pool.close()
    assert [type(event) for event in events] == [Warned, Warned]


def test_two_videos_at_once_go_to_the_same_workers(tasks: tuple[Task, ...]) -> None:
    handles: list[WorkerHandle] = []

    def spawn(setup: WorkerSetup) -> WorkerHandle:
        handles.append(WorkerHandle(setup))
        return handles[-1]

    pool = WorkerPool(setups(2), spawn)
    made: list[list[tuple[int, str]]] = [[], []]

    def run(number: int) -> None:
        pool.run(tasks, into(made[number]), ignore, never)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    pool.close()
    assert [sorted(index for index, _ in told) for told in made] == [[0, 1, 2, 3, 4, 5]] * 2
    assert len(handles) == 2
    marks = [task.mark for handle in handles for task in handle.made]
    assert len(set(marks)) == len(marks) == 12


def test_a_video_of_unknown_end_stops_after_the_segment_at_hand(tasks: tuple[Task, ...]) -> None:
    task = open_task(tasks[0].plan, tasks[0].folder, tasks[0].engine)
    pool = WorkerPool(setups(1), WorkerHandle)
    made: list[tuple[int, str]] = []
    done = pool.run([task], into(made), ignore, lambda: bool(made))
    assert ([index for index, _ in made], done.complete) == ([0], False)
    done = pool.run([task], into(made), ignore, never)
    assert ([index for index, _ in made], done.complete) == ([0, 0, 1, 2], True)
    pool.close()


def test_whoever_dies_of_a_segment_is_replaced_twice(tasks: tuple[Task, ...]) -> None:
    pool = WorkerPool(setups(2), lambda setup: WorkerHandle(setup, mortal=True))
    with pytest.raises(DeviceError, match=r"tried 3 times.*it was mortal"):
        pool.run(tasks[:1], nobody, ignore, never)
    pool.close()

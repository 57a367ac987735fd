"""Gives tasks to workers, listens to them, and replaces those that die.

One thread for each worker waits for its messages; all state changes happen under one lock.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Protocol

from vsr.errors import DeviceError, VsrError
from vsr.events import Advanced
from vsr.jobs.video.segments import RunStats, Task
from vsr.jobs.workers.video_run import Assignment, SegmentDelivered, TaskEnded, VideoRun
from vsr.jobs.workers.worker import (
    Handshake,
    Heartbeat,
    Message,
    SegmentMade,
    TaskDone,
    TaskFailed,
    WorkerCrashed,
    WorkerSetup,
    check_compatible,
)

log = logging.getLogger(__name__)
MAX_ATTEMPTS = 3  # to start a worker, and to make a segment
LOOK_SECONDS = 1.0  # between looks for workers that are silent
SILENCE_SECONDS = 60.0  # thirty heartbeats: then a worker with a task is replaced
STARTUP_GRACE_SECONDS = 60.0  # then another worker is started in place of one that is not ready


class WorkerHandle(Protocol):
    """A worker as the scheduler reaches it."""

    def give(self, task: Task) -> None:
        """Have it make a task; returns at once."""
        ...

    def receive(self) -> Message | None:
        """Wait for the next message; returns ``None`` once the worker is dead."""
        ...

    def cause_of_death(self) -> str:
        """Why it ended, as a clause for an error message."""
        ...

    def close(self, *, kill: bool = False) -> None:
        """End it: at once, or when it is idle. It is gone when this returns."""
        ...


@dataclass(slots=True, eq=False)
class WorkerSlot:
    """A worker that was started. It is free if ready and without assignment."""

    setup: WorkerSetup
    """What it was started with."""
    handle: WorkerHandle
    """What it is reached by."""
    name: str
    """Its name: that of the setup until its handshake gives one."""
    ready: bool = False
    """Whether its handshake came."""
    assignment: Assignment | None = None
    """The task that it works on."""
    cause: str = ""
    """Why it is about to end, where it said so."""
    since: float = field(default_factory=time.monotonic)
    """When it was started, in seconds of the monotonic clock."""
    heard: float = field(default_factory=time.monotonic)
    """When its last message came, or its task was given, in seconds of the same clock."""
    thread: threading.Thread = field(default_factory=threading.Thread)
    """The thread that listens to it."""


class Scheduler:
    """The workers, and the runs whose tasks they make.

    ``spawn`` starts a worker. ``expected`` is the handshake that all must give; by default that of
    the first worker to be ready.
    """

    def __init__(
        self,
        setups: Sequence[WorkerSetup],
        spawn: Callable[[WorkerSetup], WorkerHandle],
        expected: Handshake | None,
    ) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)  # a worker is ready, or none will ever be
        self.runs: list[VideoRun] = []
        self.slots: list[WorkerSlot] = []
        self.expected = expected
        self.error: BaseException | None = None  # why nothing can be made any more
        self._setups, self._spawn = setups, spawn
        self._threads: set[threading.Thread] = set()
        self._startup_failures: Counter[str] = Counter()  # by the name in the setup
        self._run = secrets.token_hex(3)
        self._looked = time.monotonic()
        self._attempts = count(1)

    @property
    def names(self) -> list[str]:
        """The names of all workers, also of those that are not ready yet."""
        with self.lock:
            return [slot.name for slot in self.slots]

    @property
    def none_ready(self) -> bool:
        """Whether no worker is ready, yet or any more."""
        with self.lock:
            return not any(slot.ready for slot in self.slots)

    def end(self, slots: Sequence[WorkerSlot], *, kill: bool) -> None:
        """End workers that were removed from ``slots``. They are gone when this returns."""
        for slot in slots:
            slot.handle.close(kill=kill)
        for slot in slots:
            slot.thread.join()

    def end_all(self, *, kill: bool) -> None:
        """End every worker, and wait for the threads that listen to them."""
        with self.lock:
            slots, self.slots = self.slots, []
        self.end(slots, kill=kill)
        for thread in list(self._threads):
            thread.join()

    def dispatch(self) -> None:
        """Give pending tasks to free workers, and start workers for those that are left."""
        for run in self.runs:
            for slot in self.slots:
                if run.pending and slot.ready and slot.assignment is None:
                    slot.assignment = run.next_assignment(f".{self._run}-{next(self._attempts)}")
                    slot.heard = time.monotonic()
                    slot.handle.give(slot.assignment.task)
        needed = sum(len(run.pending) for run in self.runs)
        needed += sum(slot.assignment is not None for slot in self.slots)
        self.spawn_up_to(needed)

    def spawn_up_to(self, needed: int) -> None:
        """Start workers until there are ``needed``, as far as there are setups.

        One that is not ready after :data:`STARTUP_GRACE_SECONDS` is not counted: its node may be
        gone.
        """
        taken = {slot.setup.name for slot in self.slots}
        free = [setup for setup in self._setups if setup.name not in taken]
        late = time.monotonic() - STARTUP_GRACE_SECONDS
        coming = sum(slot.ready or slot.since > late for slot in self.slots)
        for setup in free[: max(0, needed - coming)]:
            slot = WorkerSlot(setup, self._spawn(setup), setup.name)
            self.slots.append(slot)
            slot.thread = threading.Thread(target=self._listen, args=(slot,), daemon=True)
            self._threads.add(slot.thread)
            slot.thread.start()

    def replace_silent(self) -> None:
        """Kill workers that have a task and give no sign of life, and give their tasks to others.

        A process that was stopped, or whose machine hangs, is not dead, and would be waited for
        without end. If this process itself was suspended, silence does not count.
        """
        with self.lock:
            now, looked = time.monotonic(), self._looked
            if now - looked < LOOK_SECONDS:
                return
            self._looked = now
            if now - looked > max(SILENCE_SECONDS / 4, 3 * LOOK_SECONDS):
                for slot in self.slots:
                    slot.heard = now
            late = now - SILENCE_SECONDS
            silent = [
                slot
                for slot in self.slots
                if slot.ready and slot.assignment is not None and slot.heard < late
            ]
            self.slots = [slot for slot in self.slots if slot not in silent]
        for slot in silent:
            log.warning("%s gave no sign of life for %g s: replaced", slot.name, SILENCE_SECONDS)
            slot.handle.close(kill=True)
            with self.lock:
                self._on_worker_death(slot, f"it gave no sign of life for {SILENCE_SECONDS:g} s")

    def _listen(self, slot: WorkerSlot) -> None:
        """Handle a worker's messages until it ends; the target of its thread."""
        try:
            while (message := slot.handle.receive()) is not None:
                with self.lock:
                    slot.heard = time.monotonic()
                    if slot in self.slots:
                        self._handle(slot, message)
            with self.lock:
                died = slot in self.slots  # else it was ended from here
                if died:
                    self.slots.remove(slot)
            if died:
                cause = slot.cause or slot.handle.cause_of_death()
                slot.handle.close(kill=True)
                with self.lock:
                    self._on_worker_death(slot, cause)
        except BaseException as error:  # reaches the threads that wait for segments
            self.fail(error)
        finally:
            self._threads.discard(threading.current_thread())

    def _handle(self, slot: WorkerSlot, message: Message) -> None:
        assignment = slot.assignment
        match message:
            case Handshake():
                self._on_ready(slot, message)
            case Heartbeat():
                pass
            case WorkerCrashed():
                slot.cause = message.cause
            case TaskFailed() if assignment is not None:
                slot.assignment = None
                assignment.run.messages.put(message.error)
                self.dispatch()
            case TaskFailed():
                self.fail(message.error)
            case SegmentMade() if assignment is not None:
                assignment.segment_done(message.segment)
                assignment.run.messages.put(SegmentDelivered(message.segment, slot.name))
            case TaskDone() if assignment is not None:
                slot.assignment = None
                assignment.run.messages.put(
                    TaskEnded(slot.name, assignment.segments, assignment.frames, message.stats)
                )
                self.dispatch()
            case Advanced() if assignment is not None:
                assignment.run.report_progress(assignment, message)
            case SegmentMade() | TaskDone() | Advanced():
                kind = type(message).__name__
                log.info("%s from %s was dropped: its task is another's by now", kind, slot.name)
            case _ if assignment is not None:
                assignment.run.messages.put(message)
            case _:
                pass

    def _on_ready(self, slot: WorkerSlot, handshake: Handshake) -> None:
        """Take a worker's handshake: all workers must make the same bytes."""
        self.expected = self.expected or handshake
        try:
            check_compatible(handshake.name, handshake, self.expected)
        except VsrError as error:
            self.fail(error)
            return
        self.expected = replace(self.expected, placement=handshake.placement)
        slot.name, slot.ready = handshake.name, True
        self._startup_failures[slot.setup.name] = 0
        self.changed.notify_all()
        self.dispatch()

    def fail(self, error: BaseException) -> None:
        """End every run with an error, the present ones and later ones."""
        with self.lock:
            self.error = self.error or error
            self.changed.notify_all()
            for run in self.runs:  # a copy each: its kept segments are added to the hint
                run.messages.put(copy(error) if isinstance(error, VsrError) else error)

    def _on_worker_death(self, slot: WorkerSlot, cause: str) -> None:
        """Requeue a dead worker's task; after :data:`MAX_ATTEMPTS` it is an error."""
        assignment = slot.assignment
        if not slot.ready:
            self._startup_failures[slot.setup.name] += 1
            if self._startup_failures[slot.setup.name] >= MAX_ATTEMPTS:
                self.fail(
                    DeviceError(
                        f"worker {slot.name} could not be started: {cause}",
                        hint="a program in Python that gives --devices needs "
                        'if __name__ == "__main__": around what it does; the nodes of a cluster '
                        "need the same packages",
                    )
                )
        elif assignment is not None:
            task, run = assignment.task, assignment.run
            run.worker_deaths[task.index] += 1
            if run.worker_deaths[task.index] >= MAX_ATTEMPTS:
                run.messages.put(
                    DeviceError(
                        f"segment {task.index + 1} of {task.plan.info.path} was tried "
                        f"{MAX_ATTEMPTS} times, the last on {slot.name}: {cause}",
                        hint="give fewer --devices, or a smaller --tile or --vram, if memory is "
                        "short",
                    )
                )
            elif run.cancelled:  # its thread still counts what is under way
                run.messages.put(
                    TaskEnded(slot.name, assignment.segments, assignment.frames, RunStats())
                )
            else:
                run.requeue(task)
        self.dispatch()

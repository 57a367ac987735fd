"""Several workers on this machine, one process a device. A worker that dies is replaced."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from multiprocessing.connection import wait

from vsr.errors import DeviceError
from vsr.events import Advanced, EventSink
from vsr.jobs.devices import Seat
from vsr.jobs.executors.base import Deliver, Done, Ledger
from vsr.jobs.executors.process import Broken, Process, Refusal
from vsr.jobs.executors.worker import Hello, Result, Setup, check_alike
from vsr.jobs.segments import Task
from vsr.models.arch import Upscaler
from vsr.options import EngineOptions

TRIES = 3
LOOK_SECONDS = 1.0


class Parallel:
    """Gives each task to the next worker that is free; the processes stay for the next run."""

    def __init__(self, upscaler: Upscaler, options: EngineOptions, places: Sequence[Seat]) -> None:
        self._setups = {
            seat.name: Setup(
                upscaler, replace(options, device=seat.device), seat.name, seat.threads
            )
            for seat in places
        }
        self._processes: dict[str, Process] = {}
        self._expected: Hello | None = None
        self._attempts = count(1)
        self.workers = len(places)

    def run(
        self,
        tasks: Sequence[Task],
        deliver: Deliver,
        on_event: EventSink,
        should_stop: Callable[[], bool],
    ) -> Done:
        """See :class:`~vsr.jobs.executors.base.Executor`."""
        shift = _Shift(self, tasks, deliver, on_event, should_stop)
        try:
            return shift.work()
        except BaseException:
            self.close(kill=True)
            shift.sweep()
            raise

    def close(self, *, kill: bool = False) -> None:
        """End every process."""
        processes, self._processes = self._processes, {}
        for process in processes.values():
            process.close(kill=kill)

    def staff(self, needed: int = 0) -> list[Process]:
        """The workers; where more are needed and there is a seat, they are started."""
        for name, setup in list(self._setups.items())[:needed]:
            if name not in self._processes:
                self._processes[name] = Process(setup)
        return list(self._processes.values())

    def bury(self, process: Process) -> str:
        """Remove a worker that died; why it did."""
        del self._processes[process.name]
        cause = process.cause_of_death()
        process.close(kill=True)
        return cause

    def greet(self, process: Process, hello: Hello) -> None:
        """All must be alike."""
        self._expected = self._expected or hello
        check_alike(process.name, hello, self._expected)
        process.greeted = True

    def mark(self) -> str:
        """A name for an attempt that no other has, of no other run."""
        return f".{os.getpid()}-{next(self._attempts)}"


class _Shift:
    """One run of an executor: what is left, what is under way, what was tried."""

    def __init__(
        self,
        owner: Parallel,
        tasks: Sequence[Task],
        deliver: Deliver,
        on_event: EventSink,
        should_stop: Callable[[], bool],
    ) -> None:
        self._owner, self._deliver, self._should_stop = owner, deliver, should_stop
        self._on_event = on_event
        self._left = deque(tasks)
        self._marked: list[Task] = []
        self._deaths: Counter[int | str] = Counter()  # by segment, or by worker that had none
        self._told: Counter[int] = Counter()  # frames of a segment that were told as done
        self._again: dict[str, int] = {}  # frames that a worker makes for another time
        self._cause: dict[str, str] = {}
        self._ledger = Ledger([])
        self._begun = time.perf_counter()

    def work(self) -> Done:
        """Until every task is made, or it is asked to stop and none is under way."""
        names: dict[str, None] = {}
        while True:
            stopping = self._should_stop()
            under_way = [process for process in self._processes() if process.task is not None]
            if not under_way and (stopping or not self._left):
                self._ledger.names = list(names)
                shares = self._ledger.shares(time.perf_counter() - self._begun)
                return Done(self._ledger.tally, complete=not self._left, workers=shares)
            if not stopping:
                for process in self._owner.staff(len(self._left) + len(under_way)):
                    names[process.name] = None
                    if process.task is None and process.greeted and self._left:
                        self._give(process, self._left.popleft())
            ready = wait([p.connection for p in self._processes()], LOOK_SECONDS)
            for process in self._processes():
                if process.connection in ready:
                    self._hear(process)

    def sweep(self) -> None:
        """Remove what workers that were killed had begun."""
        for task in self._marked:
            path = task.segment_path(task.index)
            path.unlink(missing_ok=True)
            path.with_name(path.name + ".part").unlink(missing_ok=True)

    def _processes(self) -> list[Process]:
        return self._owner.staff()

    def _give(self, process: Process, task: Task) -> None:
        task = replace(task, mark=self._owner.mark())
        self._marked.append(task)
        self._again[process.name] = self._told[task.index]
        process.give(task)

    def _hear(self, process: Process) -> None:
        message = process.receive()
        match message:
            case None:
                self._mourn(process)
            case Hello():
                self._owner.greet(process, message)
            case Broken():
                self._cause[process.name] = message.cause
            case Refusal():
                raise message.error
            case Result():
                assert process.task is not None
                process.task = None
                self._ledger.add(process.name, message.segment, message.tally)
                self._deliver(message.segment, process.name)
            case Advanced():
                self._advance(process, message)
            case _:
                self._on_event(message)

    def _advance(self, process: Process, event: Advanced) -> None:
        """Tell of frames, but of none twice where a segment is made again."""
        assert process.task is not None
        again = min(self._again[process.name], event.frames)
        self._again[process.name] -= again
        self._told[process.task.index] += event.frames - again
        if event.frames > again:
            self._on_event(replace(event, frames=event.frames - again))

    def _mourn(self, process: Process) -> None:
        """A worker is dead: its task goes to the next one that is free, three times."""
        told = self._cause.pop(process.name, None)
        cause = self._owner.bury(process)
        cause = told or cause
        task = process.task
        key = process.name if task is None else task.index
        self._deaths[key] += 1
        if task is None:
            if self._deaths[key] >= TRIES:
                raise DeviceError(
                    f"worker {process.name} could not be started: {cause}",
                    hint="called from Python, a program that uses several devices needs "
                    'if __name__ == "__main__": around what it does',
                )
            return
        if self._deaths[key] >= TRIES:
            raise DeviceError(
                f"segment {task.index + 1} of {task.plan.info.path} was tried {TRIES} times, the "
                f"last on {process.name}: {cause}",
                hint="give fewer --devices, or a smaller --tile or --vram, if memory is short",
            )
        self._left.appendleft(replace(task, mark=""))

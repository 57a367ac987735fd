"""One worker in a process of its own, and the pipe to it. It knows nothing of other workers."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from vsr.errors import VsrError
from vsr.events import Event
from vsr.jobs.executors.worker import Hello, Result, Setup, Worker
from vsr.jobs.segments import Diverged, Task
from vsr.runtime import keep_freed_memory

Message = Any  # Hello, Result, Event, Refusal or Broken, as it comes out of the pipe
_SPAWN = multiprocessing.get_context("spawn")  # forked, neither CUDA nor codecs' threads would live


@dataclass(frozen=True, slots=True)
class Refusal:
    """A task failed in a way that another try would not mend."""

    error: VsrError | Diverged


@dataclass(frozen=True, slots=True)
class Broken:
    """The process is about to end for a reason that is no message for people."""

    cause: str


class Process:
    """A worker's process, from the first moment on. ``task`` is what it is at."""

    def __init__(self, setup: Setup) -> None:
        self.name = setup.name
        self.task: Task | None = None
        self.greeted = False
        self.connection, theirs = _SPAWN.Pipe()
        self._process: SpawnProcess = _SPAWN.Process(
            # Bytes, or torch would put the weights into shared memory: containers have little.
            target=serve,
            args=(theirs, pickle.dumps(setup)),
            name=f"vsr-{setup.name}",
            daemon=True,
        )
        with _ctrl_c_held_back(), theirs:
            self._process.start()

    def give(self, task: Task) -> None:
        """Hand over a task. One that died meanwhile is found out by its pipe."""
        self.task = task
        with suppress(OSError):
            self.connection.send(task)

    def receive(self) -> Message | None:
        """The next message, or ``None`` where none will ever come: it is dead."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return None

    def cause_of_death(self) -> str:
        """Why it ended, for people."""
        self._process.join(10)
        code = self._process.exitcode
        if code is None or code >= 0:
            return f"its process ended with exit code {code}"
        name = signal.Signals(-code).name if -code in list(signal.Signals) else ""
        killed = f"its process was killed by signal {-code} ({name})"
        return f"{killed}, as the system does when memory runs out" if -code == 9 else killed

    def close(self, *, kill: bool = False) -> None:
        """End it: at once, or when it has nothing to do. It is gone when this returns."""
        kill = kill or not self.greeted  # it may be at its imports for seconds
        if kill:
            self._process.kill()
        with suppress(OSError):
            self.connection.send(None)
        self._process.join(None if kill else 10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.connection.close()
        self._process.close()


def serve(connection: Connection, setup: bytes) -> None:
    """The process: a greeting, then tasks until none comes. It does not outlive its parent."""
    keep_freed_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    lock = threading.Lock()  # events come from the threads of the pipeline

    def send(message: Hello | Result | Event | Refusal | Broken) -> None:
        with lock:
            connection.send(message)

    try:
        worker = Worker(pickle.loads(setup))
        send(worker.hello)
        while (task := connection.recv()) is not None:
            try:
                send(worker.make(task, send))
            except (VsrError, Diverged) as error:
                send(Refusal(error))
    except VsrError as error:
        send(Refusal(error))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # nobody is there to be told
    except BaseException as error:  # told, for this process has no other voice, and then it ends
        send(Broken(f"{type(error).__name__}: {error}"))
        os._exit(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


@contextmanager
def _ctrl_c_held_back() -> Generator[None]:
    """A process started inside never gets Ctrl-C, which terminals send to all: its parent decides.

    What is blocked is inherited; for this process it comes a moment later.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # started by the first process, it would unblock SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

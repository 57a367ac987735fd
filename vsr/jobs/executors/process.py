"""One worker in a process of its own, and the pipe to it. It knows nothing of other workers."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from vsr.errors import VsrError
from vsr.jobs.executors.worker import Broken, Hello, Message, Refusal, Setup, Worker
from vsr.jobs.segments import Task
from vsr.runtime import keep_freed_memory

_SPAWN = multiprocessing.get_context("spawn")  # forked, neither CUDA nor codecs' threads would live


class Process:
    """A worker's process, from the first moment on; a :class:`~vsr.jobs.executors.base.Hand`."""

    def __init__(self, setup: Setup) -> None:
        self._greeted = False
        self._connection, theirs = _SPAWN.Pipe()
        self._process: SpawnProcess = _SPAWN.Process(
            target=serve,
            args=(theirs,),
            name=f"vsr-{setup.name}",
            daemon=True,
        )
        with _ctrl_c_held_back(), theirs:
            self._process.start()
        # It reads when it has imported all it needs, and the next worker is not to wait for that.
        threading.Thread(target=self._send_setup, args=(setup,), daemon=True).start()

    def give(self, task: Task) -> None:
        """Hand over a task. One that died meanwhile is found out by its pipe."""
        with suppress(OSError):
            self._connection.send(task)

    def _send_setup(self, setup: Setup) -> None:
        # Pickled here: torch would put the weights into shared memory, of which containers have
        # little.
        with suppress(OSError):
            self._connection.send_bytes(pickle.dumps(setup))

    def receive(self) -> Message | None:
        """The next message, or ``None`` where none will ever come: it is dead."""
        try:
            message: Message = self._connection.recv()
        except (EOFError, OSError):
            self._connection.close()
            return None
        self._greeted |= isinstance(message, Hello)
        return message

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
        """End it: at once, or when it has nothing to do. It is gone when this returns.

        The pipe is closed by who receives from it, at its end.
        """
        kill = kill or not self._greeted  # it may be at its imports for seconds
        if kill:
            self._process.kill()
        with suppress(OSError):
            self._connection.send(None)
        self._process.join(None if kill else 10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()


def serve(connection: Connection) -> None:
    """The process: its setup comes, it greets, then tasks come. It does not outlive its parent."""
    keep_freed_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    lock = threading.Lock()  # events come from the threads of the pipeline

    def send(message: Message) -> None:
        with lock:
            connection.send(message)

    try:
        worker = Worker(pickle.loads(connection.recv_bytes()))
        send(worker.hello)
        while (task := connection.recv()) is not None:
            worker.make(task, send)
        os._exit(0)  # it holds nothing that wants closing, and torch takes its time to go
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

"""One worker in a process of its own, and the pipe to it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from vsr.errors import VsrError
from vsr.jobs.video.segments import Task
from vsr.jobs.workers.worker import (
    HEARTBEAT_SECONDS,
    Handshake,
    Heartbeat,
    Message,
    TaskFailed,
    Worker,
    WorkerCrashed,
    WorkerSetup,
)
from vsr.runtime import keep_freed_memory
from vsr.system import ignore_sigint, sigint_blocked

_SPAWN = multiprocessing.get_context("spawn")  # forked, neither CUDA nor codecs' threads would live


class WorkerProcess:
    """A worker's process; a :class:`~vsr.jobs.workers.scheduler.WorkerHandle`."""

    def __init__(self, setup: WorkerSetup) -> None:
        self._ready = False
        self._connection, theirs = _SPAWN.Pipe()
        self._process: SpawnProcess = _SPAWN.Process(
            target=serve,
            args=(theirs,),
            name=f"vsr-{setup.name}",
            daemon=True,
        )
        with sigint_blocked(), theirs:
            self._process.start()
        # It reads when it has imported all it needs, and the next worker is not to wait for that.
        self._sender = threading.Thread(target=self._send_setup, args=(setup,), daemon=True)
        self._sender.start()

    def give(self, task: Task) -> None:
        """Send a task. That the process has died is found out by :meth:`receive`."""
        with suppress(OSError):
            self._connection.send(task)

    def _send_setup(self, setup: WorkerSetup) -> None:
        # Pickled here: torch would put the weights into shared memory, of which containers have
        # little.
        with suppress(OSError):
            self._connection.send_bytes(pickle.dumps(setup))

    def receive(self) -> Message | None:
        """Wait for the next message; returns ``None`` once the process is dead."""
        try:
            message: Message = self._connection.recv()
        except (EOFError, OSError):
            self._sender.join()  # it ends with the process; closed under it, the pipe is no number
            self._connection.close()
            return None
        self._ready |= isinstance(message, Handshake)
        return message

    def cause_of_death(self) -> str:
        """Why the process ended, as a clause for an error message."""
        self._process.join(10)
        code = self._process.exitcode
        if code is None or code >= 0:
            return f"its process ended with exit code {code}"
        name = signal.Signals(-code).name if -code in list(signal.Signals) else ""
        killed = f"its process was killed by signal {-code} ({name})"
        return f"{killed}, as the system does when memory runs out" if -code == 9 else killed

    def close(self, *, kill: bool = False) -> None:
        """End the process: at once, or when it is idle. It is gone when this returns.

        The pipe is closed by the thread that receives from it.
        """
        kill = kill or not self._ready  # its imports may take seconds more
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
    """Run a worker: read its setup, send the handshake, then make each task that comes.

    The target of the process, which does not outlive its parent.
    """
    ignore_sigint()
    keep_freed_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    lock = threading.Lock()  # events come from the threads of the pipeline

    def send(message: Message) -> None:
        with lock:
            connection.send(message)

    try:
        worker = Worker(pickle.loads(connection.recv_bytes()))
        send(worker.handshake)
        threading.Thread(target=_beat, args=(send,), daemon=True).start()
        while (task := connection.recv()) is not None:
            worker.make(task, send)
        os._exit(0)  # it holds nothing that wants closing, and torch takes its time to go
    except VsrError as error:
        send(TaskFailed(error))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # the parent is gone
    except BaseException as error:  # the parent reports it; this process ends
        send(WorkerCrashed(f"{type(error).__name__}: {error}"))
        os._exit(1)


def _beat(send: Callable[[Message], None]) -> None:
    with suppress(OSError):  # the parent is gone
        while True:
            time.sleep(HEARTBEAT_SECONDS)
            send(Heartbeat())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)

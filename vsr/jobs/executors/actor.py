"""One worker as an actor of Ray's, and the hand that reaches it. It knows of no other."""

from __future__ import annotations

import importlib
import pickle
import platform
import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from vsr.errors import VsrError
from vsr.jobs.executors.shipping import Arrival, Piece, Trunk, files_of, pieces, read_piece
from vsr.jobs.executors.worker import Broken, Message, Over, Refusal, Result, Setup, Worker
from vsr.jobs.segments import Task
from vsr.options import EngineOptions
from vsr.runtime import keep_freed_memory

AHEAD = 4  # messages, pieces of a segment among them, that Ray holds until they are fetched


class Actor:
    """The worker's side: what it has to say comes as generators, one message at a time."""

    def __init__(
        self, weights: bytes, options: EngineOptions, name: str, threads: int, feeder: Any
    ) -> None:
        keep_freed_memory()
        self._setup = (options, f"{platform.node()} {name}", threads)
        self._weights = weights
        self._worker: Worker | None = None
        self._trunk: Trunk | None = None
        if feeder is not None:
            self._trunk = Trunk(
                lambda source: _get(feeder.files_of.remote(source)),
                lambda path, start: _get(feeder.read_piece.remote(path, start)),
            )

    def greet(self) -> Generator[Message]:
        """What this worker is."""
        try:
            self._worker = Worker(Setup(pickle.loads(self._weights), *self._setup))
        except VsrError as error:
            yield Refusal(error)
        else:
            yield self._worker.hello

    def make(self, task: Task) -> Generator[Message | Piece]:
        """Make a task, and tell of it as it goes on."""
        told: queue.SimpleQueue[Message] = queue.SimpleQueue()
        thread = threading.Thread(target=self._make, args=(task, told), daemon=True)
        thread.start()
        message: Message | None = None
        while not isinstance(message, Over | Refusal | Broken):
            message = told.get()
            if isinstance(message, Result) and self._trunk is not None:
                yield from pieces(message.segment.path)
                message.segment.path.unlink()
            yield message
        thread.join()

    def leave(self) -> None:
        """Remove what was shipped here."""
        if self._trunk is not None:
            self._trunk.close()

    def _make(self, task: Task, told: queue.SimpleQueue[Message]) -> None:
        assert self._worker is not None
        try:
            if self._trunk is not None:
                task = self._trunk.unpacked(task)
            self._worker.make(task, told.put)
        except BaseException as error:  # told: nobody would hear of it otherwise
            told.put(Broken(f"{type(error).__name__}: {error}"))


class Feeder:
    """Reads sources where the command runs, for workers that do not see them."""

    def files_of(self, source: Path) -> list[tuple[Path, int]]:
        """See :func:`~vsr.jobs.executors.shipping.files_of`."""
        return files_of(source)

    def read_piece(self, path: Path, start: int) -> bytes:
        """See :func:`~vsr.jobs.executors.shipping.read_piece`."""
        return read_piece(path, start)


def feeder_for(ray: Any) -> Any:
    """A feeder on this very node."""
    here = ray.get_runtime_context().get_node_id()
    strategies = importlib.import_module("ray.util.scheduling_strategies")
    place = strategies.NodeAffinitySchedulingStrategy(here, soft=False)
    kind = ray.remote(Feeder).options(num_cpus=0, max_concurrency=8, scheduling_strategy=place)
    return kind.remote()


class Remote:
    """The command's side; a :class:`~vsr.jobs.executors.roster.Hand`."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor
        self._errors: type[Exception] = importlib.import_module("ray.exceptions").RayError
        self._streams: queue.SimpleQueue[Iterator[Any] | None] = queue.SimpleQueue()
        self._stream: Iterator[Any] | None = None
        self._arrival: Arrival | None = None
        self._cause = "it was ended"
        self._call(actor.greet)

    def give(self, task: Task) -> None:
        """Hand over a task."""
        self._arrival = Arrival(task)
        self._call(self._actor.make, task)

    def receive(self) -> Message | None:
        """Wait for the next message; ``None`` where none will ever come: it is dead."""
        try:
            return self._next()
        except self._errors as error:
            self._cause = _said(error)
            return None

    def cause_of_death(self) -> str:
        """Why it ended, for people."""
        return self._cause

    def close(self, *, kill: bool = False) -> None:
        """End it: at once, or when it has nothing to do."""
        if not kill and self._stream is None:
            with suppress(self._errors):
                self._ray.get(self._actor.leave.remote(), timeout=10)
        with suppress(self._errors):
            self._ray.kill(self._actor, no_restart=True)
        self._streams.put(None)

    def _call(self, method: Any, *arguments: object) -> None:
        options = {"num_returns": "streaming", "_generator_backpressure_num_objects": AHEAD}
        self._streams.put(method.options(**options).remote(*arguments))

    def _next(self) -> Message | None:
        while True:
            if self._stream is None:
                self._stream = self._streams.get()
            if self._stream is None:
                return None  # it was closed
            reference = next(self._stream, None)
            if reference is None:
                self._stream = None
                continue
            message: Message | Piece = self._ray.get(reference)
            if isinstance(message, Piece):
                assert self._arrival is not None
                self._arrival.add(message)
            elif isinstance(message, Result) and self._arrival is not None:
                segment = self._arrival.complete(message.segment)
                if segment is None:
                    self._cause = "what it sent arrived damaged"
                return None if segment is None else Result(segment)
            else:
                return message


def _get(reference: Any) -> Any:
    """The value of one of Ray's references, on a node."""
    return importlib.import_module("ray").get(reference)


def _said(error: Exception) -> str:
    """The sentence of Ray's that tells most: the last one, above which the traceback stands."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__

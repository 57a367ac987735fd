"""One worker as a Ray actor, and the handle through which the command reaches it."""

from __future__ import annotations

import importlib
import pickle
import platform
import queue
import secrets
import threading
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vsr.errors import MediaError, VsrError
from vsr.jobs.video.segments import Task
from vsr.jobs.workers.shipping import (
    Chunk,
    SegmentReceiver,
    SourceCache,
    read_chunk,
    read_chunks,
    source_files,
)
from vsr.jobs.workers.worker import (
    HEARTBEAT_SECONDS,
    Heartbeat,
    Message,
    SegmentMade,
    TaskDone,
    TaskFailed,
    Worker,
    WorkerCrashed,
    WorkerSetup,
)
from vsr.options import EngineOptions
from vsr.runtime import keep_freed_memory

# Messages, chunks of a segment among them, that Ray holds until the command fetches them.
MAX_QUEUED_MESSAGES = 4


class Actor:
    """The worker's side, on a node: its methods yield the worker's messages one at a time."""

    def __init__(
        self, weights: bytes, options: EngineOptions, name: str, threads: int, files: Any
    ) -> None:
        keep_freed_memory()
        self._setup = (options, f"{platform.node()} {name}", threads)
        self._weights = weights
        self._worker: Worker | None = None
        self._cache: SourceCache | None = None
        if files is not None:
            self._cache = SourceCache(
                lambda source: _get(files.source_files.remote(source)),
                lambda path, start: _get(files.read_chunk.remote(path, start)),
            )

    def start(self) -> Generator[Message]:
        """Build the worker; yields its handshake, or a failure that no other try would mend."""
        try:
            self._worker = Worker(WorkerSetup(pickle.loads(self._weights), *self._setup))
        except VsrError as error:
            yield TaskFailed(error)
        else:
            yield self._worker.handshake

    def make(self, task: Task) -> Generator[Message | Chunk]:
        """Make a task; yields its messages.

        Where the source was fetched, the chunks of a segment's file go before its message.
        """
        messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        thread = threading.Thread(target=self._make, args=(task, messages), daemon=True)
        thread.start()
        message: Message | None = None
        while not isinstance(message, TaskDone | TaskFailed | WorkerCrashed):
            try:
                message = messages.get(timeout=HEARTBEAT_SECONDS)
            except queue.Empty:
                yield Heartbeat()
                continue
            if isinstance(message, SegmentMade) and self._cache is not None:
                yield from read_chunks(message.segment.path)
                message.segment.path.unlink()
            yield message
        thread.join()

    def clean_up(self) -> None:
        """Remove the fetched source and what was made of it."""
        if self._cache is not None:
            self._cache.close()

    def _make(self, task: Task, messages: queue.SimpleQueue[Message]) -> None:
        assert self._worker is not None
        try:
            if self._cache is not None:
                task = self._cache.localized(task)
            self._worker.make(task, messages.put)
        except BaseException as error:  # sent on: a thread has nobody to raise to
            messages.put(WorkerCrashed(f"{type(error).__name__}: {error}"))


class FileServer:
    """Reads sources on the node of the command, for workers without access to its storage.

    It serves what is offered, and nothing else that its node can read. Who offers knows ``key``,
    which workers do not. Its methods are called from several threads.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._lock = threading.Lock()
        self._offered: Counter[Path] = Counter()
        self._files: dict[Path, list[tuple[Path, int]]] = {}

    def offer(self, key: str, source: Path, files: list[tuple[Path, int]]) -> None:
        """Serve the files of a source, until it is withdrawn as often as offered."""
        self._check_key(key)
        with self._lock:
            self._offered[source] += 1
            self._files[source] = files

    def withdraw(self, key: str, source: Path) -> None:
        """Serve a source no longer."""
        self._check_key(key)
        with self._lock:
            self._offered[source] -= 1
            if self._offered[source] <= 0:
                del self._offered[source]
                self._files.pop(source, None)

    def source_files(self, source: Path) -> list[tuple[Path, int]]:
        """See :func:`~vsr.jobs.workers.shipping.source_files`. Raises :class:`MediaError`."""
        with self._lock:
            files = self._files.get(source)
        if files is None:
            raise MediaError(f"{source} is not a source of a run that is under way")
        return files

    def read_chunk(self, path: Path, start: int) -> bytes:
        """See :func:`~vsr.jobs.workers.shipping.read_chunk`. Raises :class:`MediaError`."""
        with self._lock:
            served = any(path == file for files in self._files.values() for file, _ in files)
        if not served:
            raise MediaError(f"{path} is not a source of a run that is under way")
        return read_chunk(path, start)

    def _check_key(self, key: str) -> None:
        if not secrets.compare_digest(key, self._key):
            raise MediaError("only the command that started it offers files")


class Offers:
    """The command's side of a :class:`FileServer`, whose actor ``files`` is Ray's handle of."""

    def __init__(self, ray: Any) -> None:
        node = ray.get_runtime_context().get_node_id()
        strategies = importlib.import_module("ray.util.scheduling_strategies")
        strategy = strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        options = {"num_cpus": 0, "max_concurrency": 8, "scheduling_strategy": strategy}
        self._ray, self._key = ray, secrets.token_hex(16)
        self.files = ray.remote(FileServer).options(**options).remote(self._key)

    @contextmanager
    def of(self, source: Path) -> Generator[None]:
        """Have a source served for a while."""
        self._ray.get(self.files.offer.remote(self._key, source, source_files(source)))
        try:
            yield
        finally:
            self.files.withdraw.remote(self._key, source)


class ActorHandle:
    """The command's side of an actor; a :class:`~vsr.jobs.workers.scheduler.WorkerHandle`."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor
        self._errors: type[Exception] = importlib.import_module("ray.exceptions").RayError
        self._streams: queue.SimpleQueue[Iterator[Any] | None] = queue.SimpleQueue()
        self._stream: Iterator[Any] | None = None
        self._receiver: SegmentReceiver | None = None
        self._cause = "it was ended"
        self._call(actor.start)

    def give(self, task: Task) -> None:
        """Have the actor make a task."""
        self._receiver = SegmentReceiver(task)
        self._call(self._actor.make, task)

    def receive(self) -> Message | None:
        """Wait for the next message; returns ``None`` once the actor is dead."""
        try:
            return self._next()
        except self._errors as error:
            self._cause = _last_line(error)
            return None

    def cause_of_death(self) -> str:
        """Why the actor ended, as a clause for an error message."""
        return self._cause

    def close(self, *, kill: bool = False) -> None:
        """End the actor: at once, or with its files removed where it is idle."""
        if not kill and self._stream is None:
            with suppress(self._errors):
                self._ray.get(self._actor.clean_up.remote(), timeout=10)
        with suppress(self._errors):
            self._ray.kill(self._actor, no_restart=True)
        self._streams.put(None)

    def _call(self, method: Any, *arguments: object) -> None:
        options = {
            "num_returns": "streaming",
            "_generator_backpressure_num_objects": MAX_QUEUED_MESSAGES,
        }
        self._streams.put(method.options(**options).remote(*arguments))

    def _next(self) -> Message | None:
        while True:
            if self._stream is None:
                self._stream = self._streams.get()
            if self._stream is None:
                return None  # closed
            reference = next(self._stream, None)
            if reference is None:
                self._stream = None
                continue
            message: Message | Chunk = self._ray.get(reference)
            if isinstance(message, Chunk):
                assert self._receiver is not None
                self._receiver.add(message)
            elif isinstance(message, SegmentMade) and self._receiver is not None:
                segment = self._receiver.complete(message.segment)
                if segment is None:
                    self._cause = "what it sent arrived damaged"
                return None if segment is None else SegmentMade(segment)
            else:
                return message


def _get(reference: Any) -> Any:
    """Returns the value of a Ray object reference, on a node."""
    return importlib.import_module("ray").get(reference)


def _last_line(error: Exception) -> str:
    """The last line of a Ray error: the exception itself, above which its traceback stands."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__

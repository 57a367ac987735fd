"""Copies sources to workers and segments back, in chunks, where they share no storage.

A worker fetches a source as a whole, once, and keeps the last one. A few chunks for each worker are
on their way at a time. What carries them is the caller's.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import IO

from vsr.errors import MediaError
from vsr.jobs.video.segments import Task
from vsr.media.files import translated
from vsr.media.read.images import pictures_in
from vsr.media.write.writer import Segment
from vsr.system import Lock, replace_file, sync_file

CHUNK_BYTES = 4 << 20
PREFIX = "vsr-ship-"
LOCK_GRACE_SECONDS = 60  # a folder this young may not be locked yet


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next part of a segment's file, in order."""

    data: bytes
    """At most :data:`CHUNK_BYTES` bytes, and at least one."""


def source_files(source: Path) -> list[tuple[Path, int]]:
    """The files of a source and their sizes in bytes: itself, or the pictures of a folder."""
    with translated(source, "read"):
        paths = pictures_in(source) if source.is_dir() else [source]
        return [(path, path.stat().st_size) for path in paths]


def read_chunk(path: Path, start: int) -> bytes:
    """The chunk of a file that begins at byte ``start``; empty at its end."""
    with translated(path, "read"), path.open("rb") as file:
        file.seek(start)
        return file.read(CHUNK_BYTES)


def read_chunks(path: Path) -> Iterator[Chunk]:
    """All chunks of a file, in order."""
    with translated(path, "read"), path.open("rb") as file:
        while data := file.read(CHUNK_BYTES):
            yield Chunk(data)


class SourceCache:
    """A worker's temporary folder: a copy of the last source, and the segment that is made of it.

    The folder is locked while its process lives; unlocked ones of killed processes are removed.
    """

    def __init__(
        self,
        source_files: Callable[[Path], list[tuple[Path, int]]],
        read_chunk: Callable[[Path, int], bytes],
    ) -> None:
        self._source_files, self._read_chunk = source_files, read_chunk
        _remove_abandoned(Path(tempfile.gettempdir()))
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = Lock(self._folder / "lock")
        self._lock.take(patience_seconds=inf)
        self._source: Path | None = None

    def localized(self, task: Task) -> Task:
        """The task with paths into this folder; its source is fetched if it is not the last one.

        Raises :class:`MediaError` where the source changed meanwhile.
        """
        source, local = task.plan.info.path, self._folder / "source"
        if self._source != source:
            self._source = None
            with translated(local, "write"):
                shutil.rmtree(local, ignore_errors=True)
                local.mkdir()
                for path, size in self._source_files(source):
                    self._fetch(path, local / path.name, size)
            self._source = source
        here = local if task.plan.info.is_folder else local / source.name
        info = replace(task.plan.info, path=here)
        return replace(task, plan=replace(task.plan, info=info), folder=self._folder)

    def close(self) -> None:
        """Remove the folder."""
        self._lock.remove()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _fetch(self, source: Path, local: Path, size: int) -> None:
        with local.open("wb") as file:
            while data := self._read_chunk(source, file.tell()):
                file.write(data)
            if file.tell() != size:
                raise MediaError(f"{source} changed while it was sent to a worker")


class SegmentReceiver:
    """Writes the segments of a task, as their chunks come, into the folder of its run."""

    def __init__(self, task: Task) -> None:
        self._folder = task.folder
        self._part = task.folder / f"arriving{task.mark}.part"
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()

    def add(self, chunk: Chunk) -> None:
        """Write the next chunk."""
        with translated(self._part, "write"):
            self._file = self._file or self._part.open("wb")
            self._file.write(chunk.data)
        self._hash.update(chunk.data)

    def complete(self, segment: Segment) -> Segment | None:
        """The segment with its path here; ``None`` if its bytes do not have its hash.

        Where no chunk came, the worker itself wrote to this storage.
        """
        if self._file is None:
            return segment
        with translated(self._part, "write"), self._file as file:
            sync_file(file)
        digest, self._hash, self._file = self._hash.hexdigest(), hashlib.sha256(), None
        path = self._folder / segment.path.name
        with translated(path, "write"):
            replace_file(self._part, path)
        return replace(segment, path=path) if digest == segment.sha256 else None


def _remove_abandoned(folder: Path) -> None:
    """Remove the folders of dead processes: those without a lock."""
    for path in folder.glob(f"{PREFIX}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime < LOCK_GRACE_SECONDS:
                continue
            if not (path / "lock").is_file():
                continue
            lock = Lock(path / "lock")
            if lock.take(patience_seconds=0):
                lock.remove()
                shutil.rmtree(path, ignore_errors=True)

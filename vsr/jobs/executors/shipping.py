"""Sources to workers and segments back in pieces, where they share no storage. Knows no transport.

A worker fetches a source whole, once, and keeps one; on their way are a few pieces for each worker.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from vsr.errors import MediaError
from vsr.jobs.segments import Task
from vsr.media.files import translated
from vsr.media.images import pictures_in
from vsr.media.writer import Segment

PIECE_BYTES = 4 << 20
PREFIX = "vsr-ship-"
FRESH_SECONDS = 60  # a folder this young may not be locked yet


@dataclass(frozen=True, slots=True)
class Piece:
    """The next bytes of a segment's file, in order."""

    data: bytes


def files_of(source: Path) -> list[tuple[Path, int]]:
    """What a source consists of, and how many bytes: itself, or the pictures of a folder."""
    with translated(source, "read"):
        paths = pictures_in(source) if source.is_dir() else [source]
        return [(path, path.stat().st_size) for path in paths]


def read_piece(path: Path, start: int) -> bytes:
    """The piece of a file that begins at ``start``; empty behind its end."""
    with translated(path, "read"), path.open("rb") as file:
        file.seek(start)
        return file.read(PIECE_BYTES)


def pieces(path: Path) -> Iterator[Piece]:
    """A whole file."""
    with translated(path, "read"), path.open("rb") as file:
        while data := file.read(PIECE_BYTES):
            yield Piece(data)


class Trunk:
    """A worker's folder: the source at hand, and the segment that it makes of it.

    It is locked while its process lives; those of processes that were killed are removed.
    """

    def __init__(
        self,
        files_of: Callable[[Path], list[tuple[Path, int]]],
        read_piece: Callable[[Path, int], bytes],
    ) -> None:
        self._files_of, self._read_piece = files_of, read_piece
        _sweep(Path(tempfile.gettempdir()))
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = (self._folder / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._source: Path | None = None

    def unpacked(self, task: Task) -> Task:
        """The same task with paths of this machine; its source is fetched if it is not here."""
        source, place = task.plan.info.path, self._folder / "source"
        if self._source != source:
            self._source = None
            with translated(place, "write"):
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                for path, size in self._files_of(source):
                    self._fetch(path, place / path.name, size)
            self._source = source
        here = place if task.plan.info.is_folder else place / source.name
        info = replace(task.plan.info, path=here)
        return replace(task, plan=replace(task.plan, info=info), folder=self._folder)

    def close(self) -> None:
        """Remove it all."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()

    def _fetch(self, source: Path, place: Path, size: int) -> None:
        with place.open("wb") as file:
            while data := self._read_piece(source, file.tell()):
                file.write(data)
            if file.tell() != size:
                raise MediaError(f"{source} changed while it was sent to a worker")


class Arrival:
    """A task's segments on their way into the folder of its run."""

    def __init__(self, task: Task) -> None:
        self._folder = task.folder
        self._part = task.folder / f"arriving{task.mark}.part"
        self._file: IO[bytes] | None = None
        self._hash = hashlib.sha256()

    def add(self, piece: Piece) -> None:
        """Write the next piece."""
        with translated(self._part, "write"):
            self._file = self._file or self._part.open("wb")
            self._file.write(piece.data)
        self._hash.update(piece.data)

    def complete(self, segment: Segment) -> Segment | None:
        """A segment in its place here, where it may have been written; ``None`` if damaged."""
        if self._file is None:
            return segment
        with translated(self._part, "write"), self._file as file:
            file.flush()
            os.fsync(file.fileno())
        digest, self._hash, self._file = self._hash.hexdigest(), hashlib.sha256(), None
        path = self._folder / segment.path.name
        with translated(path, "write"):
            os.replace(self._part, path)
        return replace(segment, path=path) if digest == segment.sha256 else None

    def abandon(self) -> None:
        """Drop what came of a segment that will not be complete."""
        if self._file is not None:
            self._file.close()
            self._part.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove the trunks of processes that are dead: they hold no lock."""
    for path in folder.glob(f"{PREFIX}*"):
        with suppress(OSError), (path / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - path.stat().st_mtime > FRESH_SECONDS:
                shutil.rmtree(path, ignore_errors=True)

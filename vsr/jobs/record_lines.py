"""The lines of a batch's record: appended whole, and read once each, whoever else appends.

It knows which line is the last of a target in each state, and not what the lines mean.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from vsr.errors import MediaError, StorageError
from vsr.system import Lock, open_own, read_at, sync_file

VERSION = 1
PATIENCE_SECONDS = 60.0  # a line takes milliseconds, on storage that sleeps some seconds
Row = Mapping[str, Any]


class RecordLines:
    """A file of JSON objects, each with a ``version``, a ``target`` and a ``state``.

    Of each target the places of its last lines are kept, not the lines. What others appended since
    is read when it is asked for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock(path.with_suffix(".lock"))
        self._thread_lock = threading.Lock()
        self._file_id: tuple[int, int] | None = None
        self._read_bytes = 0
        self._places: dict[str, dict[str, tuple[int, int]]] = {}  # by target and state: start, size

    def latest(self, target: str) -> dict[str, Row]:
        """A target's last line of each state. A begun one counts until another state follows it."""
        with self._thread_lock:
            try:
                with os.fdopen(open_own(self.path, os.O_RDONLY), "rb") as file:
                    self._follow(file.fileno())
                    places = self._places.get(target, {})
                    found = {s: _row(file.fileno(), *place) for s, place in places.items()}
            except FileNotFoundError:
                return {}
            except OSError as error:
                raise MediaError(f"cannot read {self.path}: {error.strerror}") from error
        return {state: row for state, row in found.items() if row and row["target"] == target}

    def append(self, row: Row, *, synced: bool) -> None:
        """Add a line; ``synced``: it and all before it are on the disk before this returns.

        Whoever else writes waits for it. Raises :class:`MediaError`.
        """
        with self._thread_lock:
            try:
                self._take_lock()
                try:
                    self._write(row, synced=synced)
                finally:
                    self._lock.release()
            except OSError as error:
                raise MediaError(f"cannot write {self.path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Have every line on the disk, where there are any, and leave no lock behind."""
        with self._thread_lock:
            try:
                with os.fdopen(open_own(self.path, os.O_RDWR), "rb+") as file:
                    sync_file(file)
                if self._lock.take(patience_seconds=0):  # else the one who has it removes it
                    self._lock.remove()
            except FileNotFoundError:
                return
            except OSError as error:
                raise MediaError(f"cannot write {self.path}: {error.strerror}") from error

    def _take_lock(self) -> None:
        if not self._lock.take(patience_seconds=PATIENCE_SECONDS):
            raise StorageError(
                f"cannot write {self.path}: it is locked by {self._lock.holder()}",
                hint="is that command stopped, or its machine gone? end it, then run this again",
            )

    def _write(self, row: Row, *, synced: bool) -> None:
        # Not by O_APPEND, which over NFS has two machines write to one place. Behind a line that a
        # crash cut off, a new one begins; links: see naming.placed.
        with os.fdopen(open_own(self.path, os.O_RDWR | os.O_CREAT, 0o644), "rb+") as file:
            end = file.seek(0, os.SEEK_END)
            torn = end and read_at(file.fileno(), 1, end - 1) != b"\n"
            file.seek(end)
            file.write((("\n" if torn else "") + json.dumps(row) + "\n").encode())
            file.flush()
            if synced:
                sync_file(file)

    def _follow(self, descriptor: int) -> None:
        """Note the places of lines that were not there before. A torn last line is no line yet."""
        fact = os.fstat(descriptor)
        if self._file_id != (fact.st_dev, fact.st_ino) or fact.st_size < self._read_bytes:
            self._file_id, self._read_bytes = (fact.st_dev, fact.st_ino), 0
            self._places.clear()
        text = read_at(descriptor, fact.st_size - self._read_bytes, self._read_bytes)
        for line in text[: text.rfind(b"\n") + 1].splitlines(keepends=True):
            row = _parsed(line)
            if row is not None:
                places = self._places.setdefault(str(row["target"]), {})
                places.pop("begun", None)
                places[str(row["state"])] = self._read_bytes, len(line)
            self._read_bytes += len(line)


def _row(descriptor: int, start: int, size: int) -> Row | None:
    return _parsed(read_at(descriptor, size, start))


def _parsed(line: bytes) -> Row | None:
    """A whole line of this version; a torn one is none."""
    try:
        row: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or cast("Row", row).get("version") != VERSION:
        return None
    known = cast("Row", row)
    return known if {"target", "state", "identity"} <= known.keys() else None

"""The record of a run beside its target: who it is for, and which segments are finished.

One JSON object a line. The first says what the run is: source, options, model, versions; the others
are finished segments. A run of another identity does not find them.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from vsr.errors import MediaError, OptionsError
from vsr.media.writer import Segment

VERSION = 1


class Journal:
    """A work folder, locked for one run at a time; a dead process holds no lock."""

    def __init__(self, target: Path, identity: Mapping[str, object]) -> None:
        self.folder = target.with_name(f".{target.name}.vsr")
        self._head = json.dumps({"version": VERSION, **identity}, sort_keys=True, default=str)
        self._path = self.folder / "journal.jsonl"
        self._lock: IO[str] | None = None
        self._target = target

    def __enter__(self) -> Journal:
        try:
            self.folder.mkdir(exist_ok=True)
            self._lock = (self.folder / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.__exit__()
            raise OptionsError(
                f"another run is writing {self._target}", hint="wait for it, or stop it"
            ) from error
        except OSError as error:
            raise MediaError(f"cannot write beside {self._target}: {error.strerror}") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def finished(self) -> list[Segment]:
        """The segments that an earlier run of the same identity finished, in order and unharmed.

        Anything else in the folder is removed, and the journal begins anew with them.
        """
        segments: list[Segment] = []
        for line in self._lines()[1:]:
            segment = self._parsed(line, len(segments))
            if segment is None:
                break
            segments.append(segment)
        keep = {self._path, self.folder / "lock", *(segment.path for segment in segments)}
        for path in self.folder.iterdir():
            if path not in keep:
                path.unlink()
        self._write("w", self._head)
        for segment in segments:
            self.add(segment)
        return segments

    def add(self, segment: Segment) -> None:
        """Note a finished segment, on the disk before this returns."""
        row = {**asdict(segment), "path": segment.path.name}
        self._write("a", json.dumps(row))

    def remove(self) -> None:
        """Delete the work folder: the run is over."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _lines(self) -> list[str]:
        try:
            lines = self._path.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return []
        whole = lines[:-1]  # what follows the last line break was cut off while being written
        return whole if whole and whole[0] == self._head else []

    def _parsed(self, line: str, index: int) -> Segment | None:
        try:
            row: dict[str, Any] = json.loads(line)
            row["path"] = self.folder / str(row["path"])
            row["coded"] = tuple(map(int, row["coded"]))
            segment = Segment(**row)
            with segment.path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except (ValueError, TypeError, KeyError, OSError):
            return None
        return segment if segment.index == index and digest == segment.sha256 else None

    def _write(self, mode: str, line: str) -> None:
        try:
            with self._path.open(mode, encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise MediaError(f"cannot write {self._path}: {error.strerror or error}") from error

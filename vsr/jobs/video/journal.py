"""The record of a run beside its target: who it is for, which segments are finished, what is saved.

One JSON object a line, which begins with a check sum of what follows: a line that does not agree
with its own counts as never written. The first says what the run is: source, options, model,
versions. Then come finished segments and, when the verified file is about to get its name, the
report of the run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat as modes
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, NoReturn

from vsr.errors import MediaError, OptionsError
from vsr.events import Report
from vsr.jobs.work_folder import folder_of, is_ours, locked
from vsr.media.atomic import put
from vsr.media.files import patiently, stamp, translated
from vsr.media.write.writer import Segment
from vsr.system import Lock, open_own, replace_file, sha256_of, sync_file, sync_folder

VERSION = 3
VERSIONS = ("vsr", "torch", "PyAV", "encoder_library")
"""The keys of an identity that change when packages are upgraded."""
Row = Mapping[str, Any]
_CHECKED = re.compile(r'\{"check": "([0-9a-f]{16})", (.*)')
_UNCHECKED = re.compile(r'\{(.*, )?"version": [12][,}]')


class Journal:
    """A work folder, locked for one run at a time; a dead process holds no lock.

    ``identity`` is whatever could change the result. Segments of another identity are refused,
    unless ``restart`` discards them; ``fresh`` discards those of the same one, too.
    """

    def __init__(
        self,
        target: Path,
        identity: Mapping[str, object],
        *,
        restart: bool = False,
        fresh: bool = False,
    ) -> None:
        self.folder = folder_of(target)
        head = {"version": VERSION, **identity}
        self._head: Row = json.loads(json.dumps(head, sort_keys=True, default=str))
        self._path = self.folder / "journal.jsonl"
        self._target, self._restart, self._fresh = target, restart, fresh
        self._lock: Lock | None = None

    def __enter__(self) -> Journal:
        with translated(self._target, "write"):
            self._lock = locked(self._target)
            sync_folder(self.folder.parent)
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.release()

    @property
    def has_segments(self) -> bool:
        """Whether an earlier run noted any, be they unharmed or not."""
        return any("coded" in row for row in self._rows())

    def recover(self) -> list[Segment]:
        """The segments that earlier runs finished, by number and unharmed; others are removed.

        Where several workers were at it, some may be missing in between. Raises
        :class:`StorageError` where one cannot be read: it may be unharmed.
        """
        parsed = [segment for row in self._rows()[1:] if (segment := self._parsed(row))]
        return self.keep(
            sorted({segment.index: segment for segment in parsed}.values(), key=_place)
        )

    def keep(self, segments: Sequence[Segment]) -> list[Segment]:
        """Forget every other segment, and remove whatever else lies in the folder."""
        keep = {self._path, self.folder / "lock", *(segment.path for segment in segments)}
        with translated(self.folder, "write"):
            for path in self.folder.iterdir():
                if path not in keep and is_ours(path):
                    path.unlink()
            rows = [self._head, *map(_row, segments)]
            put(self._path, "".join(map(line_of, rows)).encode())
        return list(segments)

    def adopt(self, segment: Segment) -> Segment:
        """Move a worker's segment to its final name."""
        final = self.folder / f"{segment.index:06d}{segment.path.suffix}"
        if segment.path == final:
            return segment
        with translated(final, "write"):
            replace_file(segment.path, final)
        return replace(segment, path=final)

    def add(self, segment: Segment, seconds: float) -> None:
        """Note a finished segment, on the disk before this returns."""
        self._append({**_row(segment), "seconds": round(seconds, 3)})

    def about_to_save(self, part: Path, report: Report) -> None:
        """Note what the target will be, so that a run that dies while renaming is known as done."""
        self._append({"saved": list(stamp(part)), "report": asdict(report)})

    def saved(self) -> Report | None:
        """The report, if an earlier run of the same identity renamed its target."""
        rows = self._rows()
        if not rows or rows[0] != self._head or not is_saved(self._target):
            return None
        return Report.from_json(rows[-1]["report"])

    def remove(self) -> None:
        """Delete the work folder: the run is over. The journal goes last: it says what this was."""
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                if path not in (self.folder / "lock", self._path) and is_ours(path):
                    path.unlink()
            if self._lock is not None:
                self._lock.remove()
            self._path.unlink(missing_ok=True)
            self.folder.rmdir()

    def _begin(self) -> None:
        """Resume the rows that are there, or begin anew where that was asked for."""
        rows = self._rows()
        if not (self._restart or self._fresh):
            if rows and "version" not in rows[0]:
                raise OptionsError(
                    f"{self._path} is damaged: it does not say whose segments lie beside it",
                    hint="--restart to discard what the interrupted run finished",
                )
            if rows and rows[0] != self._head and len(rows) > 1:
                _refuse(self.folder, rows, self._head)
        if not rows or rows[0] != self._head or self._fresh:
            with translated(self.folder, "write"):
                put(self._path, line_of(self._head).encode())

    def _rows(self) -> list[Row]:
        return read_rows(self._path)

    def _parsed(self, row: Row) -> Segment | None:
        try:
            values = {field.name: row[field.name] for field in fields(Segment)}
            values["path"] = self.folder / Path(str(row["path"])).name
            values["coded"] = tuple(map(int, row["coded"]))
            segment = Segment(**values)
        except (ValueError, TypeError, KeyError):
            return None
        try:
            digest = patiently(segment.path, lambda: sha256_of(segment.path))
        except FileNotFoundError:
            return None
        return segment if digest == segment.sha256 else None

    def _append(self, row: Row) -> None:
        with translated(self._path, "write"), self._path.open("a", encoding="utf-8") as file:
            file.write(line_of(row))
            sync_file(file)


def _place(segment: Segment) -> int:
    return segment.index


def recorded(target: Path, key: str) -> object:
    """A value of the interrupted run's identity, or ``None``."""
    rows = read_rows(folder_of(target) / "journal.jsonl")
    return rows[0].get(key) if rows else None


def is_saved(target: Path) -> bool:
    """Whether the file at ``target`` is what an interrupted run had just put there."""
    rows = read_rows(folder_of(target) / "journal.jsonl")
    with contextlib.suppress(MediaError):
        return bool(rows) and rows[-1].get("saved") == list(stamp(target))
    return False


def read_rows(path: Path) -> list[Row]:
    """The unharmed rows of a journal; empty where there is no file, or what is no file.

    Raises :class:`StorageError` where the system cannot read it.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return list(_unharmed(patiently(path, lambda: _text(path))))
    return []


def _text(path: Path) -> str:
    if not modes.S_ISREG(path.lstat().st_mode):
        return ""  # not of a run: a link, or a pipe, which would be waited for
    with os.fdopen(open_own(path, os.O_RDONLY), encoding="utf-8", errors="replace") as file:
        return file.read()


def line_of(row: Row) -> str:
    """A row as the journal holds it, with its check sum and its line break."""
    text = json.dumps(row, default=str)
    return f'{{"check": "{_check_sum(text)}", {text[1:]}\n'


def _check_sum(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _unharmed(text: str) -> Iterator[Row]:
    lines = text.split("\n")[:-1]  # what follows the last break was cut off while written
    if lines and _UNCHECKED.match(lines[0]):  # of an earlier version, which is refused by its head
        for line in lines:
            with contextlib.suppress(ValueError, RecursionError):
                yield json.loads(line)
        return
    for line in lines:
        found = _CHECKED.fullmatch(line)
        if found and _check_sum("{" + found[2]) == found[1]:
            yield json.loads("{" + found[2])


def _row(segment: Segment) -> dict[str, Any]:
    shown = segment.shown
    row = {**asdict(segment), "path": segment.path.name, "frames": segment.frames}
    return {**row, "first_pts": shown[0], "last_pts": shown[-1]}


def _refuse(folder: Path, rows: Sequence[Row], now: Row) -> NoReturn:
    """Raise :class:`OptionsError` naming what changed since."""
    was, now_is = _flat(rows[0]), _flat(now)
    changed = [key for key in sorted({*was, *now_is}) if was.get(key) != now_is.get(key)]
    differences = "; ".join(f"{key} was {was.get(key)}, is {now_is.get(key)}" for key in changed)
    count = len(rows) - 1
    if set(changed) <= {"version", *VERSIONS}:
        raise OptionsError(
            f"an interrupted run of other versions has {count} finished segments in {folder} "
            f"({differences})",
            hint="install those versions again to go on, or --restart to discard what it finished",
        )
    raise OptionsError(
        f"an interrupted run of other settings has {count} finished segments in {folder} "
        f"({differences})",
        hint="give its settings again to go on, or --restart to discard what it finished",
    )


def _flat(row: Row) -> Row:
    options: Row = row.get("options") or {}
    return {**{key: value for key, value in row.items() if key != "options"}, **options}

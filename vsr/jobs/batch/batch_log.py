"""What a batch has finished, in a file of its output folder. It judges targets, and makes none.

One JSON object a line, on the disk before the next file begins, or the batch ends. ``begun`` is
noted before a target is made and ``finished`` after it: where a run was killed between a target's
rename and the note, the next one finds another file there than when it began.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from vsr.errors import MediaError, SourceChanged, StorageError
from vsr.jobs.record_lines import VERSION, RecordLines
from vsr.media.files import translated
from vsr.options import UpscaleOptions
from vsr.system import sha256_of
from vsr.version import __version__

NAME = ".vsr-record.jsonl"
# They say how fast and how bold a run is, not what it makes.
_IGNORED_OPTIONS = {"tile", "batch", "vram", "allow_huge", "hwaccel"}
_FACTS = {
    "begun": {"before"},
    "finished": {"target_bytes", "target_modified_ns", "target_sha256"},
    "failed": {"message"},
}
"""What each line tells, beside whose it is; one that lacks any of it counts as torn."""

State = Literal["new", "finished", "arrived", "stale", "options", "model", "changed", "foreign"]


@dataclass(frozen=True, slots=True)
class Identity:
    """What a target was made from, and how."""

    source: str
    """Absolute path of the source."""
    source_bytes: int
    """The source's size in bytes."""
    source_modified_ns: int
    """When the source was last modified, in nanoseconds since 1970."""
    options: dict[str, object]
    """The options that the target depends on, as JSON has them."""
    model: str
    """Fingerprint of the model's weights."""

    @property
    def contents(self) -> tuple[int, int]:
        """What tells one state of a source from another, wherever it was moved."""
        return self.source_bytes, self.source_modified_ns


def identify(source: Path, options: UpscaleOptions, fingerprint: str) -> Identity:
    """The identity of a run of ``source``."""
    with translated(source, "read"):
        stat = source.stat()
    kept = {key: value for key, value in options.as_json().items() if key not in _IGNORED_OPTIONS}
    plain = cast("dict[str, object]", json.loads(json.dumps(kept, default=str)))
    return Identity(
        os.fspath(source.absolute()), stat.st_size, stat.st_mtime_ns, plain, fingerprint
    )


class BatchLog:
    """The batch log of one output folder. Other commands may write to it as well."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines = RecordLines(folder / NAME)

    def status_of(self, target: Path, wanted: Identity) -> tuple[State, str]:
        """What a target is to a run of that identity, and the sentence that says so."""
        begun, finished = self._latest(target)
        if not target.exists():
            return "new", ""
        if begun is not None and begun["identity"] == wanted and _moved(target, begun):
            return "arrived", "finished by an earlier run that was stopped before it noted so"
        if finished is None:
            return "foreign", f"{target} exists already, and was not made by this batch"
        if not _intact(target, finished):
            return "changed", f"{target} was changed since it was made"
        before: Identity = finished["identity"]
        if before.contents != wanted.contents:
            if before.source != wanted.source:
                return "foreign", f"{target} was made from {before.source}"
            return "stale", "its source changed"
        if before.model != wanted.model:
            return "model", f"{target} was made with another model"
        if before.options != wanted.options:
            return "options", f"{target} was made with {_difference(before, wanted)}"
        return "finished", "finished before"

    def begin(self, target: Path, identity: Identity) -> None:
        """Note that a target is about to be made."""
        before: list[int] | None = None
        if target.exists():
            stat = target.stat()
            before = [stat.st_size, stat.st_mtime_ns]
        self._append("begun", target, identity, {"before": before})

    def finish(self, target: Path, identity: Identity, frames: int, seconds: float) -> None:
        """Note a target that was verified and has its name."""
        with translated(target, "read"), target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            stat = os.fstat(file.fileno())
        facts = {
            "target_bytes": stat.st_size,
            "target_modified_ns": stat.st_mtime_ns,
            "target_sha256": digest,
            "frames": frames,
            "seconds": round(seconds, 3),
        }
        self._append("finished", target, identity, facts)

    def give_up(self, target: Path, identity: Identity, error: Exception) -> None:
        """Note that a begun target was not made: what lies there later is somebody else's."""
        broken = isinstance(error, MediaError) and not isinstance(
            error, StorageError | SourceChanged
        )
        self._append("failed", target, identity, {"message": str(error), "broken": broken})

    def broken(self, target: Path, wanted: Identity) -> str | None:
        """Why the last run of that identity failed, if that was the source's fault."""
        failed = self._rows(target).get("failed")
        if failed is None or failed["identity"] != wanted or not failed.get("broken"):
            return None
        return str(failed["message"])

    def close(self) -> None:
        """Have every note on the disk, at the end of a batch."""
        self._lines.close()

    def _latest(self, target: Path) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """A target's last begin, if nothing came of it, and its last end."""
        rows = self._rows(target)
        return rows.get("begun"), rows.get("finished")

    def _rows(self, target: Path) -> dict[str, dict[str, Any]]:
        """A target's last line of each state."""
        rows: dict[str, dict[str, Any]] = {}
        for state, row in self._lines.latest(self._name(target)).items():
            with suppress(TypeError, KeyError):  # the identity of a version that knew other keys
                identity = Identity(**row["identity"])
                if _FACTS[state] <= row.keys() and isinstance(identity.options, dict):  # pyright: ignore[reportUnnecessaryIsInstance]  # a file's
                    rows[state] = {**row, "identity": identity}
        return rows

    def _append(
        self, state: str, target: Path, identity: Identity, facts: Mapping[str, object]
    ) -> None:
        head = {"version": VERSION, "vsr": __version__, "state": state}
        row = {**head, "target": self._name(target), "identity": asdict(identity), **facts}
        # Where a power cut takes a note of an end, that of the begin still tells what the file is.
        self._lines.append(row, synced=state != "finished")

    def _name(self, target: Path) -> str:
        return target.relative_to(self._folder).as_posix()


def _moved(target: Path, begun: dict[str, Any]) -> bool:
    """Whether another file has the name than when the run began."""
    stat = target.stat()
    return begun["before"] != [stat.st_size, stat.st_mtime_ns]


def _intact(target: Path, finished: dict[str, Any]) -> bool:
    """As it was written: by size and time, or, where only the time differs, by hash."""
    with translated(target, "read"):
        stat = target.stat()
        if stat.st_size != finished["target_bytes"] or not target.is_file():
            return False
        if stat.st_mtime_ns == finished["target_modified_ns"]:
            return True
        return sha256_of(target) == finished["target_sha256"]


def _difference(before: Identity, wanted: Identity) -> str:
    keys = sorted({*before.options, *wanted.options})
    return ", ".join(
        f"{key} {_said(before.options.get(key))} (now {_said(wanted.options.get(key))})"
        for key in keys
        if before.options.get(key) != wanted.options.get(key)
    )


def _said(value: object) -> str:
    return "by default" if value in (None, [], "auto") else str(value)

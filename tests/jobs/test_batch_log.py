"""A batch's record: read once whatever its length, followed as others write to it."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import fork_server
from vsr.errors import MediaError, StorageError
from vsr.jobs import record_lines
from vsr.jobs.batch.batch_log import NAME, BatchLog, identify
from vsr.jobs.record_lines import RecordLines
from vsr.options import UpscaleOptions
from vsr.system import Lock

OPTIONS = UpscaleOptions()


def made(folder: Path, name: str) -> Path:
    """A source, and a target of it."""
    source, target = folder / f"{name}.in", folder / f"{name}.out"
    source.write_text(f"source {name}")
    target.write_text(f"target {name}")
    return target


def test_a_line_is_read_once_however_many_files_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All lines had been read for every file: half a second a file where there were 10,000."""
    source = tmp_path / "in"
    source.write_text("source")
    identity = identify(source, OPTIONS, "model")
    row: dict[str, Any] = {
        "version": 1, "vsr": "1", "state": "finished", "identity": json.loads(json.dumps(
            {key: getattr(identity, key) for key in identity.__slots__})),
        "target_bytes": 1, "target_modified_ns": 1, "target_sha256": "", "frames": 1, "seconds": 1,
    }  # fmt: skip
    text = "".join(json.dumps({**row, "target": f"{n}.mp4"}) + "\n" for n in range(10000))
    (tmp_path / NAME).write_text(text)
    read, pread = 0, os.pread

    def counted(descriptor: int, size: int, start: int) -> bytes:
        nonlocal read
        data = pread(descriptor, size, start)
        read += len(data)
        return data

    monkeypatch.setattr(os, "pread", counted)
    record = BatchLog(tmp_path)
    for number in range(0, 10000, 10):
        target = tmp_path / f"{number}.mp4"
        target.write_bytes(b"xy")
        assert record.status_of(target, identity)[0] == "changed"
    assert len(text) <= read < 1.2 * len(text)


def test_what_another_command_notes_is_seen(tmp_path: Path) -> None:
    mine, other = BatchLog(tmp_path), BatchLog(tmp_path)
    for name in ("a", "b"):
        target = made(tmp_path, name)
        identity = identify(tmp_path / f"{name}.in", OPTIONS, "model")
        assert mine.status_of(target, identity)[0] == "foreign"
        other.begin(target, identity)
        other.finish(target, identity, 1, 1.0)
        assert mine.status_of(target, identity)[0] == "finished"
    assert mine.status_of(made(tmp_path, "c"), identity)[0] == "foreign"


def test_a_record_that_was_replaced_or_cut_is_read_anew(tmp_path: Path) -> None:
    record, target = BatchLog(tmp_path), made(tmp_path, "a")
    identity = identify(tmp_path / "a.in", OPTIONS, "model")
    record.begin(target, identity)
    record.finish(target, identity, 1, 1.0)
    assert record.status_of(target, identity)[0] == "finished"
    path = tmp_path / NAME
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0])
    assert record.status_of(target, identity)[0] == "foreign"
    (tmp_path / "other").write_text("x" * 5000 + "\n" + lines[1])
    os.replace(tmp_path / "other", path)
    assert record.status_of(target, identity)[0] == "finished"
    path.unlink()
    assert record.status_of(target, identity)[0] == "foreign"


def test_a_torn_line_is_none_and_the_next_begins_behind_it(tmp_path: Path) -> None:
    lines = RecordLines(tmp_path / NAME)
    row: dict[str, Any] = {"version": 1, "target": "a", "state": "begun", "identity": {}}
    lines.append(row, synced=True)
    whole = (tmp_path / NAME).read_bytes()
    with (tmp_path / NAME).open("ab") as file:
        file.write(whole[:20])
    assert lines.latest("a") == {"begun": row}
    lines.append({**row, "state": "finished"}, synced=False)
    assert set(lines.latest("a")) == {"finished"}
    (tmp_path / NAME).write_bytes(whole + b'[1]\n{"version": 2, "target": "a"}\n\xff\n')
    assert set(lines.latest("a")) == {"begun"}


WRITER = """
import sys
from pathlib import Path
from vsr.jobs.record_lines import RecordLines
lines = RecordLines(Path(sys.argv[1]))
for number in range(200):
    row = {"version": 1, "target": f"{sys.argv[2]}-{number}", "state": "begun", "identity": {}}
    lines.append({**row, "pad": "x" * 20000}, synced=False)
lines.close()
"""


def test_several_commands_on_one_record_do_not_tear_it(tmp_path: Path) -> None:
    path = tmp_path / NAME
    writers = [
        fork_server.start([sys.executable, "-c", WRITER, str(path), name]) for name in ("a", "b")
    ]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(row["target"] for row in rows) == sorted(
        f"{name}-{number}" for name in ("a", "b") for number in range(200)
    )
    assert [path.name for path in tmp_path.iterdir()] == [NAME]  # no lock stays


def test_a_lock_that_does_not_come_free_says_who_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = RecordLines(tmp_path / NAME)
    monkeypatch.setattr(record_lines, "PATIENCE_SECONDS", 0.0)
    other = Lock(tmp_path / NAME.replace("jsonl", "lock"))
    assert other.take()
    said = f"is locked by process {os.getpid()} on {re.escape(platform.node())}, for "
    with pytest.raises(StorageError, match=said):
        lines.append({"version": 1}, synced=True)
    other.release()
    lines.append({"version": 1}, synced=True)


def test_a_link_in_place_of_a_record_or_its_lock_is_not_followed(tmp_path: Path) -> None:
    for name in (NAME, NAME.replace("jsonl", "lock")):
        precious = tmp_path / "precious"
        precious.write_text("precious")
        (tmp_path / name).symlink_to(precious)
        with pytest.raises(MediaError, match="cannot write"):
            RecordLines(tmp_path / NAME).append({"version": 1}, synced=True)
        assert precious.read_text() == "precious"
        for path in tmp_path.iterdir():
            path.unlink()


@pytest.mark.parametrize(
    ("state", "name"),
    [("finished", "target_bytes"), ("finished", "target_sha256"), ("begun", "before"),
     ("failed", "message"), ("finished", "options"), ("elsewhere", "")],
)  # fmt: skip
def test_a_line_that_lacks_what_it_tells_counts_as_torn(
    tmp_path: Path, state: str, name: str
) -> None:
    """It was an unexpected KeyError of that file, until somebody mended the line."""
    record, target = BatchLog(tmp_path), made(tmp_path, "a")
    identity = identify(tmp_path / "a.in", OPTIONS, "model")
    if state == "begun":
        record.begin(target, identity)
    elif state == "failed":
        record.give_up(target, identity, MediaError("broken"))
    else:
        record.finish(target, identity, 1, 1.0)
    row = json.loads((tmp_path / NAME).read_text())
    row["state"] = state
    row.pop(name, None)
    if name == "options":
        row["identity"]["options"] = None
    (tmp_path / NAME).write_text(json.dumps(row) + "\n")
    torn = BatchLog(tmp_path)
    assert torn.status_of(target, identity)[0] == "foreign"
    assert torn.broken(target, identity) is None

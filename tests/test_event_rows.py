"""Every event of the code, and the events of real runs, against the schema that is promised."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import torch
from torch import Tensor

import vsr
from tests.conftest import MakeClip
from vsr import event_rows
from vsr.cli.console import Console
from vsr.errors import MediaError
from vsr.event_rows import NAMES, Progress, as_row, follow, plain
from vsr.events import (
    Advanced,
    BackedOff,
    BatchFinished,
    BatchReport,
    BatchStarted,
    Event,
    Failed,
    Finished,
    Forecast,
    OfFile,
    Outcome,
    Planned,
    Report,
    Saved,
    SegmentDone,
    Skipped,
    Started,
    Waiting,
    Warned,
)
from vsr.geometry import Size
from vsr.infer.network import Network

LOW, HIGH = Size(64, 48), Size(256, 192)
IN, OUT = Path("in.mp4"), Path("out.mp4")
REPORT = Report(OUT, 12, LOW, HIGH, 1.5, 999, {"decode": 0.1, "enlarge": 0.0, "encode": 0.9})
BATCH = BatchReport(
    Path("large"),
    (
        Outcome(IN, OUT, "finished", 12, 1.5, 999),
        Outcome(IN, OUT, "skipped", message="finished before"),
        Outcome(IN, None, "failed", message="no video", hint="look", exit_code=3),
        Outcome(IN, None, "left"),
        Outcome(IN, OUT, "planned", 12, 4.0, 10),
    ),
    others=2,
    seconds=2.0,
)
SILENT = Forecast(IN, OUT, LOW, HIGH, None)
STAGES = {"decode": 0.01, "enlarge": 0.3, "encode": 0.02}
FULL = Forecast(
    IN, OUT, LOW, HIGH, 12, "25", "bicubic", "cpu fp32", "libx264", True, ("a",), ("b",), ("c",),
    ("d",), 12, STAGES, 3.3, 4.0, 10, 20, 30,
)  # fmt: skip
EVERY: list[Event] = [
    BatchStarted(Path("large"), 4, 2),
    BatchStarted(Path("large"), None, 0),
    Started(IN, OUT, None, LOW, HIGH),
    Started(IN, OUT, 12, LOW, HIGH),
    SegmentDone(0, 4, resumed=True),
    Advanced(4, ""),
    Advanced(4, "encode"),
    BackedOff("out of memory", LOW, 1, "fp32"),
    SegmentDone(1, 8, resumed=False),
    Warned("a note"),
    Saved(OUT),
    Failed("the disk is full", None, 3),
    Finished(REPORT),
    Failed("no video", "look", 3, IN, None),
    Skipped(IN, OUT, "finished before"),
    Waiting(Path("inbox")),
    Planned(SILENT),
    Planned(FULL),
    BatchFinished(BATCH),
]


def closed_schema() -> dict[str, Any]:
    """The schema with unknown keys refused: a new key has to be written down."""
    path = Path(event_rows.__file__).with_name("event_schema.json")
    schema = copy.deepcopy(json.loads(path.read_text(encoding="utf-8")))
    for part in schema["$defs"].values():
        if "event" in part["properties"]:
            part["properties"] |= dict.fromkeys(schema["properties"], True) | part["properties"]
        part["additionalProperties"] = False
    return schema


SCHEMA = closed_schema()


def check(row: dict[str, Any]) -> None:
    """Validate by the definition that the event names: one error says more than thirteen."""
    jsonschema.validate(row, {**SCHEMA["$defs"][row["event"]], "$defs": SCHEMA["$defs"]})
    jsonschema.validate(row, SCHEMA)


def test_every_event_has_a_name_and_an_example_here() -> None:
    assert set(NAMES) == {*get_args(Event)} - {OfFile} == {type(event) for event in EVERY}
    assert set(NAMES.values()) == set(SCHEMA["properties"]["event"]["enum"])


def test_every_event_keeps_the_promised_schema() -> None:
    progress = Progress()
    for seconds, event in enumerate(EVERY):
        progress = follow(progress, event, float(seconds))
        check(json.loads(json.dumps(as_row(event, progress), allow_nan=False)))


def test_progress_counts_resumed_frames_and_the_speed_of_fresh_ones() -> None:
    progress = Progress()
    for now, event in (
        (10.0, Started(IN, OUT, 40, LOW, HIGH)),
        (10.0, SegmentDone(0, 20, resumed=True)),
        (12.0, Advanced(10, "encode")),
        (12.5, SegmentDone(1, 10, resumed=False)),
    ):
        progress = follow(progress, event, now)
    assert (progress.done, progress.total, progress.frames_per_second) == (30, 40, 5.0)
    assert progress.eta_seconds == 2.0


def test_files_of_a_batch_are_counted_however_they_end() -> None:
    progress, places = Progress(), list[tuple[int, int | None]]()
    for event in (
        BatchStarted(Path("large"), 4, 0),
        Started(IN, OUT, 12, LOW, HIGH),
        Failed("cut off", None, 3, IN, OUT),  # in the middle of its work
        Failed("no video", None, 3, Path("b"), None),  # before it began
        Skipped(Path("c"), OUT, "finished before"),
        Started(Path("d"), OUT, 12, LOW, HIGH),
        Finished(REPORT),
    ):
        progress = follow(progress, event, 0.0)
        places.append((progress.file, progress.files))
    assert [file for file, _ in places] == [0, 1, 1, 2, 3, 4, 4]


def test_names_that_are_no_unicode_and_numbers_that_are_none_stay_valid_json() -> None:
    odd = Path(b"caf\xe9.mp4".decode("utf-8", "surrogateescape"))
    text = json.dumps(plain({"path": odd, "rate": float("inf")}), allow_nan=False)
    text.encode("utf-8")
    assert "\\ud" not in text
    assert json.loads(text)["rate"] is None


def rows_of(
    source: Path, target: Path, capsys: pytest.CaptureFixture[str], **more: Any
) -> list[dict[str, Any]]:
    """What a run with --json writes; its VsrError, if any, is swallowed."""
    options = vsr.UpscaleOptions(model="nearest", preset="ultrafast", device="cpu", **more)
    try:
        with Console(json=True, quiet=True, verbose=False) as console:
            vsr.upscale(source, target, options, console.on_event)
    except MediaError:
        pass
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for row in rows:
        check(row)
    return rows


def test_a_real_run_keeps_the_schema_and_ends_with_finished(
    make_clip: MakeClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = make_clip(frames=40, sound=True), tmp_path / "out.mkv"
    rows = rows_of(source, target, capsys)
    assert rows[0]["event"] == "started"
    assert [row["event"] for row in rows[-3:]] == ["segment", "saved", "finished"]
    last = [row for row in rows if row["event"] == "advanced"][-1]
    assert (last["done"], last["total"], last["eta_seconds"]) == (40, 40, 0.0)
    assert rows[-1]["report"]["bytes"] == target.stat().st_size
    assert {row["source"] for row in rows} == {str(source)}


def test_a_run_that_fails_ends_with_failed(
    make_clip: MakeClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of(tmp_path / "none.mp4", tmp_path / "out.mp4", capsys)
    assert [row["event"] for row in rows] == ["failed"]
    assert rows[0]["exit_code"] == 3
    rows = rows_of(make_clip(), tmp_path / "o.mp4", capsys, start=0.001, end=0.002)
    assert [row["event"] for row in rows] == ["started", "failed"]
    assert rows[-1]["source"].endswith("in.mp4")


def test_a_run_that_backs_off_tells_it(
    make_clip: MakeClip,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ordered, tries = Network._ordered, list[int]()  # pyright: ignore[reportPrivateUsage]  # every window's way

    def short_of_memory(network: Network, windows: Tensor) -> Tensor:
        tries.append(len(windows))
        if len(tries) == 1:
            raise torch.OutOfMemoryError("out of memory")
        return ordered(network, windows)

    monkeypatch.setattr(Network, "_ordered", short_of_memory)
    rows = rows_of(make_clip(), tmp_path / "out.mp4", capsys)
    assert [row["event"] for row in rows].count("backed_off") == 1
    assert rows[-1]["event"] == "finished"

"""An exception that nobody foresaw, in one file of several, is that file's failure alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vsr
from tests.conftest import MakeClip, times_of
from tests.media.odd_files import multiview
from vsr import api
from vsr.batch_options import BatchOptions
from vsr.errors import MediaError
from vsr.events import BatchReport, Event, Warned
from vsr.jobs.batch import batch_run as batches
from vsr.media.clip import Clip
from vsr.media.extract import extraction as extraction
from vsr.media.extract.selection import ExtractOptions
from vsr.media.read.probe import MediaInfo
from vsr.unexpected import LOG, as_failure

FAST: dict[str, Any] = {"model": "nearest", "preset": "ultrafast", "device": "cpu", "codec": "h264"}


@pytest.fixture
def three(make_clip: MakeClip, tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    clip = make_clip(frames=4)
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        shutil.copy(clip, folder / name)
    return folder


def run(folder: Path, out: Path, *, dry: bool = False, **changed: Any) -> BatchReport:
    options = vsr.UpscaleOptions(**{**FAST, **changed})
    return api.upscale_batch([folder], out, options, BatchOptions(), dry=dry)


def states(report: BatchReport) -> list[str]:
    return [outcome.state for outcome in report.outcomes]


def fail_at_b(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = batches.plan_job

    def planned(source: Path, *others: Any) -> Any:
        if source.name == "b.mp4":
            raise ValueError("29 is not a valid Type")
        return plan(source, *others)

    monkeypatch.setattr(batches, "plan_job", planned)


def test_multiview_video_in_the_middle_of_a_batch(three: Path, tmp_path: Path) -> None:
    multiview(three / "b.mp4")
    report = run(three, tmp_path / "out")
    assert states(report) == ["finished"] * 3
    assert len(times_of(tmp_path / "out" / "b.mp4")) == 6


@pytest.mark.parametrize("devices", [None, "cpu:2"])
def test_the_files_behind_it_are_made_and_its_traceback_is_kept(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, devices: str | None
) -> None:
    fail_at_b(monkeypatch)
    out = tmp_path / "out"
    changed: dict[str, Any] = {} if devices is None else {"devices": devices, "device": "auto"}
    for time in (1, 2):
        report = run(three, out, **changed)
        others = "finished" if time == 1 else "skipped"
        assert states(report) == [others, "failed", others]
        message = report.outcomes[1].message
        assert message.startswith("unexpected ValueError: 29 is not a valid Type; its traceback is")
        log = Path(message.split("traceback is in ")[1])
        assert log == out / LOG
        text = log.read_text()
        assert text.count("Traceback (most recent call last)") == time
        assert "planned" in text  # the place where it arose
        assert str(three / "b.mp4") in text
    assert sorted(path.name for path in out.iterdir() if path.suffix == ".mp4") == [
        "a.mp4",
        "c.mp4",
    ]


def test_a_dry_run_keeps_the_log_elsewhere(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_at_b(monkeypatch)
    report = run(three, tmp_path / "out", dry=True)
    assert states(report) == ["planned", "failed", "planned"]
    log = Path(report.outcomes[1].message.split("traceback is in ")[1])
    assert "ValueError" in log.read_text()
    assert not (tmp_path / "out").exists()
    log.unlink()


def test_a_log_that_cannot_be_written_is_no_second_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("as it was")
    (tmp_path / LOG).symlink_to(elsewhere)
    found = as_failure(RuntimeError("no"), tmp_path / "x.mp4", tmp_path)
    assert elsewhere.read_text() == "as it was"
    kept = re.search(r"traceback is in (.*)$", found.message)
    assert kept is not None
    Path(kept[1]).unlink()
    monkeypatch.setattr("tempfile.mkstemp", _refused)
    assert "no log could be written" in as_failure(RuntimeError("no"), Path("x"), tmp_path).message


def _refused(**_: Any) -> Any:
    raise PermissionError


def test_extraction_leaves_such_a_film_out(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = extraction.probe

    def probed(path: Path) -> Any:
        if path.name == "b.mp4":
            raise KeyError("odd")
        return probe(path)

    monkeypatch.setattr(extraction, "probe", probed)
    told: list[Event] = []
    films = tuple(sorted(three.iterdir()))
    made = extraction.extract(ExtractOptions(films, tmp_path / "out"), told.append)
    assert made.frames
    notes = [event.message for event in told if isinstance(event, Warned)]
    assert len(notes) == 1
    assert notes[0].startswith("left out: unexpected KeyError: 'odd'; its traceback is in ")


def test_a_film_that_fails_when_it_is_written_ends_alone(
    three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, opened = extraction.Reader, list[str]()

    def clips(info: MediaInfo, **given: Any) -> Iterator[Clip]:
        opened.append(info.path.name)
        if info.path.name == "b.mp4" and opened.count("b.mp4") == 2:
            raise MediaError("b.mp4 is damaged")
        return iter(reader(info, **given))

    monkeypatch.setattr(extraction, "Reader", clips)
    told: list[Event] = []
    films = tuple(sorted(three.iterdir()))
    made = extraction.extract(ExtractOptions(films, tmp_path / "out"), told.append)
    assert {path.name[0] for path in made.out.glob("*.png")} >= {"a", "c"}
    notes = [event.message for event in told if isinstance(event, Warned)]
    assert notes == ["the rest is left out: b.mp4 is damaged"]
    opened.clear()
    with pytest.raises(MediaError, match="damaged"):
        extraction.extract(ExtractOptions((three / "b.mp4",), tmp_path / "alone"))

"""What is wrong with a command is said in its own terms, before anything is computed."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest

import vsr
from tests.conftest import MakeClip
from vsr import api
from vsr.batch_options import BatchOptions
from vsr.cli.console import Console
from vsr.errors import MediaError, OptionsError
from vsr.events import Event, Started, Waiting, Warned
from vsr.geometry import Size
from vsr.jobs.workers import choice
from vsr.jobs.workers.choice import open_executor

FAST: dict[str, Any] = {"model": "nearest", "preset": "ultrafast", "device": "cpu"}


def options(**changed: Any) -> vsr.UpscaleOptions:
    return vsr.UpscaleOptions(**{**FAST, **changed})


@pytest.mark.parametrize(("codec", "most"), [("h264", 51), ("hevc", 51), ("av1", 63)])
def test_a_crf_beyond_the_codec_s_range_names_the_range(
    make_clip: MakeClip, tmp_path: Path, codec: Any, most: int
) -> None:
    preset = "12" if codec == "av1" else "ultrafast"
    source = make_clip(frames=2)
    with pytest.raises(OptionsError, match=f"crf must be from 0 to {most} for {codec}, got 99"):
        api.plan(source, tmp_path / "out.mp4", options(codec=codec, crf=99.0, preset=preset))
    assert api.plan(
        source, tmp_path / "o.mp4", options(codec=codec, crf=float(most), preset=preset)
    )


@pytest.mark.parametrize(("codec", "one"), [("h264", "medium"), ("hevc", "slow"), ("av1", "8")])
def test_a_preset_that_is_none_lists_the_codec_s(
    make_clip: MakeClip, tmp_path: Path, capfd: pytest.CaptureFixture[str], codec: Any, one: str
) -> None:
    """The encoder is not asked: x265 would write to standard error by itself."""
    with pytest.raises(OptionsError, match=f"{codec} has no preset 'quick'") as caught:
        api.plan(make_clip(frames=2), tmp_path / "out.mp4", options(codec=codec, preset="quick"))
    assert one in (caught.value.hint or "").replace("one of ", "").split(", ")
    assert capfd.readouterr().err == ""


def test_memory_is_named_in_the_unit_it_is_asked_in() -> None:
    with pytest.raises(OptionsError, match="vram must be at least 64MB, got 1KB"):
        options(vram=1024)


def test_more_processes_than_cores_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "processors", lambda: 2)
    told: list[Event] = []
    with open_executor(api.load("nearest"), options(device="auto", devices="cpu:99"), told.append):
        pass  # workers start when there is a task
    assert [event.message for event in told if isinstance(event, Warned)] == [
        "99 processes share 2 processor cores: --devices cpu:2 is as fast, and takes less memory"
    ]


def test_watching_a_file_is_refused_as_that(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip(frames=2)
    with pytest.raises(OptionsError, match="--watch needs a folder"):
        api.upscale_batch([source], tmp_path / "out.mp4", options(), BatchOptions(watch=True))


def test_ctrl_c_while_idle_finishes_nothing() -> None:
    stream = io.StringIO()
    with redirect_stderr(stream), Console(json=False, quiet=False, verbose=False) as console:
        console.on_event(Started(Path("in.mp4"), Path("out.mp4"), 1, Size(1, 1), Size(4, 4)))
        console.say_finishing()
        console.on_event(Waiting(Path("in")))
        console.say_finishing()
    lines = stream.getvalue().splitlines()
    assert lines[1].startswith("finishing this segment")
    assert lines[-1] == "stopped watching"


def test_a_copy_that_stalls_and_then_completes_is_counted_once(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    """It fails while it is half there, and is made when the rest came."""
    whole = make_clip("whole.mp4", frames=4).read_bytes()
    folder = tmp_path / "in"
    folder.mkdir()
    copied = folder / "film.mp4"
    copied.write_bytes(whole[: len(whole) // 2])
    waits = 0

    def stop() -> bool:
        return waits > 1

    def on_event(event: Event) -> None:
        nonlocal waits
        if isinstance(event, Waiting):
            waits += 1
            copied.write_bytes(whole)

    report = api.upscale_batch(
        [folder], tmp_path / "out", options(), BatchOptions(watch=True, poll=0.05), on_event, stop
    )
    assert [outcome.state for outcome in report.outcomes] == ["finished"]
    assert report.count("failed") == 0


def test_a_part_without_frames_says_where_frames_are(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip(frames=5)
    with pytest.raises(MediaError, match="lies in the chosen stretch") as caught:
        vsr.upscale(source, tmp_path / "out.mp4", options(start=0.05, end=0.06))
    assert caught.value.hint == "its frames begin at 0.000 s, and the last is at 0.160 s"

"""Runs with grain: the bytes are the same whoever made them and when; off, nothing changes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

import vsr
from tests.jobs.test_run import debris, options
from tests.media.test_clean import video
from tests.media.test_grain import grainy
from tests.media.test_survey import grey_of
from vsr.errors import OptionsError, Stopped
from vsr.events import Event, SegmentDone
from vsr.jobs.video import plan as planning


@pytest.fixture
def source(tmp_path: Path) -> Path:
    frames = grainy(5.0, 0.7, 16)
    frames = [frame[:144, :192] for frame in frames]
    return video(tmp_path / "in.mkv", frames, grey_of(frames), "ffv1")


@pytest.mark.parametrize(
    ("codec", "preset"),
    [pytest.param("h264", "ultrafast", marks=pytest.mark.extended), ("av1", "12")],
)
def test_the_bytes_are_the_same_whoever_made_them_and_when(
    codec: str, preset: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", Fraction(1, 5))
    asked = options(model="bicubic", scale=1.5, codec=codec, preset=preset, grain="auto")
    alone, several, again = (tmp_path / f"{name}.mp4" for name in ("alone", "several", "again"))
    report = vsr.upscale(source, alone, asked)
    assert any("taken out" in note for note in report.warnings)
    assert "grain" in report.encoder
    vsr.upscale(source, several, replace(asked, device="auto", devices="cpu:2"))
    done: list[Event] = []
    with pytest.raises(Stopped):
        vsr.upscale(source, again, asked, done.append, lambda: bool(segments(done)))
    with pytest.raises(OptionsError):  # it is another run
        vsr.upscale(source, again, replace(asked, grain="off"))
    resumed: list[Event] = []
    vsr.upscale(source, again, asked, resumed.append)
    assert segments(resumed)[0].resumed
    assert alone.read_bytes() == several.read_bytes() == again.read_bytes()
    assert not debris(tmp_path)


def segments(events: list[Event]) -> list[SegmentDone]:
    return [event for event in events if isinstance(event, SegmentDone)]


def spread(path: Path) -> float:
    """How much neighbouring frames differ where the scene does not move."""
    with av.open(str(path)) as container:
        frames = [f.to_ndarray().astype(float) for f in container.decode(video=0)]
    still = slice(0, frames[0].shape[0] // 6)  # of luma, which has two thirds of the rows
    return float(np.std([late[still] - early[still] for early, late in pairwise(frames)]))


@pytest.mark.parametrize(
    ("codec", "preset"), [("ffv1", None), pytest.param("av1", "12", marks=pytest.mark.extended)]
)
def test_as_much_is_given_back_as_was_taken(
    codec: str, preset: str | None, source: Path, tmp_path: Path
) -> None:
    """Differences of two frames are 1.4 times as much as the grain of one, which was 5."""
    made: dict[str, float] = {}
    for amount in ("off", "0", "auto", "8"):
        target = tmp_path / f"{amount}.mkv"
        vsr.upscale(
            source,
            target,
            options(model="bicubic", scale=2.0, codec=codec, preset=preset, grain=amount),
        )
        made[amount] = spread(target) / np.sqrt(2)
    assert made["0"] < 2.5  # half
    assert 4.2 < made["auto"] < 5.8
    assert 7 < made["8"] < 9


def test_off_changes_nothing_and_without_grain_none_is_given(source: Path, tmp_path: Path) -> None:
    del source
    frames = [np.full((96, 128), 100 + n, np.uint8) for n in range(10)]
    plain = video(tmp_path / "plain.mkv", frames, grey_of(frames), "ffv1")
    made: list[bytes] = []
    for name, asked in (("none", {}), ("off", {"grain": "off"}), ("auto", {"grain": "auto"})):
        target = tmp_path / f"{name}.mp4"
        report = vsr.upscale(plain, target, options(**asked))
        made.append(target.read_bytes())
        assert ("no grain was found" in report.warnings) == (name == "auto")
    assert made[0] == made[1] == made[2]


def test_where_there_are_no_frames_of_a_video_it_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="grain"):
        vsr.upscale(source, tmp_path / "pictures", options(grain="auto"))
    assert debris(tmp_path) == [] or not debris(tmp_path)

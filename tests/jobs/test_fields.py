"""Runs over interlaced and telecined video: segments, workers, resume, stretches and sound."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

import vsr
from tests.conftest import packets_of, times_of
from tests.jobs.test_run import debris, options
from tests.marks import usually
from tests.media.fields.footage import FILM, NTSC, in_fields, pictures, telecined, titled, write
from vsr.errors import Stopped
from vsr.events import Event, SegmentDone, Warned
from vsr.jobs.video import plan as planning

SHORT = Fraction(1, 6)  # seconds a segment


@pytest.fixture(params=usually(["titles"], ["video", "film", "titles", "mixed"]))
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    made = pictures(60)
    kinds = {
        "video": in_fields(made),
        "film": telecined(made)[0],
        "titles": titled(made)[:50],
        "mixed": [*telecined(made[:16])[0], *in_fields(made[40:])],
    }
    frames = kinds[request.param]
    return write(tmp_path / f"{request.param}.mp4", frames, codec="libx264", sound=True)


def test_the_bytes_are_the_same_whoever_made_them_and_when(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of mixed video with a recurrent network, whose segments are led in by the frames before."""
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", SHORT)
    asked = {"model": "video-tiny" if source.stem == "mixed" else "nearest", "scale": 1.0}
    alone, several, again = (tmp_path / f"{name}.mp4" for name in ("alone", "several", "again"))
    report = vsr.upscale(source, alone, options(**asked))
    events: list[Event] = []
    vsr.upscale(source, several, options(**asked, device="auto", devices="cpu:2"), events.append)
    assert sum(isinstance(event, SegmentDone) for event in events) >= 3
    assert not any("in order" in e.message for e in events if isinstance(e, Warned)), events
    done: list[Event] = []
    with pytest.raises(Stopped):
        vsr.upscale(source, again, options(**asked), done.append, lambda: bool(_segments(done)))
    resumed: list[Event] = []
    vsr.upscale(source, again, options(**asked), resumed.append)
    assert _segments(resumed)[0].resumed
    assert alone.read_bytes() == several.read_bytes() == again.read_bytes()
    assert report.frames == len(times_of(alone))
    assert packets_of(alone, "audio") == packets_of(source, "audio")
    assert not debris(tmp_path)


def _segments(events: list[Event]) -> list[SegmentDone]:
    return [event for event in events if isinstance(event, SegmentDone)]


@pytest.mark.parametrize("suffix", usually(["mkv"], ["mp4", "mkv"]))
def test_times_of_the_target_are_those_of_fields_and_of_film(tmp_path: Path, suffix: str) -> None:
    moments = pictures(60)
    grid = Fraction(1, 2000) if suffix == "mkv" else 0  # Matroska's whole milliseconds
    for name, frames, step in (
        ("video", in_fields(moments), 1 / (2 * NTSC)),
        ("film", telecined(moments)[0], 1 / FILM),
    ):
        path = write(tmp_path / f"{name}.mp4", frames, codec="libx264")
        target = tmp_path / f"{name}-large.{suffix}"
        plan = vsr.plan(path, target, options())
        report = vsr.upscale(path, target, options())
        times = times_of(target)
        assert len(times) == report.frames == plan.frames == 60
        assert all(abs(time - place * step) <= grid for place, time in enumerate(times))
        assert any("interlaced" in note or "telecined" in note for note in report.warnings)
        made = vsr.probe(target)
        assert abs(1 / made.frame_rate - step) < Fraction(1, 500)
        assert not made.flagged_interlaced


def test_a_stretch_of_fields_begins_and_ends_where_it_is_asked_to(tmp_path: Path) -> None:
    path = write(tmp_path / "in.mp4", in_fields(pictures(90)), codec="libx264", sound=True)
    target = tmp_path / "out.mp4"
    vsr.upscale(path, target, options(start=0.5, end=1.0))
    field = 1 / (2 * NTSC)
    wanted = [n * field for n in range(90) if Fraction(1, 2) <= n * field < 1]
    times = times_of(target)
    assert len(times) == len(wanted)
    assert {b - a for a, b in pairwise(times)} == {field}
    assert abs(times[0] - (wanted[0] - Fraction(1, 2))) <= Fraction(1, 10000)

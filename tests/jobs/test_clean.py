"""Runs that clean tape whose chroma lies off: measured once, told, and the same whoever works."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

import vsr
from tests.jobs.test_run import debris, options
from tests.media.test_chroma_shift import coloured, scene
from vsr.errors import OptionsError, Stopped
from vsr.events import Event, SegmentDone
from vsr.jobs.video import plan as planning
from vsr.jobs.video import source as reading


def test_the_bytes_are_the_same_whoever_made_them_and_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", Fraction(2, 5))
    source = coloured(tmp_path / "in.mkv", scene(24), "yuv420p", 3, 1)
    asked = options(model="nearest", scale=1.0, clean="vhs")
    alone, several, again = (tmp_path / f"{name}.mp4" for name in ("alone", "several", "again"))
    report = vsr.upscale(source, alone, asked)
    told = [note for note in report.warnings if "chroma" in note]
    assert told == ["chroma lies off by 3 to the right and 1 down, in its own samples: moved back"]
    vsr.upscale(source, several, replace(asked, device="auto", devices="cpu:2"))
    done: list[Event] = []
    with pytest.raises(Stopped):
        vsr.upscale(source, again, asked, done.append, lambda: segment_in(done))
    with monkeypatch.context() as other:
        other.setattr(reading, "measure_shift", unshifted)
        with pytest.raises(OptionsError):  # measured otherwise, it is another run
            vsr.upscale(source, again, asked)
    vsr.upscale(source, again, asked)
    assert alone.read_bytes() == several.read_bytes() == again.read_bytes()
    assert not debris(tmp_path)


def unshifted(*_: object, **__: object) -> None:
    return None


def segment_in(events: list[Event]) -> bool:
    return any(isinstance(event, SegmentDone) for event in events)


def test_without_a_shift_nothing_is_told(tmp_path: Path) -> None:
    for name, by, preset in (("plain", (0, 0), "vhs"), ("dvd", (3, 1), "dvd")):
        source = coloured(tmp_path / f"{name}.mkv", scene(4), "yuv420p", *by)
        plan = vsr.plan(source, tmp_path / "out.mp4", options(clean=preset))
        assert not any("chroma" in note for note in plan.notes)

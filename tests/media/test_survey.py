"""What a video is, from its pixels: contents, bars, grain and blocks that are known."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.media.fields.footage import (
    Picture,
    in_fields,
    pictures,
    telecined,
    write,
)
from tests.media.test_clean import video
from vsr.media.crop import Bars
from vsr.media.read.probe import probe
from vsr.media.survey import survey


def grey_of(lumas: list[Picture]) -> list[Picture]:
    return [np.full((p.shape[0] // 2, p.shape[1]), 128, np.uint8) for p in lumas]


def test_contents_are_told_with_their_stretches(tmp_path: Path) -> None:
    made = pictures(60)
    for name, frames in (
        ("progressive", made[:30]),
        ("interlaced", in_fields(made)),
        ("telecined", telecined(made[:32])[0]),
        ("mixed", [*telecined(made[:32])[0], *in_fields(pictures(60, seed=1))]),
    ):
        found = survey(probe(write(tmp_path / f"{name}.mp4", frames, codec="libx264")))
        assert found.content == name
        assert sum(stretch.frames for stretch in found.stretches) == len(frames)
    assert [stretch.kind for stretch in found.stretches] == ["telecined", "interlaced"]
    assert abs(found.stretches[1].start_seconds - 40 * 1001 / 30000) < 0.04


def test_what_no_run_takes_for_interlaced_is_not_called_so(tmp_path: Path) -> None:
    """At 192 frames a second edges that move far were told to be fields."""
    frames = in_fields(pictures(60))
    for rate, content in ((Fraction(25), "interlaced"), (Fraction(192), "progressive")):
        path = write(tmp_path / f"{rate}.mp4", frames, codec="libx264", rate=rate, flagged=False)
        found = survey(probe(path))
        assert found.content == content
        assert sum(stretch.frames for stretch in found.stretches) == len(frames)


def test_the_first_stretch_begins_at_zero(tmp_path: Path) -> None:
    """By the microseconds of its container this one began before the video: "-0.0 s"."""
    path = write(tmp_path / "in.ts", telecined(pictures(24))[0], codec="mpeg2video")
    assert [str(stretch.start_seconds) for stretch in survey(probe(path)).stretches] == ["0.0"]


def test_black_bars_are_found_to_the_line(tmp_path: Path) -> None:
    made = pictures(30)
    for picture in made:
        picture[:18], picture[-20:] = 16, 16
    path = video(tmp_path / "in.mkv", made, grey_of(made), "ffv1")
    found = survey(probe(path))
    assert found.bars == Bars(top=18, bottom=20)
    assert found.flags == ("--crop auto",)
    plain = video(tmp_path / "plain.mkv", pictures(30), grey_of(made), "ffv1")
    assert not survey(probe(plain)).bars


def test_grain_is_measured_and_what_moves_is_not_taken_for_it(tmp_path: Path) -> None:
    moving = pictures(30, speed=4.0)
    moved = survey(probe(video(tmp_path / "moved.mkv", moving, grey_of(moving), "ffv1")))
    assert not moved.grain
    assert not moved.flags
    grainy = [
        np.clip(p + np.random.default_rng(n).normal(0, 4, p.shape), 0, 255).astype(np.uint8)
        for n, p in enumerate(np.full((12, 144, 192), 90, np.uint8))
    ]
    found = survey(probe(video(tmp_path / "grainy.mkv", grainy, grey_of(grainy), "ffv1")))
    assert 3.4 < found.grain < 4.4
    assert found.flags == ("--grain auto",)


def test_blocks_and_formats_suggest_their_cleaning(tmp_path: Path) -> None:
    made = [
        np.kron(p[4::8, 4::8] // 4 * 3, np.ones((8, 8), np.uint8)) + p // 4
        for p in pictures(24, speed=1.0)
    ]
    blocky = video(tmp_path / "in.mkv", made, grey_of(made), "ffv1")
    found = survey(probe(blocky))
    assert found.condition is not None
    assert found.condition.blockiness > 1.3
    assert found.flags == ("--clean web",)

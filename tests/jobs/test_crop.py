"""Black bars are found to the line, and left out: the rest is as if it had been the whole file."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import vsr
from tests.jobs.test_run import debris, options
from tests.media.fields.footage import Picture, in_fields, pictures, write
from tests.media.test_clean import video
from tests.media.test_survey import grey_of
from vsr.errors import OptionsError, Stopped
from vsr.events import Event, SegmentDone
from vsr.geometry import Box, Size
from vsr.jobs.video import plan as planning
from vsr.media import crop
from vsr.media.crop import Bars
from vsr.media.read.probe import probe
from vsr.media.write.encoding import enlarged_matrix

TOP, BOTTOM, LEFT, RIGHT = 18, 22, 8, 6


def barred(count: int, *, wide: bool = True) -> list[Picture]:
    made = pictures(count)
    for picture in made:
        picture[:TOP], picture[-BOTTOM:] = 16, 16
        if wide:
            picture[:, :LEFT], picture[:, -RIGHT:] = 16, 16
    return made


def lossless(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


def test_what_is_left_is_as_if_it_had_been_the_whole_file(tmp_path: Path) -> None:
    frames = barred(8)
    whole = video(tmp_path / "whole.mkv", frames, grey_of(frames), "ffv1")
    inner = [np.ascontiguousarray(p[TOP:-BOTTOM, LEFT:-RIGHT]) for p in frames]
    small = video(tmp_path / "inner.mkv", inner, grey_of(inner), "ffv1")
    asked = options(model="bicubic", scale=2.0, codec="ffv1", preset=None)
    made, wanted = tmp_path / "made.mkv", tmp_path / "wanted.mkv"
    report = vsr.upscale(whole, made, replace(asked, crop="auto"))
    vsr.upscale(small, wanted, asked)
    assert report.target_size == Size(2 * inner[0].shape[1], 2 * inner[0].shape[0])
    assert any("cropped to 178:104:8:18" in note for note in report.warnings)
    pairs = zip(lossless(made), lossless(wanted), strict=True)
    assert all((one == other).all() for one, other in pairs)


def test_the_bytes_are_the_same_whoever_made_them_and_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", Fraction(1, 5))
    frames = barred(20)
    source = video(tmp_path / "in.mkv", frames, grey_of(frames), "ffv1")
    asked = options(crop="auto", clean="dvd")
    alone, several, again = (tmp_path / f"{name}.mp4" for name in ("alone", "several", "again"))
    vsr.upscale(source, alone, asked)
    vsr.upscale(source, several, replace(asked, device="auto", devices="cpu:2"))
    done: list[Event] = []

    def some() -> bool:
        return any(isinstance(event, SegmentDone) for event in done)

    with pytest.raises(Stopped):
        vsr.upscale(source, again, asked, done.append, some)
    with pytest.raises(OptionsError):  # it is another run
        vsr.upscale(source, again, replace(asked, crop="off"))
    vsr.upscale(source, again, asked)
    assert alone.read_bytes() == several.read_bytes() == again.read_bytes()
    assert not debris(tmp_path)


def test_only_what_is_black_throughout_is_left_out(tmp_path: Path) -> None:
    """A scene without bars, in the middle of frames between key frames, keeps all."""
    frames = barred(60, wide=False)
    frames[31:33] = pictures(2, seed=4)
    for name, g in (("few", "250"), ("many", "2")):
        path = video(tmp_path / f"{name}.mp4", frames, grey_of(frames), "libx264", g=g, qp="10")
        assert not crop.find_bars(probe(path))
        part = crop.find_bars(probe(path), last=round(1 / probe(path).time_base))
        assert part == Bars(TOP, BOTTOM)


def test_samples_of_chroma_and_fields_stay_whole(tmp_path: Path) -> None:
    frames = barred(6)
    progressive = probe(video(tmp_path / "in.mkv", frames, grey_of(frames), "ffv1"))
    assert crop.without(Bars(19, 21, 5, 7), progressive) == Box(4, 18, 182, 106)
    assert crop.without(Bars(), progressive) is None
    assert crop.without(Bars(60, 60), progressive) is None  # titles on black
    interlaced = probe(write(tmp_path / "in.mpg", in_fields(pictures(12))))
    assert crop.without(Bars(19, 22), interlaced) == Box(0, 16, 192, 108)
    for text in ("192:100:0:1", "191:144:0:0", "200:100:0:0", "100:100:100:0"):
        with pytest.raises(OptionsError):
            vsr.upscale(progressive.path, tmp_path / "out.mp4", options(crop=text))
    for text in ("on", "100x100", "0:1:2:3", "1:2:3"):
        with pytest.raises(OptionsError):
            options(crop=text)


def test_fields_are_sorted_before_the_crop(tmp_path: Path) -> None:
    moments = pictures(24)
    for moment in moments:
        moment[:16], moment[-16:] = 16, 16
    path = write(tmp_path / "in.mp4", in_fields(moments), codec="libx264")
    target = tmp_path / "out.mkv"
    report = vsr.upscale(path, target, options(crop="auto"))
    assert report.frames == 24
    assert report.size == Size(192, 112)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_display_matrix_keeps_its_corner(tmp_path: Path, turn: int) -> None:
    frames = barred(4)
    info = probe(video(tmp_path / "in.mkv", frames, grey_of(frames), "ffv1"))
    cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[turn]
    a, b = cosine << 16, sine << 16
    x = -min(0, a * 192) - min(0, -b * 144)
    y = -min(0, b * 192) - min(0, a * 144)
    matrix = (a, b, 0, -b, a, 0, x, y, 1 << 30)
    small = crop.cropped(replace(info, display_matrix=matrix), Box(8, 18, 178, 104))
    made = enlarged_matrix(small, Size(356, 208))
    assert made is not None
    assert made[6] == -min(0, a * 356) - min(0, -b * 208)
    assert made[7] == -min(0, b * 356) - min(0, a * 208)

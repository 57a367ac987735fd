"""A stretch of a video whose frames last long: --start and --end lie inside of them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

import vsr
from tests.conftest import MakeClip
from tests.jobs.test_run import options
from vsr.events import Event, SegmentDone
from vsr.jobs.video import plan as planning
from vsr.media.read.index import frame_times
from vsr.media.read.reader import Reader


@pytest.fixture
def long(make_clip: MakeClip) -> Path:
    """Frames at 0, 1, 1.5 (for 7.5 s), 9 and 9.5 s."""
    pts = [0, 1000, 1500, 9000, 9500]
    return make_clip(pts=pts, time_base=Fraction(1, 1000), options={"bf": "0", "g": "2"})


def shown(path: Path) -> list[tuple[float, float]]:
    """When each frame begins, and how long it lasts, in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        base = stream.time_base or Fraction(1)
        packets = [packet for packet in container.demux(stream) if packet.size]
        return [(float((p.pts or 0) * base), float((p.duration or 0) * base)) for p in packets]


@pytest.mark.parametrize(
    ("start", "end", "wanted"),
    [
        (None, 2.0, [(0, 1), (1, 0.5), (1.5, 0.5)]),
        (3.0, 9.25, [(0, 6), (6, 0.25)]),
        (3.0, 5.0, [(0, 2)]),
        (0.5, 1.25, [(0, 0.5), (0.5, 0.25)]),
        (1.45, 1.75, [(0.05, 0.25)]),  # a picture that is missing for less than 0.1 s is not missed
    ],
)
def test_a_frame_that_is_on_the_screen_at_a_cut_is_in_the_stretch(
    long: Path,
    tmp_path: Path,
    start: float | None,
    end: float,
    wanted: list[tuple[float, float]],
) -> None:
    """It was left out at the start; at the end it kept its whole length."""
    target = tmp_path / "out.mp4"
    vsr.upscale(long, target, options(start=start, end=end))
    assert shown(target) == wanted


def test_it_lasts_to_the_end_where_no_frame_says_how_long(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    """Matroska's frames have one duration, the usual: 0.04 s were left of two."""
    source = make_clip("in.mkv", pts=[0, 1000, 9000], time_base=Fraction(1, 1000))
    vsr.upscale(source, tmp_path / "out.mkv", options(start=3.0, end=5.0))
    assert shown(tmp_path / "out.mkv") == [(0, 2)]


@pytest.mark.parametrize("frames", [1, 2])
def test_it_is_the_same_interrupted_and_by_several_workers(
    long: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int
) -> None:
    cut = {"start": 3.0, "end": 9.6}
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", frames / vsr.probe(long).frame_rate)

    def interrupt(event: Event) -> None:
        if isinstance(event, SegmentDone):
            raise KeyboardInterrupt

    vsr.upscale(long, tmp_path / "whole.mp4", options(**cut))
    with pytest.raises(KeyboardInterrupt):
        vsr.upscale(long, tmp_path / "again.mp4", options(**cut), interrupt)
    assert vsr.upscale(long, tmp_path / "again.mp4", options(**cut)).frames == 3
    shared = options(**cut, devices="cpu:2", device="auto")
    assert not vsr.upscale(long, tmp_path / "shared.mp4", shared).warnings
    whole = (tmp_path / "whole.mp4").read_bytes()
    assert whole == (tmp_path / "again.mp4").read_bytes()
    assert whole == (tmp_path / "shared.mp4").read_bytes()


@pytest.mark.parametrize("first", [0, 1, 1300, 1500, 1501, 8899, 8900, 8950, 9000, 9200])
def test_the_index_tells_the_frames_that_the_reader_holds(long: Path, first: int) -> None:
    info = vsr.probe(long)
    scale = round(1 / info.time_base / 1000)
    reader = Reader(info, first=first * scale, hold=True)
    read = tuple(time for clip in reader for time in clip.pts)
    assert read[0] == first * scale or (read[0] - first * scale) * info.time_base <= 0.1
    assert frame_times(info, first=first * scale, hold=True) == read

"""The liveliest stretch of videos that are known to move in one place only."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.conftest import picture
from vsr.media.extract import activity
from vsr.media.extract.activity import ActivitySample, best, most_active_start
from vsr.media.read.probe import probe


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Ten seconds: a still with a hard cut at 2 s, movement from 6 s to 8 s, a still again."""
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "12", "preset": "fast"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(250):
            shade = 9.0 if number < 50 else max(0.0, min(50.0, number - 150.0)) / 3
            frame = av.VideoFrame.from_ndarray(picture(96, 64, shade), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    return path


def test_it_is_found_by_looking_at_all_and_by_seeking(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = probe(film)
    assert 5.9 <= most_active_start(info, 2.0) <= 6.1
    monkeypatch.setattr(activity, "WHOLE", 0)
    assert 5.5 <= most_active_start(info, 2.0) <= 7.0


def test_it_keeps_to_the_bounds_and_to_the_video(film: Path) -> None:
    info = probe(film)
    assert most_active_start(info, 30.0) == 0.0
    assert 8.0 <= most_active_start(info, 1.0, start=8.0, end=9.5) <= 8.5
    assert most_active_start(info, 2.0, start=3.0, end=4.0) == 3.0


def test_a_stream_without_a_duration_is_measured_by_its_packets(film: Path, tmp_path: Path) -> None:
    raw = tmp_path / "film.webm"
    with av.open(str(film)) as source, av.open(str(raw), "w", options={"live": "1"}) as target:
        stream = target.add_stream("libvpx", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for frame in source.decode(video=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    info = probe(raw)
    assert info.duration_seconds is None
    assert 5.9 <= most_active_start(info, 2.0) <= 6.1


def test_where_nothing_can_be_seen_it_is_the_middle() -> None:
    assert best([], 2.0, start=0.0, latest=8.0) == 4.0
    still = [ActivitySample(float(second), 0.0, 0.5) for second in range(5)]
    moving = [ActivitySample(5.0, 0.02, 0.5), ActivitySample(7.0, 0.02, float(np.float32(0.1)))]
    assert best(still + moving, 1.0, start=0.0, latest=8.0) == 5.0

"""Natural clips, and files that are each hard in one way. Skipped where VSR_MEDIA is not set."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import pytest

import vsr
from tests.conftest import packets_of, tags_of, times_of
from tests.marks import usually
from vsr.errors import MediaError

CLIPS = ("bbb_854x480_30s", "car_768x432", "crystal_720x480", "dog_640x360", "sintel_854x480")
BAD = {"audio_only.mp4", "empty.mp4", "not_a_video.mp4", "unopenable_malformed_box.mp4"}
SOONEST = (
    "avi_h264_nonmonotonic_pts.avi", "gap_10s_in_middle.mkv", "odd_161x121_420.webm",
    "truncated_60pct.mkv",
)  # fmt: skip
WRONG_TIMES = {"avi_h264_nonmonotonic_pts.avi"}
NONE = "needs VSR_MEDIA"
TRICKY = (
    sorted(path.name for path in (Path(os.environ["VSR_MEDIA"]) / "media" / "tricky").iterdir())
    if os.environ.get("VSR_MEDIA")
    else [NONE]
)


@pytest.mark.parametrize("name", usually(["dog_640x360"], CLIPS))
def test_a_natural_clip_comes_out_whole(media: Path, tmp_path: Path, name: str) -> None:
    source, target = media / "clips" / f"{name}.mp4", tmp_path / "out.mp4"
    options = vsr.UpscaleOptions(model="bicubic", preset="ultrafast", end=0.5, device="cpu")
    report = vsr.upscale(source, target, options)
    expected = [time for time in times_of(source) if time < 0.5]
    assert times_of(target) == expected
    assert report.target_size == report.size.scaled(4)
    sound = zip(packets_of(source, "audio"), packets_of(target, "audio"), strict=True)
    assert all(kept and before[: len(kept)] == kept for before, kept in sound)
    before, after = tags_of(source), tags_of(target)
    assert after[2:] == before[2:]
    assert after[0] == (before[0] if before[0] != 2 else 6)  # untagged SD is tagged as it was read
    assert after[1] in (before[1], 1)  # x264 says "limited" where nothing was said


@pytest.mark.parametrize("name", usually([*BAD, *SOONEST, NONE], TRICKY))
def test_a_tricky_file_is_a_verified_output_or_one_clear_error(
    media: Path, tmp_path: Path, name: str
) -> None:
    source = media / "tricky" / name
    target = tmp_path / "out.mkv"
    if name in BAD:
        with pytest.raises(MediaError):
            vsr.upscale(source, target)
        assert list(tmp_path.iterdir()) == []
        return
    info = vsr.probe(source)
    large = info.size.pixels > 1 << 18  # a part of a stretch of these is enough for the suite
    end = None
    if large or name.startswith("multi_video"):
        end = Fraction(1, 10 if info.size.pixels > 1 << 20 else 3) if large else Fraction(3)
    options = vsr.UpscaleOptions(
        model="nearest",
        preset="ultrafast",
        codec="h264",
        height=min(info.size.height * 4, 240),
        end=None if end is None else float(end),
        crop="256:144:64:32" if large else "off",
        device="cpu",
        accept_truncated=name.startswith("truncated"),
        deinterlace="frames" if name.startswith("interlaced") else "auto",  # one for each
    )
    report = vsr.upscale(source, target, options)
    made, expected = times_of(target), times_of(source, info.video)
    if end is not None:
        begin = Fraction(info.start_seconds).limit_denominator(10**6)
        expected = [time for time in expected if time < begin + end]
    assert report.frames == len(made) == len(expected)
    if name not in WRONG_TIMES:
        assert all(abs(m - e) <= 0.0005 for m, e in zip(made, expected, strict=True))
    assert made == sorted(set(made))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mkv"]

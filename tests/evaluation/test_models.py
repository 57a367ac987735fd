"""Models on one input: with itself shrunk as reference, and without any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch

import vsr
from tests.conftest import MakeClip, picture
from vsr.errors import OptionsError
from vsr.evaluation.footage import Footage
from vsr.evaluation.models import bursts, compressed, shrunk
from vsr.evaluation.options import CompareOptions, parse_crop
from vsr.evaluation.result import Comparison
from vsr.metrics.picture import psnr

MODELS = ("bicubic", "nearest")
QUICK = CompareOptions(metrics=("psnr", "ssim", "sharpness"), device="cpu", shrink=True)


def mean(comparison: Comparison, metric: str, track: int = 0) -> float:
    summary = comparison.tracks[track].summary(metric)
    assert summary is not None
    return summary.mean


def test_the_input_shrunk_is_its_own_reference(samples: Path) -> None:
    options = CompareOptions(
        metrics=("psnr", "flicker"), device="cpu", shrink=True, frames=6, shown=8
    )
    found = vsr.compare(samples / "harbour.mkv", (), options, models=("bicubic", "compact"))
    assert found.best("psnr") == "compact"
    assert found.films == ("harbour.mkv", "bicubic", "compact")
    assert all(track.seconds is not None and track.seconds > 0 for track in found.tracks)
    # Two places of three frames: each is shown once, and only neighbours flicker.
    assert len(found.shown) == 2
    assert [value == value for value in found.tracks[0].values["flicker"]] == [
        False, True, True, False, True, True,
    ]  # fmt: skip


def test_compression_of_the_shrunk_input_costs(make_clip: MakeClip) -> None:
    clip = make_clip(size=(130, 102), frames=4)  # shrinks to 32x25: an odd side, for 4:2:0
    plain = vsr.compare(clip, (), QUICK, models=MODELS)
    assert str(plain.size) == "128x100"
    coded = vsr.compare(clip, (), replace(QUICK, crf=38), models=MODELS)
    assert mean(coded, "psnr") < mean(plain, "psnr") - 0.5
    assert "x264 at crf 38" in coded.settings["upscaled"]


def test_compressing_keeps_order_size_and_most_of_the_picture() -> None:
    highs = [torch.from_numpy(picture(140, 100, n)).permute(2, 0, 1) / 255 for n in range(3)]
    lows = [shrunk(high, 4) for high in highs]
    for crf, least in ((1, 40), (30, 20)):
        for low, made in zip(lows, compressed(lows, crf), strict=True):
            assert made.shape == low.shape == (3, 25, 35)
            assert psnr(made, low, 0) > least


def test_without_a_reference_films_are_only_shown_and_timed(make_clip: MakeClip) -> None:
    options = CompareOptions(device="cpu", shown=4)
    found = vsr.compare(make_clip(frames=3), (), options, models=MODELS)
    assert found.reference is None
    assert found.metrics == ("flicker", "sharpness")
    assert found.films == MODELS
    assert str(found.size) == "256x192"
    assert found.best("sharpness") is None
    # Bicubic is what motion is read from: it flickers as much as that.
    assert mean(found, "flicker") == pytest.approx(0, abs=0.1)


def test_pictures_and_crops(tmp_path: Path) -> None:
    still = tmp_path / "still.png"
    cv2.imwrite(str(still), picture(90, 70, 0))
    found = vsr.compare(still, (), replace(QUICK, crop=parse_crop("8,8,64,48")), models=MODELS)
    assert (str(found.size), found.names) == ("64x48", ("still",))
    with pytest.raises(OptionsError, match="outside of the enlarged 88x68"):
        vsr.compare(still, (), replace(QUICK, crop=parse_crop("0,0,90,70")), models=MODELS)
    with pytest.raises(OptionsError, match="names and one input"):
        vsr.compare(still, [still], QUICK, models=MODELS)
    with pytest.raises(OptionsError, match="--shrink is for models"):
        vsr.compare(still, [still], QUICK)


def test_places_in_a_long_film_are_sought(media: Path) -> None:
    film = media / "clips" / "bbb_854x480_30s.mp4"
    options = replace(QUICK, metrics=("sharpness",), frames=6, start=10, end=20)
    found = vsr.compare(film, (), options, models=("nearest",))
    assert list(found.times) == pytest.approx([12.5, 12.54, 12.58, 17.5, 17.54, 17.58], abs=0.05)


@pytest.mark.parametrize(
    ("start", "end", "wanted", "burst", "seen"),
    [
        (1.0, 1.4, 24, 3, 10),  # all there are
        (1.0, 2.0, 24, 3, 24),  # nearly all
        (1.0, 2.0, 20, 12, 20),
        (None, None, 48, 12, 48),
        (3.0, None, 24, 3, 15),
        (0.4, 3.0, 7, 3, 7),
    ],
)
def test_each_frame_of_a_range_is_looked_at_once(
    make_clip: MakeClip,
    start: float | None,
    end: float | None,
    wanted: int,
    burst: int,
    seen: int,
) -> None:
    footage = Footage(make_clip("long.mkv", size=(32, 32), frames=90))
    options = CompareOptions(start=start, end=end)
    times = [float(frame.time) for frame, _ in bursts(footage, wanted, burst, options)]
    assert times == sorted(set(times))
    assert len(times) == seen
    assert times[0] >= (start or 0)
    assert times[-1] < (end or 3.6)


def test_a_range_that_is_looked_at_whole_is_said_to_be(make_clip: MakeClip) -> None:
    clip = make_clip("long.mkv", size=(32, 32), frames=40)
    options = replace(QUICK, metrics=("psnr",), start=0.4, end=0.8)
    found = vsr.compare(clip, (), options, models=("nearest",))
    assert len(found.times) == 10
    assert found.settings["frames"] == "all 10 of the range"

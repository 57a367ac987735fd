"""Films compared with a reference: the same, shifted, tagged otherwise, cut off, larger."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

import vsr
from tests.conftest import MakeClip, picture
from vsr.errors import MediaError, OptionsError
from vsr.evaluation.options import CompareOptions, parse_crop
from vsr.evaluation.result import Comparison
from vsr.events import Advanced, Event, Started
from vsr.metrics.picture import ms_ssim, psnr, psnr_rgb, sharpness, ssim, ssim_rgb

QUICK = CompareOptions(metrics=("psnr", "ssim", "psnr_rgb"))
LOSSLESS = {"crf": "0", "preset": "ultrafast"}
LOSSLESS_WEBP = [cv2.IMWRITE_WEBP_QUALITY, 101]


def mean(comparison: Comparison, metric: str, track: int = 0) -> float:
    summary = comparison.tracks[track].summary(metric)
    assert summary is not None
    return summary.mean


def film(
    path: Path,
    places: list[int],
    *,
    size: tuple[int, int] = (96, 64),
    spec: tuple[int, int] | None = None,
    rate: Fraction = Fraction(25),
    begin: int = 0,
) -> Path:
    """A lossless film of the moving picture's moments ``places``; ``spec`` is (matrix, range)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=LOSSLESS)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv444p"
        stream.time_base = stream.codec_context.time_base = 1 / rate
        matrix, code_range = spec or (5, 1)
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, code_range
        for number, place in enumerate(places):
            frame = av.VideoFrame.from_ndarray(picture(*size, place / 3), format="rgb24")
            frame = frame.reformat(
                format="yuv444p", dst_colorspace=matrix, dst_color_range=code_range
            )
            frame.colorspace, frame.color_range = matrix, code_range
            frame.pts, frame.time_base = begin + number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_film_is_equal_to_itself_in_every_metric(make_clip: MakeClip) -> None:
    path = make_clip(size=(192, 176), frames=6)
    events: list[Event] = []
    found = vsr.compare(path, [path], CompareOptions(shown=2, vmaf=False), events.append)
    assert found.frames == 6
    means = {name: mean(found, name) for name in found.metrics}
    own = means.pop("sharpness")
    assert means == {
        "psnr": 100, "ssim": pytest.approx(1), "psnr_rgb": 100, "ssim_rgb": pytest.approx(1),
        "ms_ssim": pytest.approx(1), "flicker": 0,
    }  # fmt: skip
    assert found.reference is not None
    assert found.reference.summary("sharpness") is not None
    assert own > 0
    assert math.isnan(found.tracks[0].values["flicker"][0])  # the first frame follows none
    assert found.notes == ()
    assert [shown.place for shown in found.shown] == [0, 3]
    assert isinstance(events[0], Started)
    assert sum(event.frames for event in events if isinstance(event, Advanced)) == 6


@pytest.mark.parametrize("shift", [1, 2, -1])
def test_a_shift_is_found_named_and_taken_out(tmp_path: Path, shift: int) -> None:
    one = film(tmp_path / "one.mkv", list(range(3, 23)))
    two = film(tmp_path / "two.mkv", list(range(3 - shift, 23 - shift)))
    found = vsr.compare(one, [two], QUICK)
    assert found.tracks[0].shift == shift
    word = "late" if shift > 0 else "early"
    count = f"{abs(shift)} frame" + ("s" if abs(shift) > 1 else "")
    assert f"two.mkv is {count} {word}" in found.notes[0]
    assert mean(found, "psnr") < 45
    mended = vsr.compare(one, [two], replace(QUICK, align="shift"))
    assert mean(mended, "psnr") == 100
    assert mended.frames == 20 - abs(shift)


def test_a_shift_that_begins_later_is_named_with_its_time(tmp_path: Path) -> None:
    one = film(tmp_path / "one.mkv", list(range(96)), size=(48, 32))
    two = film(tmp_path / "two.mkv", [*range(48), 47, *range(48, 95)], size=(48, 32))
    found = vsr.compare(one, [two], replace(QUICK, metrics=("psnr",)))
    assert "1 frame late from 1.92 s on" in found.notes[0]


def test_what_stands_still_has_no_shift(tmp_path: Path) -> None:
    still = film(tmp_path / "still.mkv", [4] * 20)
    assert vsr.compare(still, [still], QUICK).tracks[0].shift == 0


@pytest.mark.parametrize("spec", [(1, 1), (5, 2), (1, 2)])
def test_other_tags_are_compared_in_the_same_space(tmp_path: Path, spec: tuple[int, int]) -> None:
    one = film(tmp_path / "one.mkv", [0, 1, 2], spec=(5, 1))
    two = film(tmp_path / "two.mkv", [0, 1, 2], spec=spec)
    found = vsr.compare(one, [two], QUICK)
    # Both were rounded to 8 bits in another space: half a level each, and half again in RGB.
    assert mean(found, "psnr") > 46
    assert any("read by their own" in note for note in found.notes)
    wrong = film(tmp_path / "wrong.mkv", [0, 1, 2], spec=spec)
    with av.open(str(two)) as a, av.open(str(wrong)) as b:
        assert a.streams.video[0].codec_context.colorspace == spec[0]
        assert b.streams.video[0].codec_context.color_range == spec[1]


def test_containers_that_begin_elsewhere_and_round_times_meet(tmp_path: Path) -> None:
    places = list(range(8))
    rate = Fraction(30000, 1001)
    one = film(tmp_path / "one.mp4", places, rate=rate)
    two = film(tmp_path / "two.mkv", places, rate=rate, begin=301)  # and whole milliseconds
    found = vsr.compare(one, [two], QUICK)
    assert (found.frames, mean(found, "psnr")) == (8, 100)


def test_frames_that_lack_a_partner_are_an_error_with_a_time(tmp_path: Path) -> None:
    one = film(tmp_path / "one.mkv", list(range(10)))
    short = film(tmp_path / "short.mkv", list(range(8)))
    with pytest.raises(OptionsError, match=r"one.mkv has a frame at 0.320 s.*short.mkv has none"):
        vsr.compare(one, [short], QUICK)
    with pytest.raises(OptionsError, match=r"one.mkv has a frame at 0.320 s"):
        vsr.compare(short, [one], QUICK)
    with pytest.raises(OptionsError, match="ends after 8 frames"):
        vsr.compare(one, [short], replace(QUICK, align="number"))
    found = vsr.compare(one, [short], replace(QUICK, align="overlap"))
    assert (found.frames, mean(found, "psnr")) == (8, 100)


def test_sizes_must_match_or_be_cropped(tmp_path: Path) -> None:
    one = film(tmp_path / "one.mkv", [0, 1], size=(96, 64))
    two = film(tmp_path / "two.mkv", [0, 1], size=(96, 60))
    with pytest.raises(OptionsError, match=r"two.mkv is 96x60, the reference 96x64"):
        vsr.compare(one, [two], QUICK)
    found = vsr.compare(one, [two], replace(QUICK, crop=parse_crop("common")))
    assert str(found.size) == "96x60"
    assert mean(found, "psnr") == 100  # the picture does not depend on the size
    found = vsr.compare(one, [two], replace(QUICK, crop=parse_crop("8,4,40,32")))
    assert str(found.size) == "40x32"
    with pytest.raises(OptionsError, match="outside of a frame of 96x60"):
        vsr.compare(one, [two], replace(QUICK, crop=parse_crop("0,0,96,64")))


def test_a_corrupt_second_file_is_one_clear_error(tmp_path: Path, make_clip: MakeClip) -> None:
    whole = make_clip(frames=30, size=(96, 64))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(whole.read_bytes()[:900])
    with pytest.raises(MediaError, match=r"broken.mp4"):
        vsr.compare(whole, [broken], QUICK)


def test_damage_that_was_concealed_is_told(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mkv", list(range(24)))
    data = bytearray(whole.read_bytes())
    noise = np.random.default_rng(3)
    for place in noise.integers(len(data) // 4, len(data) * 9 // 10, 40):
        data[place] ^= 0x55
    hurt = tmp_path / "hurt.mkv"
    hurt.write_bytes(data)
    found = vsr.compare(whole, [hurt], replace(QUICK, align="overlap"))
    assert any("hurt.mkv" in note and "damaged" in note for note in found.notes)


def test_several_candidates_and_a_stretch(tmp_path: Path) -> None:
    one = film(tmp_path / "one.mkv", list(range(12)))
    (tmp_path / "b").mkdir()
    same = film(tmp_path / "b" / "one.mkv", list(range(12)))
    other = film(tmp_path / "other.mkv", [9] * 12)
    found = vsr.compare(one, [same, other], replace(QUICK, start=0.2, end=0.4))
    assert [track.name for track in found.tracks] == ["b/one.mkv", f"{tmp_path.name}/other.mkv"]
    assert list(found.times) == pytest.approx([0.2, 0.24, 0.28, 0.32, 0.36])
    assert found.best("psnr") == "b/one.mkv"
    few = vsr.compare(one, [same], replace(QUICK, frames=6))
    assert list(few.times) == pytest.approx([0, 0.04, 0.08, 0.24, 0.28, 0.32])
    with pytest.raises(MediaError, match="not one frame"):
        vsr.compare(one, [same], replace(QUICK, start=9))


def test_some_frames_of_a_part_are_looked_at_in_that_part(tmp_path: Path) -> None:
    one = film(tmp_path / "one.mp4", list(range(60)), size=(32, 32))
    part = replace(QUICK, start=1.0, end=1.6)  # frames 25 to 39
    few = vsr.compare(one, [one], replace(part, frames=6))
    assert [round(25 * seconds) for seconds in few.times] == [25, 26, 27, 32, 33, 34]
    shown = vsr.compare(one, [one], replace(part, shown=4)).shown
    assert len({25 + frame.place for frame in shown}) == 4


def test_pictures_and_folders_are_paired_by_name(tmp_path: Path) -> None:
    for folder in ("hr", "sr"):
        (tmp_path / folder).mkdir()
    for number in range(3):
        pixels = picture(64 + number, 48, number)[..., ::-1]
        cv2.imwrite(str(tmp_path / "hr" / f"scene{number}.png"), pixels)
        cv2.imwrite(str(tmp_path / "sr" / f"scene{number}.webp"), pixels, LOSSLESS_WEBP)
    found = vsr.compare(tmp_path / "hr", [tmp_path / "sr"], QUICK)
    assert found.names == ("scene0", "scene1", "scene2")
    assert mean(found, "psnr_rgb") == 100
    one = vsr.compare(tmp_path / "hr" / "scene0.png", [tmp_path / "sr" / "scene0.webp"], QUICK)
    assert (one.frames, mean(one, "ssim")) == (1, pytest.approx(1))
    (tmp_path / "sr" / "scene1.webp").unlink()
    with pytest.raises(OptionsError, match="no picture 'scene1'"):
        vsr.compare(tmp_path / "hr", [tmp_path / "sr"], QUICK)
    fewer = vsr.compare(tmp_path / "hr", [tmp_path / "sr"], replace(QUICK, align="overlap"))
    assert fewer.names == ("scene0", "scene2")


def test_only_numbered_pictures_of_one_size_have_flicker(tmp_path: Path) -> None:
    for name, number in (("001", 0), ("002", 1), ("004", 2)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture(64, 48, number / 3))
    found = vsr.compare(tmp_path, [tmp_path], CompareOptions(metrics=("flicker",)))
    assert [math.isnan(value) for value in found.tracks[0].values["flicker"]] == [True, False, True]


def test_what_is_too_small_for_a_metric_is_told(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "tiny.png"), picture(12, 12, 0))
    tiny = tmp_path / "tiny.png"
    found = vsr.compare(tiny, [tiny], CompareOptions(vmaf=False))
    assert found.metrics == ("psnr", "psnr_rgb", "sharpness")
    assert "at this size of pictures: SSIM" in found.notes[0]


def test_natural_films_of_two_kinds_of_tags(media: Path) -> None:
    path = media / "tricky" / "bt709_full_range.mp4"
    found = vsr.compare(path, [path], replace(QUICK, frames=3))
    assert mean(found, "psnr") == 100


def test_numbers_are_those_of_the_metrics_themselves(tmp_path: Path) -> None:
    one, two = picture(200, 190, 0.2), picture(200, 190, 0.4)
    for name, pixels in (("one", one), ("two", two)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), pixels[..., ::-1])
    found = vsr.compare(tmp_path / "one.png", [tmp_path / "two.png"], CompareOptions(vmaf=False))
    first, second = (torch.from_numpy(p).permute(2, 0, 1).float() / 255 for p in (one, two))
    for name, metric in (
        ("psnr", psnr), ("ssim", ssim), ("psnr_rgb", psnr_rgb), ("ssim_rgb", ssim_rgb),
        ("ms_ssim", ms_ssim),
    ):  # fmt: skip
        assert mean(found, name) == pytest.approx(metric(second, first, 4), abs=1e-9), name
    assert mean(found, "sharpness") == pytest.approx(sharpness(second))


def test_the_perceptual_distance_is_measured_with_a_network(media: Path, tmp_path: Path) -> None:
    vgg = str(media.parent / "weights" / "vgg19_relu3_1.safetensors")
    sharp = picture(64, 48, 0.0)
    for name, pixels in (("one", sharp), ("two", cv2.GaussianBlur(sharp, (0, 0), 2))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), pixels)
    one, two = tmp_path / "one.png", tmp_path / "two.png"
    found = vsr.compare(one, [one, two], CompareOptions(metrics=("perceptual",), vgg=vgg))
    assert mean(found, "perceptual", 0) == 0
    assert 0 < mean(found, "perceptual", 1) < 12  # at most 4 a layer
    assert found.best("perceptual") == "one.png (2)"  # the reference has that name already

"""Frames worth learning from: chosen by numbers, written from real small videos made here."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vsr.errors import DataError, MediaError, OptionsError
from vsr.events import Event, Warned
from vsr.media.extract.extraction import extract
from vsr.media.extract.selection import (
    ExtractOptions,
    FrameMeasurements,
    blockiness,
    choose,
    crop_places,
    measure_frame,
    scenes,
    spread,
)
from vsr.media.extract.sheet import sheet

Pixels = NDArray[np.uint8]


def scene(seed: int, height: int = 96, width: int = 128) -> Pixels:
    """A picture of blobs and fine texture."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(60, 200, (height // 4, width // 4, 3), np.uint8)
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(6):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        colour = tuple(float(value) for value in rng.integers(0, 256, 3))
        cv2.circle(picture, centre, int(rng.integers(8, 30)), colour, -1)
    return np.asarray(picture, dtype=np.uint8)


def film(path: Path, frames: Sequence[Pixels], **changes: Any) -> Path:
    """A video of 10 frames a second; ``changes`` are the encoder's attributes."""
    codec = changes.pop("codec", "libx264")
    options = changes.pop("options", {"crf": "10", "preset": "ultrafast"})
    with av.open(str(path), "w") as container:
        stream = cast(Any, container).add_stream(codec, rate=10, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = changes.pop("pix_fmt", "yuv420p")
        for name, value in changes.items():
            setattr(stream.codec_context, name, value)
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "frames.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def luma(pixels: Pixels) -> NDArray[np.float32]:
    return (pixels[..., 1] / np.float32(255)).astype(np.float32)


def looks(frames: Sequence[Pixels]) -> list[FrameMeasurements]:
    return [
        measure_frame(luma(pixels), number, number / 10) for number, pixels in enumerate(frames)
    ]


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), dtype=np.uint8)


def test_a_cut_ends_a_scene_and_a_pan_does_not() -> None:
    wide = scene(0, 96, 200)
    pan = [wide[:, 3 * n : 3 * n + 128] for n in range(12)]
    other = [scene(1)] * 8
    found = scenes(looks([*pan, *other]))
    assert [len(part) for part in found] == [12, 8]


def test_the_sharpest_frame_of_a_scene_is_taken() -> None:
    frames = [blurred(scene(0), sigma) for sigma in (3, 2, 0.5, 2, 3)]
    (verdict,) = choose(looks(frames), every=None)
    assert (verdict.frame.pts, verdict.left) == (2, "")


def test_every_so_many_seconds_but_never_the_same_picture_twice() -> None:
    wide = scene(0, 96, 600)
    pan = looks([wide[:, 12 * n : 12 * n + 128] for n in range(30)])
    taken = [verdict for verdict in choose(pan, every=1.0) if not verdict.left]
    assert len(taken) == 3
    still = choose(looks([scene(0)] * 30), every=1.0)
    assert [verdict.left.split(" at")[0] for verdict in still] == ["", *["like the frame"] * 2]
    again = choose(looks([scene(0)] * 9 + [scene(1)] * 9 + [scene(0)] * 9), every=None)
    assert [bool(verdict.left) for verdict in again] == [False, False, True]


def dimmed(pixels: Pixels) -> Pixels:
    return pixels // np.uint8(16)


def flattened(pixels: Pixels) -> Pixels:
    return np.full_like(pixels, 128)


def smeared(pixels: Pixels) -> Pixels:
    return blurred(pixels, 9)


def blocked(pixels: Pixels) -> Pixels:
    return pixels[::8, ::8].repeat(8, 0).repeat(8, 1)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(dimmed, "dark"), (flattened, "flat"), (smeared, "blurred"), (blocked, "compressed")],
)
def test_what_teaches_nothing_is_left_and_named(
    spoil: Callable[[Pixels], Pixels], reason: str
) -> None:
    (verdict,) = choose(looks([spoil(scene(0))] * 5), every=None)
    assert verdict.left == reason
    assert choose(looks([scene(0)] * 5), every=None)[0].left == ""


def test_blockiness_rises_with_compression() -> None:
    clean = scene(0)
    levels = [95, 30, 5]
    found: list[float] = []
    for quality in levels:
        _, data = cv2.imencode(".jpg", clean, [cv2.IMWRITE_JPEG_QUALITY, quality])
        found.append(blockiness(luma(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)))))
    assert 0.8 < found[0] < 1.4  # the picture itself has a grid of 4 px
    assert found == sorted(found)
    assert found[-1] > 1.6


def test_bursts_stay_inside_of_a_scene() -> None:
    frames = looks([scene(0)] * 4 + [scene(1)] * 2 + [scene(2)] * 6)
    verdicts = choose(frames, every=None, burst=3)
    assert [len(verdict.following) for verdict in verdicts if not verdict.left] == [2, 2]
    assert verdicts[1].left == "its scene is too short"
    first = verdicts[0]
    assert first.following == (first.frame.pts + 1, first.frame.pts + 2)


def test_a_maximum_is_spread_evenly() -> None:
    verdicts = choose(looks([scene(n // 4) for n in range(40)]), every=None)
    assert len(verdicts) == 10
    kept = [n for n, verdict in enumerate(spread(verdicts, 4)) if not verdict.left]
    assert kept == [0, 3, 6, 9]
    assert spread(verdicts, None) == verdicts
    assert sum(not verdict.left for verdict in spread(verdicts, 1)) == 1


def test_crops_lie_where_detail_is() -> None:
    plane = np.full((96, 128), 0.5, np.float32)
    plane[:32, 96:] = np.random.default_rng(0).random((32, 32), np.float32)
    assert crop_places(plane, 32, 4) == [(0, 96)]
    busy = np.random.default_rng(0).random((100, 130), np.float32)
    places = crop_places(busy, 32, 5)
    assert len(set(places)) == 5
    assert all(0 <= y <= 68 and 0 <= x <= 98 for y, x in places)
    assert crop_places(busy, 200, 4) == []


def test_extraction_writes_pictures_an_index_and_a_sheet(tmp_path: Path) -> None:
    frames = [blurred(scene(n // 5), 0.3 + n % 5) for n in range(15)]
    path = film(tmp_path / "film.mp4", frames)
    report = extract(ExtractOptions((path,), tmp_path / "frames"))
    assert (report.frames, report.scenes, report.looked_at) == (3, 3, 15)
    kept = [line for line in lines(report.out) if "file" in line]
    assert [line["seconds"] for line in kept] == [0, 0.5, 1]  # the sharpest of each scene
    for line, number in zip(kept, (0, 5, 10), strict=True):
        written = cv2.imread(str(report.out / line["file"]), cv2.IMREAD_COLOR_RGB)
        assert written is not None
        assert np.abs(written.astype(int) - frames[number]).mean() < 8  # 4:2:0 and crf 10
        assert line["video"] == "film.mp4"
        assert line["size"] == [128, 96]
    assert cv2.imread(str(report.sheet)) is not None
    assert not list(report.out.glob("*.part"))


def test_bursts_and_crops_have_names_of_their_own(tmp_path: Path) -> None:
    wide = scene(0, 96, 300)
    path = film(tmp_path / "a+b.mp4", [wide[:, n : n + 128] for n in range(8)])
    report = extract(ExtractOptions((path,), tmp_path / "f", size=32, crops=2, burst=3))
    names = sorted(line["file"] for line in lines(report.out) if "file" in line)
    assert report.frames == len(names) == 6
    stems = {name.removesuffix(".png").rpartition("+")[0] for name in names if "+" in name}
    assert all(f"{stem}.png" in names and f"{stem}+2.png" in names for stem in stems)
    for name in names:
        written = cv2.imread(str(report.out / name))
        assert written is not None
        assert written.shape == (32, 32, 3)


def test_pictures_are_upright_with_square_pixels_and_all_bits(tmp_path: Path) -> None:
    frames = [scene(0)] * 4
    squeezed = film(
        tmp_path / "sar.mp4", frames, sample_aspect_ratio=Fraction(2, 1), pix_fmt="yuv420p"
    )
    report = extract(ExtractOptions((squeezed,), tmp_path / "sar"))
    (line,) = [line for line in lines(report.out) if "file" in line]
    assert line["size"] == [128, 48]
    quiet = {"x265-params": "log-level=none", "crf": "5", "preset": "ultrafast"}
    path = tmp_path / "deep.mkv"
    deep = film(path, frames, pix_fmt="yuv420p10le", codec="libx265", options=quiet)
    report = extract(ExtractOptions((deep,), tmp_path / "deep"))
    (line,) = [line for line in lines(report.out) if "file" in line]
    stored = cv2.imread(str(report.out / line["file"]), cv2.IMREAD_UNCHANGED)
    assert stored is not None
    assert stored.dtype == np.uint16
    assert np.abs(stored[..., ::-1] / 257 - frames[0]).mean() < 8


def test_several_videos_share_the_maximum_and_broken_ones_are_told(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    videos = (
        film(tmp_path / "film.mp4", [scene(n // 4) for n in range(12)]),
        film(tmp_path / "sub" / "film.mp4", [scene(10 + n // 4) for n in range(12)]),
    )
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    events: list[Event] = []
    options = ExtractOptions((*videos, broken), tmp_path / "frames", most=4)
    report = extract(options, events.append)
    assert report.frames == 4
    assert len({line["file"] for line in lines(report.out) if "file" in line}) == 4
    assert any(isinstance(event, Warned) and "broken.mp4" in event.message for event in events)
    with pytest.raises(MediaError):
        extract(ExtractOptions((broken,), tmp_path / "other"))


def test_nothing_worth_learning_from_is_an_error_that_says_why(tmp_path: Path) -> None:
    path = film(tmp_path / "black.mp4", [np.zeros((96, 128, 3), np.uint8)] * 5)
    with pytest.raises(DataError, match="1 dark") as caught:
        extract(ExtractOptions((path,), tmp_path / "frames"))
    assert caught.value.hint


def test_a_second_extraction_into_a_folder_is_refused(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", [scene(n // 4) for n in range(8)])
    options = ExtractOptions((path,), tmp_path / "frames")
    assert extract(options).frames == 2
    with pytest.raises(MediaError, match="already holds"):
        extract(options)


@pytest.mark.parametrize(
    "changes", [{"every": 0.0}, {"most": 0}, {"size": 8}, {"burst": 0}, {"videos": ()}]
)
def test_options_are_checked(changes: dict[str, Any]) -> None:
    with pytest.raises(OptionsError):
        replace(ExtractOptions((Path("a"),), Path("b")), **changes)


def test_a_sheet_shows_small_pictures_pixel_by_pixel() -> None:
    small, large = np.full((8, 8, 3), 200, np.uint8), np.full((32, 32, 3), 90, np.uint8)
    made = sheet([[small, large]], ("low", "high"))
    assert (made[22 + 31, 6 + 31] == 200).all()  # four times repeated: it fills its cell
    assert (made[22 + 31, 6 + 38 + 31] == 90).all()

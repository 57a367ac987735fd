"""Cleaning changes what it names, alike wherever reading begins, and keeps depth and times."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.media.fields.footage import Picture, pictures, psnr
from vsr.errors import OptionsError
from vsr.media.clean import Cleaner, chain
from vsr.media.read.probe import probe
from vsr.media.read.reader import Reader
from vsr.options import UpscaleOptions
from vsr.restoration import Clean, CleanPreset, parse_clean

PRESETS = ("vhs", "dvd", "film", "web")


def video(path: Path, lumas: list[Picture], chroma: list[Picture], codec: str, **more: str) -> Path:
    height, width = lumas[0].shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=more)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for luma, grey in zip(lumas, chroma, strict=True):
            both = grey.reshape(height // 2, width)
            frame = av.VideoFrame.from_ndarray(np.concatenate([luma, both]), format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def planes_of(path: Path, clean: Clean | None, after: int | None = None) -> list[list[Picture]]:
    reader = Reader(probe(path), filters=chain(clean) if clean else (), after=after)
    return [[p[n].numpy().copy() for p in c.planes] for c in reader for n in range(len(c.pts))]


def edges(luma: Picture) -> float:
    """How much columns differ at the edges of 8x8 blocks, for how much they do elsewhere."""
    steps = np.abs(np.diff(luma.astype(float), axis=1)).mean(axis=0)
    return float(steps[7::8].mean() / np.delete(steps, np.s_[7::8]).mean())


def test_noise_of_tape_is_lower_in_colour_and_luma(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    truth = pictures(4)
    noisy = [np.clip(p + random.normal(0, 4, p.shape), 0, 255).astype(np.uint8) for p in truth]
    chroma: list[Picture] = []
    for picture in truth:
        half = (2, picture.shape[0] // 2, picture.shape[1] // 2)
        noise = np.array(
            [cv2.GaussianBlur(p, (0, 0), 1.0) for p in random.normal(0, 30, half)], float
        )
        chroma.append(np.clip(128 + noise, 16, 240).astype(np.uint8))
    path = video(tmp_path / "in.mkv", noisy, chroma, "ffv1")
    raw, half, full = (planes_of(path, parse_clean(f"vhs:{s}")) for s in ("0", "0.5", "1"))
    for number, picture in enumerate(truth):
        luma = [psnr(made[number][0], picture) for made in (raw, half, full)]
        assert luma[0] < luma[1] < luma[2]
        colour = [float(made[number][1].std()) for made in (raw, half, full)]
        assert colour[0] > 1.2 * colour[1] > 1.2 * colour[2]


@pytest.mark.parametrize("preset", ["dvd", "web"])
def test_edges_of_blocks_are_lower(tmp_path: Path, preset: str) -> None:
    truth = pictures(8, speed=1.0)
    grey = [np.full((p.shape[0] // 2, p.shape[1]), 128, np.uint8) for p in truth]
    options = {"b": "120000", "g": "4"}
    path = video(tmp_path / "in.mpg", truth, grey, "mpeg2video", **options)
    before, after = planes_of(path, None), planes_of(path, Clean(preset, 0.8))  # pyright: ignore[reportArgumentType]  # the presets' names
    assert np.mean([edges(f[0]) for f in after]) < 0.97 * np.mean([edges(f[0]) for f in before])


@pytest.mark.parametrize("preset", PRESETS)
def test_a_frame_is_cleaned_alike_wherever_reading_begins(tmp_path: Path, preset: str) -> None:
    truth = pictures(12)
    grey = [np.full((p.shape[0] // 2, p.shape[1]), 128, np.uint8) for p in truth]
    path = video(tmp_path / "in.mp4", truth, grey, "libx264", g="4")
    clean = parse_clean(preset)
    whole = planes_of(path, clean)
    info = probe(path)
    times = [pts for clip in Reader(info) for pts in clip.pts]
    for number in (0, 3, 4, 9):
        part = planes_of(path, clean, after=times[number])
        assert len(part) == len(whole) - number - 1
        for mine, other in zip(part, whole[number + 1 :], strict=True):
            assert all((a == b).all() for a, b in zip(mine, other, strict=True))


@pytest.mark.parametrize("pix", ["yuv422p10le", "bgr0", "gray", "yuv420p"])
@pytest.mark.parametrize("preset", PRESETS)
def test_every_layout_is_cleaned_and_keeps_its_depth(tmp_path: Path, pix: str, preset: str) -> None:
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix
        frame = av.VideoFrame.from_ndarray(pictures(1)[0][:48, :64], format="gray")
        container.mux(stream.encode(frame.reformat(format=pix)))
        container.mux(stream.encode(None))
    raw, made = planes_of(path, None), planes_of(path, parse_clean(preset))
    assert len(made) == 1
    for before, after in zip(raw[0], made[0], strict=True):
        assert before.dtype == after.dtype
        assert abs(float(before.mean()) - float(after.mean())) < 0.02 * np.iinfo(before.dtype).max


def test_strengths_are_checked_and_zero_is_off() -> None:
    assert parse_clean("off") is None
    assert parse_clean("dvd:0") is None
    assert parse_clean("web") == Clean("web", 0.5)
    assert all(chain(Clean("vhs", amount)) for amount in (0.1, 1.0))
    for text in ("vcr", "vhs:2", "vhs:much", ""):
        with pytest.raises(OptionsError):
            UpscaleOptions(clean=text)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_single_pixel_is_left_as_it_is(preset: CleanPreset) -> None:
    """FFmpeg's gblur writes beyond a plane of one pixel, which ends the process."""
    frame = av.VideoFrame(1, 1, "yuv444p")
    assert Cleaner(chain(Clean(preset)), "yuv444p").clean(frame) is frame

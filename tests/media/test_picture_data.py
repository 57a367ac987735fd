"""What pictures hold beside their pixels: ICC profiles, orientation, pages, notes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

import vsr
from tests.conftest import picture
from tests.jobs.test_run import options
from vsr.errors import MediaError
from vsr.events import Event, Warned
from vsr.media.read.images import read_picture
from vsr.media.read.picture_data import PictureData, icc_space, picture_data, with_icc

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()  # pyright: ignore[reportUnknownArgumentType]  # no stubs
GRAY = SRGB[:16] + b"GRAY" + SRGB[20:]
KINDS = ("png", "jpg", "webp", "tiff")
FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "tiff": "TIFF"}


def written(path: Path, *, gray: bool = False, alpha: bool = False, **said: Any) -> Path:
    pixels = picture(18, 12, 0.5)
    image = Image.fromarray(pixels[:, :, 0] if gray else pixels)
    if alpha:
        image.putalpha(128)
    kind = FORMATS[path.suffix[1:]]
    image.save(path, kind, **({"lossless": True} if kind == "WEBP" else {}), **said)
    return path


def profile_of(path: Path) -> bytes | None:
    with Image.open(path) as image:
        image.load()
        return image.info.get("icc_profile")


@pytest.mark.parametrize("made", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_an_icc_profile_goes_along(tmp_path: Path, source: str, made: str) -> None:
    """It had been lost in silence: the colours of Adobe RGB and Display P3 were wrong."""
    path = written(tmp_path / f"in.{source}", icc_profile=SRGB)
    target = tmp_path / f"out.{made}"
    report = vsr.upscale(path, target, options())
    assert profile_of(target) == SRGB
    assert report.dropped == ()
    assert read_picture(target)[0][0].shape == (1, 48, 72)


def test_a_profile_goes_along_with_transparency_and_in_folders(tmp_path: Path) -> None:
    folder, target = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    written(folder / "a.png")
    for kind in ("png", "webp", "tiff"):
        written(folder / f"b.{kind}", alpha=True, icc_profile=SRGB)
    written(folder / "c.png", icc_profile=GRAY)
    report = vsr.upscale(folder, target, options())
    assert [profile_of(path) for path in sorted(target.iterdir())] == [None, SRGB, SRGB, SRGB, None]
    for kind in ("png", "webp", "tiff"):
        with Image.open(target / f"b.{kind}") as image:
            assert image.mode == "RGBA"
    assert report.dropped == ("ICC profile (it is for GRAY)",)


def test_a_profile_of_a_gray_picture_goes_along_where_the_target_is_gray(tmp_path: Path) -> None:
    path = written(tmp_path / "in.png", gray=True, icc_profile=GRAY)
    assert vsr.upscale(path, tmp_path / "out.png", options()).dropped == ()
    assert profile_of(tmp_path / "out.png") == GRAY
    report = vsr.upscale(path, tmp_path / "out.webp", options())
    assert report.dropped == ("ICC profile (it is for GRAY)",)


def test_a_profile_that_a_video_cannot_hold_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    written(folder / "a.png", icc_profile=SRGB)
    report = vsr.upscale(folder, tmp_path / "out.mkv", options())
    assert report.dropped == ("ICC profile (a video has none)",)


@pytest.mark.parametrize("size", [65519, 65520, 200000])
def test_a_profile_longer_than_one_jpeg_segment_is_parted(size: int) -> None:
    icc = SRGB + bytes(range(256)) * (size // 256)
    made = cv2.imencode(".jpg", picture(18, 12, 0.5))[1].tobytes()
    whole = with_icc(made, icc[:size])
    assert picture_data(whole).icc == icc[:size]
    with Image.open(io.BytesIO(whole)) as image:
        assert image.info["icc_profile"] == icc[:size]


@pytest.mark.parametrize("kind", KINDS)
def test_the_orientation_is_applied_in_every_kind(tmp_path: Path, kind: str) -> None:
    """It was in JPEG and TIFF, and was passed over in PNG and WebP."""
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[274] = orientation
        path = written(tmp_path / f"in{orientation}.{kind}", exif=exif)
        with Image.open(path) as image:
            wanted = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        planes, _ = read_picture(path)
        got = torch.cat(planes).permute(1, 2, 0).numpy()
        assert got.shape == wanted.shape
        assert np.abs(got.astype(int) - wanted).max() <= (20 if kind == "jpg" else 0)


def test_what_no_target_holds_is_named_once(tmp_path: Path) -> None:
    exif, notes = Image.Exif(), PngImagePlugin.PngInfo()
    exif[271] = "a camera"
    notes.add_text("Title", "of another day")
    path = written(tmp_path / "in.png", exif=exif, pnginfo=notes)
    events: list[Event] = []
    report = vsr.upscale(path, tmp_path / "out.png", options(), events.append)
    assert sorted(report.dropped) == ["Exif metadata", "text"]
    warned = [event.message for event in events if isinstance(event, Warned)]
    assert sorted(warned) == [f"not in the target: {lost}" for lost in sorted(report.dropped)]


@pytest.mark.parametrize("kind", ["png", "webp", "tiff"])
def test_of_several_pictures_in_a_file_the_first_is_enlarged_and_the_others_named(
    tmp_path: Path, kind: str
) -> None:
    """Animations and pages had ended as one picture, with no word of the others."""
    frames = [Image.fromarray(picture(18, 12, shade)) for shade in range(5)]
    path = tmp_path / f"in.{kind}"
    frames[0].save(path, FORMATS[kind], save_all=True, append_images=frames[1:])
    report = vsr.upscale(path, tmp_path / "out.png", options())
    assert report.dropped == ("all but the first of the 5 pictures in the file",)


def test_an_animation_that_ffmpeg_does_not_decode_is_called_one(tmp_path: Path) -> None:
    """`vsr probe` had called it damaged, or of more than 128 million pixels."""
    frames = [Image.fromarray(picture(18, 12, shade)) for shade in range(3)]
    path = tmp_path / "in.webp"
    frames[0].save(path, "WEBP", save_all=True, append_images=frames[1:])
    with pytest.raises(MediaError, match="is a WebP animation"):
        vsr.probe(path)


@pytest.mark.parametrize("kind", KINDS)
def test_broken_files_have_nothing_beside_their_pixels(tmp_path: Path, kind: str) -> None:
    exif = Image.Exif()
    exif[274] = 6
    whole = written(tmp_path / f"in.{kind}", icc_profile=SRGB, exif=exif).read_bytes()
    assert picture_data(whole).icc == SRGB
    for end in (*range(0, 400, 7), len(whole) // 2):
        assert isinstance(picture_data(whole[:end]), PictureData)
    random = np.random.default_rng(3)
    for _ in range(60):
        spoilt = bytearray(whole)
        for at in random.integers(4, len(whole), 8):
            spoilt[at] = random.integers(256)
        assert isinstance(icc_space(picture_data(bytes(spoilt)).icc), str)

"""What is seen of a source before a run: its quantiser, its blocks, its noise."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import MakeClip, picture
from vsr.choice import judged
from vsr.media.condition import Condition, condition_of, h264_step, jpeg_step, noise_of

Pixels = NDArray[np.uint8]


def seen(path: Path) -> Condition:
    found = condition_of(path)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("codec", "weak", "strong"),
    [
        ("libx264", {"crf": "8"}, {"crf": "30"}),
        ("mpeg2video", {"qmin": "2", "qmax": "2"}, {"qmin": "20", "qmax": "20"}),
        (
            "libvpx-vp9",
            {"crf": "8", "deadline": "realtime", "cpu-used": "8"},
            {"crf": "45", "deadline": "realtime", "cpu-used": "8"},
        ),
    ],
)
def test_the_quantiser_is_read_where_the_stream_tells_it(
    make_clip: MakeClip, codec: str, weak: dict[str, str], strong: dict[str, str]
) -> None:
    low, high = (
        seen(
            make_clip(
                f"{number}.mkv",
                codec=codec,
                size=(96, 64),
                options=options,
                time_base=Fraction(1, 25),
                step=1,
            )
        )
        for number, options in enumerate((weak, strong))
    )
    assert low.step is not None
    assert high.step is not None
    assert 0.3 < low.step < 5 < 8 < high.step
    assert low.share is None
    assert low.frames == 12
    assert low.pixels == 96 * 64


def test_ten_bits_have_steps_of_eight(make_clip: MakeClip) -> None:
    options = {"crf": "24"}
    eight = seen(make_clip("8.mkv", size=(96, 64), options=options)).step
    ten = seen(make_clip("10.mkv", size=(96, 64), options=options, pix_fmt="yuv420p10le")).step
    assert eight is not None
    assert ten is not None
    assert h264_step(20) < eight < h264_step(34)
    assert ten == pytest.approx(eight, rel=0.2)


def test_of_codecs_that_tell_nothing_key_frames_are_weighed(make_clip: MakeClip) -> None:
    def share(crf: int) -> float:
        options = {"crf": str(crf), "x265-params": "log-level=none"}
        found = seen(make_clip(f"{crf}.mkv", codec="libx265", size=(128, 96), options=options))
        assert found.step is None
        assert found.share is not None
        return found.share

    assert share(8) > 1.1 > 0.8 > share(28)


def test_lossless_codecs_are_clean_and_a_seek_changes_nothing(make_clip: MakeClip) -> None:
    lossless = seen(make_clip("a.mkv", codec="ffv1", size=(96, 64)))
    assert (lossless.step, lossless.share) == (1.0, None)
    long = make_clip("long.mp4", size=(96, 64), frames=100)
    assert seen(long) == seen(long)
    assert seen(long).frames == 12


def written(path: Path, frames: list[Pixels], codec: str, options: dict[str, str]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def text(width: int, height: int) -> Pixels:
    """Black lines of letters on white."""
    page = np.full((height, width, 3), 255, np.uint8)
    for line in range(1 + height // 26):
        words = f"SHARP TEXT {line} has no noise in it"
        cv2.putText(page, words, (6, 18 + 26 * line), 0, 0.6, (20, 20, 20), 1, cv2.LINE_AA)
    return page


@pytest.mark.parametrize(
    ("codec", "options"),
    [("libx264", {}), ("libx265", {"x265-params": "log-level=none"})],
)
def test_black_frames_at_the_start_are_passed_over(
    tmp_path: Path, codec: str, options: dict[str, str]
) -> None:
    frames = [np.zeros((64, 96, 3), np.uint8)] * 20 + [picture(96, 64, n) for n in range(8)]
    for crf, state in ((8, "clean"), (32, "compressed")):
        path = written(tmp_path / f"{crf}.mkv", frames, codec, {"crf": str(crf), **options})
        found = seen(path)
        assert found.frames == 8
        assert judged("video", found)[0] == state


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("ffv1", {}),
        ("libx264", {"qp": "0"}),
        ("libx265", {"x265-params": "lossless=1:log-level=none"}),
    ],
)
def test_text_that_lost_nothing_is_clean_and_noise_in_it_is_noise(
    tmp_path: Path, codec: str, options: dict[str, str]
) -> None:
    page = text(256, 144)
    noise = np.random.default_rng(0).normal(0, 8, page.shape[:2])
    noisy = np.clip(np.rint(page + noise[..., None]), 0, 255).astype(np.uint8)
    for name, pixels, state in (("page", page, "clean"), ("noisy", noisy, "noisy")):
        video = written(tmp_path / f"{name}.mkv", [pixels] * 3, codec, options)
        assert judged("video", seen(video))[0] == state
        cv2.imwrite(str(tmp_path / f"{name}.png"), pixels)
        assert judged("picture", seen(tmp_path / f"{name}.png"))[0] == state


@pytest.mark.parametrize("deviation", [0, 5, 8, 15])
def test_noise_is_told_from_texture(tmp_path: Path, deviation: int) -> None:
    fine = picture(160, 120, 0.0)
    noise = np.random.default_rng(0).normal(0, deviation, fine.shape[:2])
    pixels = np.clip(np.rint(fine + noise[..., None]), 0, 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    found = seen(tmp_path / "a.png")
    assert judged("picture", found)[0] == ("noisy" if deviation else "clean")
    assert found.noise == pytest.approx(deviation, abs=3)


def test_pictures_blocks_and_noise(tmp_path: Path) -> None:
    clean = picture(160, 120, 0.0)
    rng = np.random.default_rng(0)
    noisy = np.clip(clean + rng.normal(0, 12, clean.shape), 0, 255).astype(np.uint8)
    for name, pixels, options in (
        ("clean.png", clean, []),
        ("noisy.png", noisy, []),
        ("fine.jpg", clean, [cv2.IMWRITE_JPEG_QUALITY, 95]),
        ("poor.jpg", clean, [cv2.IMWRITE_JPEG_QUALITY, 15]),
    ):
        cv2.imwrite(str(tmp_path / name), pixels, options)
    found = {name: seen(tmp_path / name) for name in ("clean.png", "noisy.png")}
    assert found["noisy.png"].noise > 7 > found["clean.png"].noise
    assert found["clean.png"].step is None
    fine, poor = (jpeg_step((tmp_path / name).read_bytes()) for name in ("fine.jpg", "poor.jpg"))
    assert fine is not None
    assert poor is not None
    assert fine < 4 < 30 < poor
    assert seen(tmp_path / "poor.jpg").blockiness > 1.35 > seen(tmp_path / "clean.png").blockiness
    assert jpeg_step(b"\xff\xd8\xff\xdb\x00") is None  # cut off
    assert seen(tmp_path).frames == 4


def test_noise_is_a_standard_deviation() -> None:
    noise = np.random.default_rng(1).normal(0, 5, (200, 200)).astype(np.float32)
    slope = np.add.outer(np.arange(200), np.arange(200)).astype(np.float32)
    assert noise_of(slope + noise) == pytest.approx(5, rel=0.05)


def test_noise_of_a_large_picture_takes_one_copy_of_it() -> None:
    """All blocks of it and of its residue were copied, where some thousands are looked at."""
    luma = np.random.default_rng(0).normal(100, 5, (2000, 2000)).astype(np.float32)
    tracemalloc.start()
    try:
        found = noise_of(luma)
        assert tracemalloc.get_traced_memory()[1] < 2.5 * luma.nbytes  # the residue, and its size
    finally:
        tracemalloc.stop()
    assert found == pytest.approx(5, rel=0.05)


def test_what_cannot_be_looked_at_is_nothing(make_clip: MakeClip, tmp_path: Path) -> None:
    (tmp_path / "broken.mkv").write_bytes(b"no frames here" * 99)
    assert condition_of(tmp_path / "broken.mkv") is None
    assert condition_of(tmp_path / "missing.mkv") is None
    assert condition_of(make_clip("tiny.mp4", size=(16, 16))) is None

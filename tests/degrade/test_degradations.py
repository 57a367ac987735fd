"""Every kind of damage: reproducible, of the right size, and really damage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from torch.nn import functional

from vsr.color import ColorSpec
from vsr.degrade.base import Degradation, run
from vsr.degrade.blur import Blur, gaussian
from vsr.degrade.catalog import CHAINS, DEGRADATIONS
from vsr.degrade.chains import Interlaced, Oversharpen, SecondOrder
from vsr.degrade.chroma import ChromaSubsample, RangeError, to_frames, to_planes
from vsr.degrade.noise import Noise
from vsr.degrade.resize import Rescale, Shrink, bicubic
from vsr.degrade.video_codec import QUALITIES, Jpeg, Quality, VideoCodec, through

Pixels = NDArray[np.uint8]
SHRINKING = (Shrink, SecondOrder)


def certain(kind: type) -> Degradation:
    value = kind()
    return value if kind in SHRINKING else replace(value, chance=1.0)


def film(picture: Pixels, count: int = 3) -> Pixels:
    return np.stack([picture[2 * n : 2 * n + 96, 3 * n : 3 * n + 100] for n in range(count)])


def steepness(frame: Pixels) -> float:
    return float(np.square(np.diff(frame.astype(np.float32), axis=1)).mean())


def error(first: Pixels, second: Pixels) -> float:
    return float(np.abs(first.astype(int) - second.astype(int)).mean())


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_the_same_seed_gives_the_same_damage(kind: type, picture: Pixels) -> None:
    frames = film(picture)
    before = frames.copy()
    once, again, other = (certain(kind)(frames, default_rng(seed)) for seed in (3, 3, 4))
    assert once.dtype == np.uint8
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(frames, before)  # what came in is not written to
    if kind in SHRINKING:
        assert once.shape == (3, 24, 25, 3)
    else:
        assert once.shape == frames.shape
        assert (once != other).any()
        assert 0 < error(once, frames) < 60


@pytest.mark.parametrize("kind", [kind for kind in DEGRADATIONS if kind not in SHRINKING])
def test_without_luck_nothing_happens(kind: type, picture: Pixels) -> None:
    frames = film(picture)
    np.testing.assert_array_equal(replace(kind(), chance=0.0)(frames, default_rng(0)), frames)


def test_shrink_is_antialiased_bicubic_as_pillow_and_matlab_have_it(picture: Pixels) -> None:
    frames = film(picture, 1)
    low = Shrink()(frames, default_rng(0))
    assert low.shape == (1, 24, 25, 3)
    exact = functional.interpolate(
        torch.from_numpy(frames).permute(0, 3, 1, 2).double(),
        size=(24, 25), mode="bicubic", antialias=True,
    )  # fmt: skip
    rounded = exact.clamp(0, 255).round().permute(0, 2, 3, 1).numpy()
    # Eight-bit resampling works with 16-bit weights: a code value at most.
    assert np.abs(low.astype(int) - rounded).max() <= 1


def test_shrink_of_a_ramp_keeps_the_ramp() -> None:
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 64, 0).repeat(3, 2)[None]
    low = bicubic(ramp * 3, 16, 16)[0, 8, 2:-2, 0].astype(float)
    np.testing.assert_allclose(low, 3 * (np.arange(2, 14) * 4 + 1.5), atol=1)


def test_detours_differ_from_the_straight_way_but_not_much(picture: Pixels) -> None:
    frames = film(picture, 1)
    straight = Shrink()(frames, default_rng(0))
    detours = [Shrink(detour=1.0)(frames, default_rng(seed)) for seed in range(8)]
    assert all(low.shape == straight.shape for low in detours)
    assert 0 < np.mean([error(low, straight) for low in detours]) < 12


def test_gaussian_kernel_has_its_sigmas() -> None:
    kernel = gaussian(2.0, 1.0, 0.0)
    reach = kernel.shape[0] // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    assert (kernel * x**2).sum() == pytest.approx(4, rel=0.05)
    assert (kernel * y**2).sum() == pytest.approx(1, rel=0.05)


def test_blur_takes_detail_away(picture: Pixels) -> None:
    frames = film(picture)
    blurred = Blur(chance=1, least=2, most=2)(frames, default_rng(0))
    assert steepness(blurred[0]) < steepness(frames[0]) / 4


@pytest.mark.parametrize("grain", [0.0, 1.0])
def test_noise_has_the_strength_asked_for(grain: float) -> None:
    gray = np.full((4, 64, 64, 3), 128, np.uint8)

    class Loudest(Generator):
        def uniform(self, low: float = 0, high: float = 1, size: object = None) -> float:  # pyright: ignore[reportIncompatibleMethodOverride]  # a test's stand-in
            del low, size
            return high

    rng = Loudest(np.random.PCG64(0))
    noisy = Noise(chance=1, most=8, gray=0.5, shot=0, grain=grain)(gray, rng)
    assert float((noisy.astype(float) - 128).std()) == pytest.approx(8, rel=0.03)


def test_jpeg_is_worse_at_a_lower_quality(picture: Pixels) -> None:
    frames = film(picture)
    fine, coarse = (
        error(Jpeg(chance=1, worst=level, best=level)(frames, default_rng(0)), frames)
        for level in (95, 30)
    )
    assert fine < coarse


def test_chroma_loses_resolution_and_luma_does_not(picture: Pixels) -> None:
    frames = film(picture)
    spoilt = ChromaSubsample(chance=1)(frames, default_rng(0))
    before, after = (
        np.asarray(cv2.cvtColor(one[0], cv2.COLOR_RGB2YCrCb), dtype=np.int16)
        for one in (frames, spoilt)
    )
    assert np.abs(before - after)[..., 0].mean() < 1.5
    assert np.abs(before - after)[..., 1:].mean() > 1.5


def test_range_errors_squeeze_levels() -> None:
    white = np.full((1, 16, 16, 3), 255, np.uint8)
    squeezed = RangeError(chance=1, least=1, most=1)(white, default_rng(0))
    assert abs(int(squeezed[0, 8, 8, 0]) - 235) <= 1


@pytest.mark.parametrize("quality", QUALITIES, ids=lambda quality: quality.encoder)
def test_every_codec_gives_all_frames_and_obeys_its_quality(
    picture: Pixels, quality: Quality
) -> None:
    frames = film(picture, 5)
    errors: list[float] = []
    for level in (quality.best, quality.worst):
        only = (replace(quality, best=level, worst=level, share=1.0),)
        codec = VideoCodec(chance=1, qualities=only, presets=("veryfast",))
        decoded = codec(frames, default_rng(1))
        assert decoded.shape == frames.shape
        # In order: every frame is nearest to its own original.
        nearest = [int(np.argmin([error(one, frame) for frame in frames])) for one in decoded]
        assert nearest == list(range(5))
        errors.append(error(decoded, frames))
    assert errors[0] < errors[1] < 30


def test_patches_are_spoilt_as_a_whole_video_is_at_the_same_crf(samples: Path) -> None:
    """They are encoded without x264's macroblock tree, and were 2 dB nearer to the original."""
    with av.open(str(samples / "harbour.mkv")) as container:
        decoded = container.decode(video=0)
        shown = [next(decoded).to_ndarray(format="rgb24") for _ in range(9)]
    frames = np.stack(shown).astype(np.uint8)
    x264, spec = replace(QUALITIES[0], best=28.0, worst=28.0), ColorSpec(matrix=1, shift=(1, 1))
    usual = {"crf": "28", "preset": "medium", "threads": "1"}
    whole = to_frames(through(to_planes(frames, spec), x264, usual, 250), spec)
    codec, rng = VideoCodec(chance=1, qualities=(x264,), frames=9), default_rng(1)
    patches = [
        np.ascontiguousarray(frames[:, y : y + 48, x : x + 48])
        for y in range(0, 132, 44)
        for x in range(0, 272, 45)
    ]
    spoilt = np.stack([codec(patch, rng) for patch in patches])
    assert psnr(np.stack(patches), spoilt) == pytest.approx(psnr(frames, whole), abs=1)


def psnr(one: Pixels, other: Pixels) -> float:
    return float(10 * np.log10(255**2 / np.square(one.astype(float) - other).mean()))


@pytest.mark.parametrize(("height", "width"), [(17, 33), (8, 8), (96, 100)])
def test_codecs_take_odd_and_tiny_frames(picture: Pixels, height: int, width: int) -> None:
    frames = film(picture)[:, :height, :width]
    for quality in QUALITIES:
        decoded = VideoCodec(chance=1, qualities=(quality,))(frames, default_rng(2))
        assert decoded.shape == frames.shape


@pytest.mark.parametrize("name", CHAINS)
def test_chains_end_at_a_quarter_of_the_size(name: str, picture: Pixels) -> None:
    frames = film(picture, 5)
    for seed in range(6):
        low = run(CHAINS[name], frames, default_rng(seed))
        assert low.shape == (5, 24, 25, 3)
        assert error(low, Shrink()(frames, default_rng(0))) < 40


def test_rescaling_keeps_the_size_whatever_the_factor(picture: Pixels) -> None:
    frames = film(picture)
    for seed in range(12):
        assert Rescale(chance=1)(frames, default_rng(seed)).shape == frames.shape


def test_sharpening_makes_halos_and_leaves_flat_places(picture: Pixels) -> None:
    frames = film(picture)
    sharp = Oversharpen(chance=1.0)(frames, default_rng(1))
    assert all(steepness(a) > 1.1 * steepness(b) for a, b in zip(sharp, frames, strict=True))
    flat = np.full((2, 20, 20, 3), 90, np.uint8)
    np.testing.assert_array_equal(Oversharpen(chance=1.0)(flat, default_rng(1)), flat)


def test_woven_fields_are_lines_of_the_next_moment() -> None:
    frames = np.stack([np.full((8, 6, 3), level, np.uint8) for level in (0, 100, 200)])
    woven = Interlaced(chance=1.0, blended=0.0)(frames, default_rng(2))
    rows = woven[0, :, 0, 0]
    assert set(rows[::2]) | set(rows[1::2]) == {0, rows.max()}
    assert 40 <= rows.max() <= 100
    assert (rows[::2] == rows[0]).all()
    assert (rows[1::2] == rows[1]).all()
    np.testing.assert_array_equal(woven[-1], frames[-1])  # nothing comes after it
    blended = Interlaced(chance=1.0, blended=1.0)(frames, default_rng(2))
    assert np.ptp(blended[0, 2:-2]) <= 1  # no comb, but a ghost
    assert blended[0, 3, 0, 0] > 0


def test_x265_gives_small_frames_the_same_twice(picture: Pixels) -> None:
    """Below its block of 64 px it wrote past its memory: other frames each time, or an abort."""
    codec = VideoCodec(chance=1.0, qualities=(QUALITIES[1],), margin=0)
    frames = np.stack([picture[k : k + 36, k : k + 36] for k in range(3)])
    for seed in range(12):
        one, other = (codec(frames.copy(), default_rng(seed)) for _ in range(2))
        assert np.array_equal(one, other)

"""Real-ESRGAN's degradation against its paper: kernels, noise, resizes, and the order of it all."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.random import default_rng
from numpy.typing import NDArray

from vsr.degrade.blur import Kernels, bell, filtered, plateau, ringing, sharpened, sinc
from vsr.degrade.chains import (
    FIRST,
    SECOND,
    DegradationRound,
    SecondOrder,
    gaussian,
    poisson,
)

Kernel = NDArray[np.float32]
Pixels = NDArray[np.uint8]


def by_covariance(side: int, across: float, along: float, angle: float) -> NDArray[np.float64]:
    """x' S^-1 x at every place, S being the covariance of a turned Gaussian."""
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    inverse = np.linalg.inv(turn @ np.diag([across**2, along**2]) @ turn.T)
    reach = side // 2
    places = [np.array([x, y]) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)]
    return np.array([place @ inverse @ place for place in places]).reshape(side, side)


@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
@pytest.mark.parametrize(("across", "along", "angle"), [(2, 2, 0), (3, 0.6, 0.7), (0.2, 1.5, -2)])
def test_bells_and_plateaus_are_their_formulas(
    across: float, along: float, angle: float, beta: float
) -> None:
    distance = by_covariance(13, across, along, angle)
    for made, wanted in (
        (bell(13, across, along, angle, beta), np.exp(-0.5 * distance**beta)),
        (plateau(13, across, along, angle, beta), 1 / (1 + distance**beta)),
    ):
        assert made.shape == (13, 13)
        np.testing.assert_allclose(made, wanted / wanted.sum(), atol=1e-6)


def bessel(x: float) -> float:
    """J1(x) by its integral: the mean of cos(t - x sin t) over t from 0 to pi."""
    steps = (np.arange(2000) + 0.5) * np.pi / 2000
    return float(np.cos(steps - x * np.sin(steps)).mean())


def test_sinc_is_its_formula_and_adds_up_to_one() -> None:
    made, cutoff = sinc(9, 1.3), 1.3
    wanted = np.zeros((9, 9))
    for y in range(9):
        for x in range(9):
            radius = math.hypot(x - 4, y - 4)
            waves = cutoff * bessel(cutoff * radius) / (2 * math.pi * radius) if radius else None
            wanted[y, x] = cutoff**2 / (4 * math.pi) if waves is None else waves
    np.testing.assert_allclose(made, wanted / wanted.sum(), atol=1e-6)


@pytest.mark.parametrize("cutoff", [np.pi / 3, np.pi / 2])
def test_sinc_lets_pass_what_is_below_its_cutoff(cutoff: float) -> None:
    answer = np.abs(np.fft.fft2(sinc(21, cutoff), (256, 256)))[0]  # along one axis
    frequency = np.arange(129) * 2 * np.pi / 256
    assert answer[0] == pytest.approx(1, abs=1e-5)
    # A kernel that is cut off at 21 px ripples, and falls over some radians / 10.
    assert np.abs(answer[:129][frequency < cutoff - 0.35] - 1).max() < 0.2
    assert answer[:129][frequency > cutoff + 0.35].max() < 0.15


def test_kernels_are_drawn_as_published() -> None:
    rng, kernels = default_rng(0), Kernels()
    drawn = [kernels.draw(rng) for _ in range(3000)]
    sides = Counter(len(kernel) for kernel in drawn)
    assert set(sides) == {7, 9, 11, 13, 15, 17, 19, 21}
    assert min(sides.values()) > 300  # of 375 each
    assert all(float(kernel.sum()) == pytest.approx(1, abs=1e-4) for kernel in drawn)
    rings = sum(float(kernel.min()) < -1e-4 for kernel in drawn)
    assert 0.075 < rings / 3000 < 0.125  # a tenth, and bells have no negative places
    round_ones = sum(np.allclose(kernel, kernel.T, atol=1e-6) for kernel in drawn)
    # 0.45 + 0.12 + 0.12 of nine tenths, and the sinc filters.
    assert 0.68 < round_ones / 3000 < 0.76


def spread(kernel: Kernel) -> float:
    reach = len(kernel) // 2
    x = np.arange(-reach, reach + 1)
    return math.sqrt(float((kernel * x**2).sum()))


def test_sigmas_keep_to_their_range() -> None:
    rng = default_rng(1)
    only = Kernels((0.2, 1.5), ringing=0, shares=(1, 0, 0, 0, 0, 0), sides=(21,))
    sigmas = [spread(only.draw(rng)) for _ in range(300)]
    assert max(sigmas) == pytest.approx(1.5, abs=0.05)
    assert sum(sigma > 0.85 for sigma in sigmas) == pytest.approx(150, abs=40)


@pytest.mark.parametrize("seed", range(12))
def test_wide_kernels_are_applied_as_sums_of_separable_ones(seed: int) -> None:
    rng = default_rng(seed)
    picture = rng.uniform(0, 255, (40, 52, 3)).astype(np.float32)
    for kernel in (Kernels().draw(rng), ringing(21, rng)):
        plain = cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
        (made,) = filtered([picture], kernel)
        assert made.dtype == np.float32
        assert np.abs(made - plain).max() < 0.3  # a thousandth of 255, and rounding


def test_gaussian_noise_has_its_sigma_and_is_gray_where_asked() -> None:
    picture = np.zeros((200, 200, 3), np.float32)
    for gray, channels in ((False, 3), (True, 1)):
        noise = gaussian(picture, 20.0, gray, default_rng(0))
        assert noise.shape == (200, 200, channels)
        assert float(noise.std()) == pytest.approx(20, rel=0.02)
        assert abs(float(noise.mean())) < 0.3


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("strength", [0.5, 3.0])
def test_poisson_noise_varies_with_brightness(strength: float, gray: bool) -> None:
    # Every level of 256 in as many pixels: 256 photons for white, so k of 255 has k * 256 / 255.
    levels = np.repeat(np.arange(256, dtype=np.float32)[:, None], 4000, 1)
    picture = np.repeat(levels[..., None], 3, 2)
    noise = poisson(picture, strength, gray, default_rng(0))
    assert noise.shape == (256, 4000, 1 if gray else 3)
    assert noise.dtype == np.float32
    means, variances = noise.mean((1, 2)), noise.astype(np.float64).var((1, 2))
    wanted = strength**2 * np.arange(256) * 255 / 256
    np.testing.assert_allclose(variances, wanted, rtol=0.12)  # 4000 draws: 2.2 % for one sigma
    assert np.abs(means).max() < 5 * strength * math.sqrt(255 / 4000)


def test_poisson_counts_the_levels_that_a_picture_has() -> None:
    # Two levels: two photons for white, and so noise of 255 / 2 for each of them.
    picture = np.zeros((100, 100, 3), np.float32)
    picture[::2] = 255
    noise = poisson(picture, 1.0, True, default_rng(0))
    assert float(noise[1::2].std()) == 0
    assert float(noise[::2].std()) == pytest.approx(255 / math.sqrt(2), rel=0.05)
    flat = np.full((8, 8, 3), 9, np.float32)
    assert np.isfinite(poisson(flat, 1.0, False, default_rng(0))).all()


@pytest.mark.parametrize(
    ("order", "shares"), [(FIRST, (0.2, 0.7, 0.1)), (SECOND, (0.3, 0.4, 0.3))], ids=["1", "2"]
)
def test_resizes_go_up_down_or_nowhere_as_often_as_published(
    order: DegradationRound, shares: tuple[float, float, float]
) -> None:
    rng = default_rng(0)
    factors = np.array([order.factor(rng) for _ in range(4000)])
    found = [(factors > 1).mean(), (factors < 1).mean(), (factors == 1).mean()]
    assert found == pytest.approx(shares, abs=0.025)
    assert factors.min() == pytest.approx(order.resize[0], abs=0.01)
    assert factors.max() == pytest.approx(order.resize[1], abs=0.01)


def test_ranges_are_those_of_the_published_options() -> None:
    assert (FIRST.blur, FIRST.resize, FIRST.sigma) == (1, (0.15, 1.5), (1, 30))
    assert (FIRST.poisson, FIRST.kernels.sigma) == ((0.05, 3.0), (0.2, 3.0))
    assert (SECOND.blur, SECOND.resize, SECOND.sigma) == (0.8, (0.3, 1.2), (1, 25))
    assert (SECOND.poisson, SECOND.kernels.sigma) == ((0.05, 2.5), (0.2, 1.5))
    for order in (FIRST, SECOND):
        assert (order.gaussian, order.gray, order.jpeg) == (0.5, 0.4, (30, 95))
    assert SecondOrder().ringing == 0.8


GENTLE = DegradationRound(0.0, Kernels(), 0.0, 0.0, (1, 1), (0, 0), (0, 0), 1.0, 0.0, (100, 100))


def test_without_any_damage_a_plain_resize_is_left(picture: Pixels) -> None:
    frames = np.stack([picture[:96, :96]] * 2)
    low = SecondOrder(GENTLE, GENTLE, ringing=0.0)(frames, default_rng(0))
    modes = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
    plain = [cv2.resize(picture[:96, :96], (24, 24), interpolation=mode) for mode in modes]
    luma = np.array([0.299, 0.587, 0.114])  # colours go through JPEG at half the size, twice
    off = [np.abs((low[0].astype(float) - one) @ luma).mean() for one in plain]
    assert low.shape == (2, 24, 24, 3)
    assert sorted(off)[0] < 0.6 < sorted(off)[1]


@pytest.mark.parametrize("part", ["blur", "noise", "shot", "jpeg", "resize"])
def test_each_part_does_its_damage(part: str, picture: Pixels) -> None:
    frames = np.stack([picture[:96, :96]])
    harsh = {
        "blur": replace(GENTLE, blur=1.0, kernels=Kernels((3, 3), 0.0, (1, 0, 0, 0, 0, 0))),
        "noise": replace(GENTLE, sigma=(30, 30)),
        "shot": replace(GENTLE, gaussian=0.0, poisson=(3, 3)),
        "jpeg": replace(GENTLE, jpeg=(30, 30)),
        "resize": replace(GENTLE, down=1.0, resize=(0.15, 0.16)),
    }[part]
    plain, spoilt = (
        SecondOrder(order, GENTLE, ringing=0.0)(frames, default_rng(3)).astype(float)
        for order in (GENTLE, harsh)
    )
    assert np.abs(plain - spoilt).mean() > 1


def test_noise_is_fresh_on_each_frame_and_the_rest_is_not(picture: Pixels) -> None:
    still = np.stack([picture[:96, :96]] * 3)
    noisy = SecondOrder()(still, default_rng(4))
    assert (noisy[0] != noisy[1]).any()
    quiet = replace(FIRST, sigma=(0, 0), gaussian=1.0), replace(SECOND, sigma=(0, 0), gaussian=1.0)
    for seed in range(5):
        calm = SecondOrder(*quiet)(still, default_rng(seed))
        np.testing.assert_array_equal(calm[0], calm[2])


def test_targets_are_sharpened_by_the_published_mask(picture: Pixels) -> None:
    """Against the formula with its 51x51 Gaussian, where this blurs at half the size."""
    plain = picture.astype(np.float32) / 255
    lost = plain - cv2.GaussianBlur(plain, (51, 51), 0)
    share = cv2.GaussianBlur((np.abs(lost) * 255 > 10).astype(np.float32), (51, 51), 0)
    wanted = share * np.clip(plain + 0.5 * lost, 0, 1) + (1 - share) * plain
    made = sharpened(picture[None])[0].astype(float)
    off = np.abs(made - 255 * wanted)
    assert off.max() < 5
    assert off.mean() < 0.35  # half of it is rounding
    assert np.abs(made - picture).mean() > 3
    flat = np.full((1, 33, 47, 3), 90, np.uint8)
    np.testing.assert_array_equal(sharpened(flat), flat)

"""PSNR, SSIM and the perceptual distance against their definitions."""

from __future__ import annotations

import math
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vsr.errors import OptionsError
from vsr.metrics.catalog import METRICS
from vsr.metrics.perceptual import perceptual_distance
from vsr.metrics.picture import luma, psnr, ssim


def noise(seed: int = 0, side: int = 40) -> Tensor:
    return torch.rand(3, side, side, generator=torch.Generator().manual_seed(seed))


def test_luma_has_the_levels_of_bt601() -> None:
    assert float(luma(torch.zeros(3, 1, 1))) == 16
    assert float(luma(torch.ones(3, 1, 1))) == pytest.approx(235)


def test_psnr_of_one_code_value_of_gray() -> None:
    dark = torch.full((3, 32, 32), 100 / 255)
    bright = torch.full((3, 32, 32), 101 / 255)
    assert psnr(dark, bright) == pytest.approx(20 * math.log10(255 / (219 / 255)), abs=1e-6)


def test_psnr_looks_at_8_bit_inside_of_the_border() -> None:
    picture = noise()
    assert psnr(picture, picture + 0.001) > 50  # most values round to the same code
    framed = picture.clone()
    framed[:, :4] = 0
    framed[:, :, -4:] = 1
    assert psnr(picture, framed) == math.inf


def test_ssim_is_one_for_equal_pictures_and_falls_with_noise() -> None:
    picture = noise()
    assert ssim(picture, picture) == pytest.approx(1)
    slight = ssim(picture, (picture + 0.05 * noise(1)).clamp(0, 1))
    heavy = ssim(picture, (picture + 0.5 * noise(1)).clamp(0, 1))
    assert 1 > slight > heavy > ssim(picture, noise(2))


def test_ssim_of_two_flat_pictures_is_its_luminance_term() -> None:
    one, two = torch.full((3, 32, 32), 51 / 255), torch.full((3, 32, 32), 204 / 255)
    mean_one, mean_two = float(luma(one)[0, 0]), float(luma(two)[0, 0])
    c1 = (0.01 * 255) ** 2
    expected = (2 * mean_one * mean_two + c1) / (mean_one**2 + mean_two**2 + c1)
    assert ssim(one, two) == pytest.approx(expected, abs=1e-7)  # float32 levels


def test_perceptual_distance_ignores_scale_and_sees_structure() -> None:
    def features(pixels: Tensor) -> list[Tensor]:
        return [pixels, functional.avg_pool2d(pixels, 2)]

    picture = noise() + 0.1
    assert perceptual_distance(picture, picture, features) == 0
    # Unit length across channels: brightness alone does not count.
    assert perceptual_distance(picture, picture / 2, features) == pytest.approx(0, abs=1e-10)
    assert perceptual_distance(picture, noise(3), features) > 0.1


@pytest.mark.parametrize("name", METRICS)
def test_metrics_are_symmetric_better_for_alike_and_refuse_other_shapes(name: str) -> None:
    metric = METRICS[name]
    picture, near, far = noise(), (noise() * 0.98), noise(5)
    assert metric.measure(picture, far) == pytest.approx(metric.measure(far, picture))
    assert metric.measure(picture, near) > metric.measure(picture, far)
    with pytest.raises(OptionsError, match="one shape"):
        metric.measure(picture, picture[:, :-1])
    with pytest.raises(OptionsError):
        metric.measure(picture[:, :8, :8], picture[:, :8, :8])


@pytest.mark.skipif("VSR_MEDIA" not in os.environ, reason="VSR_MEDIA is not set")
@pytest.mark.parametrize(("name", "expected"), [("Set5", 28.63), ("Set14", 26.22)])
def test_bicubic_measures_as_it_is_known_to(name: str, expected: float) -> None:
    folder = Path(os.environ["VSR_MEDIA"]) / "data" / "bench" / name
    found: list[float] = []
    for path in sorted((folder / "HR").iterdir()):
        high, low = (
            torch.from_numpy(np.asarray(cv2.imread(str(p), cv2.IMREAD_COLOR_RGB)))
            .permute(2, 0, 1)
            .float()
            / 255
            for p in (path, folder / "LR" / path.name)
        )
        enlarged = functional.interpolate(low[None], scale_factor=4, mode="bicubic")[0]
        found.append(psnr(enlarged, high))
    assert sum(found) / len(found) == pytest.approx(expected, abs=0.01)

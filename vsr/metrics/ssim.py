"""Structural similarity (Wang et al., IEEE TIP 13, 2004), on luma or on R, G and B."""

from __future__ import annotations

import math

from torch import Tensor

from vsr.errors import OptionsError
from vsr.metrics.psnr import SHAVE, luma, rounded, same_shape, shaved

WINDOW, SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(first: Tensor, second: Tensor, shave: int = SHAVE) -> float:
    """Mean SSIM, -1..1, of two (3, h, w) RGB pictures 0..1 as 8-bit files would hold them.

    The paper's 11x11 Gaussian window of sigma 1.5, where it lies whole inside the picture.
    """
    same_shape(first, second)
    one, two = (shaved(luma(rounded(picture)), shave) for picture in (first, second))
    return similarity(one, two)[0]


def ssim_rgb(first: Tensor, second: Tensor, shave: int = SHAVE) -> float:
    """The mean over R, G and B, -1..1, of SSIM on each; otherwise as :func:`ssim`."""
    same_shape(first, second)
    one, two = (shaved(rounded(picture), shave) * 255 for picture in (first, second))
    return math.fsum(similarity(a, b)[0] for a, b in zip(one, two, strict=True)) / 3


Moments = tuple[Tensor, Tensor]
"""Of a plane: the mean under the window, and the mean of squares."""


def moments(plane: Tensor) -> Moments:
    """What :func:`similarity` needs of one plane alone: a reference's need only be found once."""
    if min(plane.shape[-2:]) < WINDOW:
        width, height = plane.shape[-1], plane.shape[-2]
        raise OptionsError(f"SSIM needs at least {WINDOW} px a side, got {width}x{height}")
    return _blurred(plane), _blurred(plane * plane)


def similarity(one: Tensor, two: Tensor, of_two: Moments | None = None) -> tuple[float, float]:
    """SSIM of two (h, w) planes of 8-bit code values, and its part without the luminance term.

    Both are means over the places of the window, equations 13 and (for the part) 9 and 10.
    ``of_two`` are the :func:`moments` of ``two`` where they are known.
    """
    mean_one, square_one = moments(one)
    mean_two, square_two = moments(two) if of_two is None else of_two
    product = mean_one * mean_two
    squares = mean_one.square_().add_(mean_two * mean_two)
    variances = square_one.add_(square_two).sub_(squares)
    covariance = _blurred(one * two).sub_(product)
    part = covariance.mul_(2).add_(C2).div_(variances.add_(C2))
    luminance = product.mul_(2).add_(C1).div_(squares.add_(C1))
    return float(luminance.mul_(part).mean()), float(part.mean())


def _blurred(plane: Tensor) -> Tensor:
    """The weighted mean under the window at each place where it fits.

    Sums of shifted planes: torch has no fast convolution in float64 on a CPU.
    """
    line = [math.exp(-((place - WINDOW // 2) ** 2) / (2 * SIGMA**2)) for place in range(WINDOW)]
    weights = [weight / math.fsum(line) for weight in line]
    for axis in (-1, -2):
        length = plane.shape[axis] - WINDOW + 1
        total = plane.narrow(axis, WINDOW // 2, length) * weights[WINDOW // 2]
        for near in range(WINDOW // 2):
            far = WINDOW - 1 - near
            pair = plane.narrow(axis, near, length) + plane.narrow(axis, far, length)
            total.add_(pair, alpha=weights[near])
        plane = total
    return plane

"""Figures of one picture against another, and of one alone: PSNR, SSIM, MS-SSIM, sharpness."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from vsr.errors import OptionsError

SHAVE = 4
"""Pixels left out along every edge at x4, as in the papers: networks differ at borders."""


def luma(rgb: Tensor) -> Tensor:
    """(..., 3, h, w) RGB 0..1 to (..., h, w) float64 BT.601 luma in 8-bit code values, 16..235.

    MATLAB's ``rgb2ycbcr``, which the published figures were measured with.
    """
    red, green, blue = rgb.to(torch.float64).unbind(-3)
    return 16 + 65.481 * red + 128.553 * green + 24.966 * blue


def rounded(rgb: Tensor) -> Tensor:
    """What an 8-bit file would hold of RGB 0..1: clamped and rounded to 1/255, float64."""
    return (rgb.to(torch.float64).clamp(0, 1) * 255).round() / 255


def shaved(picture: Tensor, border: int) -> Tensor:
    """(..., h, w) without ``border`` pixels along each edge."""
    height, width = picture.shape[-2:]
    if min(height, width) <= 2 * border:
        raise OptionsError(f"a picture of {width}x{height} px has nothing inside {border} px")
    return picture[..., border : height - border, border : width - border]


def same_shape(first: Tensor, second: Tensor) -> None:
    """Raise :class:`OptionsError` unless both have one shape."""
    if first.shape != second.shape:
        raise OptionsError(
            f"pictures to compare must be of one shape, got {tuple(first.shape)} "
            f"and {tuple(second.shape)}"
        )


def psnr(first: Tensor, second: Tensor, shave: int = SHAVE) -> float:
    """Decibels between two (3, h, w) RGB pictures 0..1 as 8-bit files would hold them.

    10 log10(255^2 / MSE) on BT.601 luma, ``shave`` pixels left out; infinite for equal pictures.
    """
    same_shape(first, second)
    one, two = (shaved(luma(rounded(picture)), shave) for picture in (first, second))
    return decibels(one, two)


def psnr_rgb(first: Tensor, second: Tensor, shave: int = SHAVE) -> float:
    """Decibels between two (3, h, w) RGB pictures 0..1 as 8-bit files would hold them.

    10 log10(255^2 / MSE), the mean over all three channels; infinite for equal pictures.
    """
    same_shape(first, second)
    one, two = (shaved(rounded(picture), shave) * 255 for picture in (first, second))
    return decibels(one, two)


def decibels(one: Tensor, two: Tensor) -> float:
    """10 log10(255^2 / MSE) of two tensors of 8-bit code values; infinite where they are equal."""
    error = float((one - two).square_().mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


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


WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""The paper's exponents, finest scale first."""
MIN_SIDE = (WINDOW - 1) * 2 ** (len(WEIGHTS) - 1) + 1
"""Pixels a side at least, for the window to fit at the coarsest scale."""


def ms_ssim(first: Tensor, second: Tensor, shave: int = SHAVE) -> float:
    """MS-SSIM, 0..1, of two (3, h, w) RGB pictures 0..1 as 8-bit files would hold them.

    Contrast and structure at five scales, each half of the one before (means of 2x2 pixels), and
    luminance at the last. A scale that correlates negatively counts as 0, as its root is not real.
    """
    same_shape(first, second)
    one, two = (shaved(luma(rounded(picture)), shave) for picture in (first, second))
    return multiscale(one, two)


def multiscale(one: Tensor, two: Tensor, finest: tuple[float, float] | None = None) -> float:
    """MS-SSIM of two (h, w) planes of 8-bit code values; ``finest`` is the first scale if known."""
    if min(one.shape[-2:]) < MIN_SIDE:
        width, height = one.shape[-1], one.shape[-2]
        raise OptionsError(f"MS-SSIM needs at least {MIN_SIDE} px a side, got {width}x{height}")
    factors: list[float] = []
    for scale, weight in enumerate(WEIGHTS, start=1):
        known = finest if scale == 1 else None
        whole, part = known or similarity(one, two)
        factors.append(max(0.0, whole if scale == len(WEIGHTS) else part) ** weight)
        one, two = _halved(one), _halved(two)
    return math.prod(factors)


def _halved(plane: Tensor) -> Tensor:
    """Means of 2x2 pixels; an odd line at the end is repeated."""
    odd = (0, plane.shape[-1] % 2, 0, plane.shape[-2] % 2)
    padded = functional.pad(plane[None, None], odd, mode="replicate")
    return functional.avg_pool2d(padded, 2)[0, 0]


def sharpness(picture: Tensor) -> float:
    """The variance of the Laplacian of a (3, h, w) RGB picture's luma, 0 upwards.

    LAPV of Pech-Pacheco et al., ICPR 2000 (named so by Pertuz et al., Pattern Recognition 46,
    2013), in squared 8-bit code values, over all pixels with four neighbours. Noise, ringing and
    blocks count as detail too: set it against the reference's own.
    """
    return laplacian_variance(luma(rounded(picture)))


def laplacian_variance(plane: Tensor) -> float:
    """The variance of the Laplacian of a (h, w) plane, in its own units squared."""
    if min(plane.shape[-2:]) < 3:
        raise OptionsError("sharpness needs at least 3 px a side")
    around = plane[1:-1, :-2] + plane[1:-1, 2:] + plane[:-2, 1:-1] + plane[2:, 1:-1]
    return float((around - 4 * plane[1:-1, 1:-1]).var(correction=0))

"""Peak signal-to-noise ratio, on luma as the super-resolution literature counts it, or on RGB."""

from __future__ import annotations

import math

import torch
from torch import Tensor

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

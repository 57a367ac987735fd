"""Structural similarity at several scales (Wang, Simoncelli & Bovik, Asilomar 2003), on luma."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

from vsr.errors import OptionsError
from vsr.metrics.psnr import SHAVE, luma, rounded, same_shape, shaved
from vsr.metrics.ssim import WINDOW, similarity

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

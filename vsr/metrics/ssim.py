"""Structural similarity (Wang et al., IEEE TIP 13, 2004), on luma."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vsr.errors import OptionsError
from vsr.metrics.psnr import SHAVE, luma, rounded, same_shape, shaved

WINDOW, SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(first: Tensor, second: Tensor, shave: int = SHAVE) -> float:
    """Mean SSIM, -1..1, of two (3, h, w) RGB pictures 0..1 as 8-bit files would hold them.

    The paper's 11x11 Gaussian window of sigma 1.5, where it lies whole inside the picture.
    """
    same_shape(first, second)
    one, two = (shaved(luma(rounded(picture)), shave)[None, None] for picture in (first, second))
    if min(one.shape[-2:]) < WINDOW:
        raise OptionsError(f"SSIM needs at least {WINDOW + 2 * shave} px a side")
    mean_one, mean_two = _blurred(one), _blurred(two)
    variance_one = _blurred(one * one) - mean_one * mean_one
    variance_two = _blurred(two * two) - mean_two * mean_two
    covariance = _blurred(one * two) - mean_one * mean_two
    above = (2 * mean_one * mean_two + C1) * (2 * covariance + C2)
    below = (mean_one**2 + mean_two**2 + C1) * (variance_one + variance_two + C2)
    return float((above / below).mean())


def _blurred(plane: Tensor) -> Tensor:
    places = torch.arange(WINDOW, dtype=plane.dtype, device=plane.device) - WINDOW // 2
    line = torch.exp(-(places**2) / (2 * SIGMA**2))
    line = line / line.sum()
    across = functional.conv2d(plane, line.reshape(1, 1, 1, WINDOW))
    return functional.conv2d(across, line.reshape(1, 1, WINDOW, 1))

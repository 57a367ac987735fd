"""The sharpness of a picture: its fine detail, measured without a reference."""

from __future__ import annotations

from torch import Tensor

from vsr.errors import OptionsError
from vsr.metrics.psnr import luma, rounded


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

"""Losses on pixels: mean over everything, float32."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-3


def mse(made: Tensor, real: Tensor) -> Tensor:
    """Mean squared error (Ledig et al. 2017, equation 4)."""
    return functional.mse_loss(made, real)


def l1(made: Tensor, real: Tensor) -> Tensor:
    """Mean absolute error (Zhao et al., IEEE TCI 2017)."""
    return functional.l1_loss(made, real)


def charbonnier(made: Tensor, real: Tensor) -> Tensor:
    """Mean of sqrt(d^2 + 0.001^2): L1 with a round bottom (Lai et al., CVPR 2017, equation 2)."""
    return torch.sqrt((made - real).square() + EPSILON**2).mean()


PIXEL_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": mse,
    "l1": l1,
    "charbonnier": charbonnier,
}

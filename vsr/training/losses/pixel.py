"""Losses on pixels: mean over everything, float32."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-3
WINDOW = 8
"""Cells that a grid is sought in, a side."""


def mse(made: Tensor, real: Tensor) -> Tensor:
    """Mean squared error (Ledig et al. 2017, equation 4)."""
    return functional.mse_loss(made, real)


def l1(made: Tensor, real: Tensor) -> Tensor:
    """Mean absolute error (Zhao et al., IEEE TCI 2017)."""
    return functional.l1_loss(made, real)


def charbonnier(made: Tensor, real: Tensor) -> Tensor:
    """Mean of sqrt(d^2 + 0.001^2): L1 with a round bottom (Lai et al., CVPR 2017, equation 2)."""
    return torch.sqrt((made - real).square() + EPSILON**2).mean()


def tone(made: Tensor, real: Tensor, scale: int) -> Tensor:
    """How far each picture's mean strays, for each channel and each place in a cell of scale².

    Neither the content nor the adversary minds a slight tint, or a pattern that repeats with the
    cells of the pixel shuffles (Odena et al., "Deconvolution and Checkerboard Artifacts", Distill
    2016); in a film both are plain to see. Detail, whose errors cancel out, costs nothing here.
    """
    astray = functional.pixel_unshuffle(made - real, scale)  # (n, c * scale², h, w)
    astray = astray.reshape(len(made), -1, scale**2, *astray.shape[2:])
    tint = astray.mean((2, 3, 4)).abs().mean()
    # Apart, and by windows: beside a tint that cannot be known, or where it turns its sign from one
    # place to the next, a grid would cost nothing.
    grid = (astray - astray.mean(2, keepdim=True)).flatten(1, 2)  # (n, c * scale², h, w)
    local = functional.avg_pool2d(grid, min(WINDOW, *grid.shape[2:]))
    return tint + local.abs().mean()


PIXEL_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": mse,
    "l1": l1,
    "charbonnier": charbonnier,
}

"""Resample a part of a picture to another size, by where it lies in the whole. Antialiased.

Keys' cubic, stretched when shrinking so that nothing aliases, as two matrix products. Weights
depend on positions in the whole picture alone, so parts computed apart fit together without a seam.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cubic(distance: Tensor) -> Tensor:
    """Keys' cubic with a = -1/2 (IEEE ASSP 29, 1981), support 2."""
    x = distance.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def support(source: int, target: int) -> int:
    """How many source samples on each side a target sample depends on; 0 for equal lengths."""
    return 0 if source == target else math.ceil(2 * max(1.0, source / target)) + 1


def matrix(
    source: int, target: int, wanted: tuple[int, int], given: tuple[int, int], device: torch.device
) -> Tensor:
    """Weights that take source samples ``given`` = [from, to) to target samples ``wanted``.

    ``source`` and ``target`` are the lengths of the whole line. Returns (wanted, given) float32;
    taps outside of ``given`` are left out and the rest is normalised, as at a border.
    """
    ratio = source / target
    stretch = max(1.0, ratio)
    centres = (torch.arange(*wanted, dtype=torch.float64) + 0.5) * ratio - 0.5
    places = torch.arange(*given, dtype=torch.float64)
    weights = cubic((places[None, :] - centres[:, None]) / stretch)
    return (weights / weights.sum(1, keepdim=True)).to(device, torch.float32)


def resample(pixels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """(n, c, h, w) by (h', h) and (w', w) matrices to (n, c, h', w')."""
    return rows @ (pixels @ columns.T)

"""Resample a part of a picture to another size, by where it lies in the whole. Antialiased.

Keys' cubic, stretched when shrinking so that nothing aliases, along one axis after the other.
Weights and the order of sums depend on positions in the whole picture alone, so parts computed
apart fit together to the bit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vsr.models.interpolation import cubic


def support(source: int, target: int) -> int:
    """How many source samples on each side a target sample depends on; 0 for equal lengths."""
    return 0 if source == target else math.ceil(2 * max(1.0, source / target)) + 1


Taps = tuple[Tensor, Tensor]  # (taps, wanted) places and their float32 weights


def taps(
    source: int, target: int, wanted: tuple[int, int], given: tuple[int, int], device: torch.device
) -> Taps:
    """Which of the samples ``given`` = [from, to) each of ``wanted`` is the weighted sum of.

    ``source`` and ``target`` are the lengths of the whole line. Places count from the first sample
    given; taps outside of it are left out and the rest is normalised, as at a border.
    """
    ratio = source / target
    stretch = max(1.0, ratio)
    centres = (torch.arange(*wanted, dtype=torch.float64) + 0.5) * ratio - 0.5
    first = (centres - 2 * stretch).floor().long() + 1
    places = first + torch.arange(math.ceil(4 * stretch))[:, None]
    weights = cubic((places - centres) / stretch)
    weights = torch.where((places >= given[0]) & (places < given[1]), weights, 0.0)
    weights = (weights / weights.sum(0)).to(device, torch.float32)
    return (places.clamp(given[0], given[1] - 1) - given[0]).to(device), weights


def resample(pixels: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """(n, c, h, w) to (n, c, h', w'), rows first: whole rows are quick to gather."""
    high = _gathered(pixels, rows).transpose(-1, -2).contiguous()
    return _gathered(high, columns).transpose(-1, -2).contiguous()


def _gathered(lines: Tensor, taps: Taps) -> Tensor:
    """Weighted sums of rows, each in the same order wherever the part was cut."""
    places, weights = taps
    total = lines.index_select(-2, places[0]) * weights[0][:, None]
    for place, weight in zip(places[1:], weights[1:], strict=True):
        total.addcmul_(lines.index_select(-2, place), weight[:, None])
    return total

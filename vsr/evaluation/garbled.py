"""Blocks in which a network leaves bicubic by more than any sharpening does: garbage, mostly."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

BLOCK = 16
"""Pixels a side of the enlarged picture."""
MAX_DISTANCE = 0.15
"""Mean distance over a block, of 0..1. Sharpening moves edges, and their blocks by less than half
of that: on three natural clips, clean and compressed, nothing shipped came to 0.03."""


def worst_block(made: Tensor, bicubic: Tensor) -> float:
    """The largest mean distance of a block and a channel, of two (3, h, w) pictures 0..1."""
    off = (made - bicubic)[None]
    side = min(BLOCK, *off.shape[-2:])
    return float(functional.avg_pool2d(off, side, ceil_mode=True).abs().max())

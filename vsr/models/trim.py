"""Leave out, layer by layer, what the wanted part of a window does not depend on any more.

Each layer looks a little around, so the first ones have to compute more than the last ones. What is
left out makes the window's new edges wrong, as far as the layers to come look, which is just not as
far as the wanted part. There sums are the same, on a CPU to the bit. A network that does so says
``trims = True``, and takes a ``trim`` beside the pixels of a window: then it gives what is wanted
alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vsr.geometry import Box, Size

STEP = 16
"""Sides come in steps of so many pixels at least: for each new shape kernels are made or chosen."""
LEAST = 64
"""Side in pixels, where there are so many. For narrower pictures processors sum in another order,
and a bit may differ."""
WORTH = 0.9
"""What is left must be no more than this share, for it has to be copied."""


class Trim:
    """A window on its way through a network, once: ``box`` is what is left, in input pixels."""

    def __init__(self, window: Box, wanted: Box) -> None:
        self.box, self._wanted = window, wanted

    def __call__(self, x: Tensor, reach: int) -> Tensor:
        """(n, c, h, w) of ``box`` to what the layers to come, which look ``reach`` far, need."""
        before = self.box
        box = stepped(self._wanted.grown(reach, before), before, before)
        if box.pixels > WORTH * before.pixels:
            return x
        self.box = box
        return self.cut(x, before)

    def cut(self, x: Tensor, covered: Box) -> Tensor:
        """Of a tensor that covers a larger box, what lies in the present one."""
        return x if covered == self.box else _contiguous(part(x, covered, self.box))

    def wanted(self, x: Tensor) -> Tensor:
        """Of (n, c, h * s, w * s) made of ``box``, the wanted part: a view."""
        return part(x, self.box, self._wanted)


def around(
    x: Tensor, blocks: nn.Sequential, join: nn.Module, trim: Trim | None, *, reach: int, after: int
) -> Tensor:
    """``x + join(blocks(x))``: (n, c, h, w) to the same, or to what is needed of it.

    Each block looks ``reach`` far, the join one pixel, and what follows ``after``.
    """
    if trim is None:
        return x + join(blocks(x))
    first, box, ahead = x, trim.box, reach * len(blocks) + 1 + after
    for block in blocks:
        x = trim(x, ahead)
        x = block(x)
        ahead -= reach
    x = trim(join(trim(x, ahead)), after)
    return part(first, box, trim.box) + x


def part(x: Tensor, covered: Box, wanted: Box) -> Tensor:
    """Of (n, c, h * s, w * s) that cover a box of h by w pixels, a box within it: a view."""
    scale = x.shape[-1] // covered.width
    left, top = (wanted.x - covered.x) * scale, (wanted.y - covered.y) * scale
    return x[..., top : top + wanted.height * scale, left : left + wanted.width * scale]


def stepped(box: Box, within: Box, most: Size | Box) -> Box:
    """The box with sides of few lengths, ``most`` at most, slid to lie within another."""
    width = min(most.width, _stepped(box.width))
    height = min(most.height, _stepped(box.height))
    left, top = min(box.x, within.right - width), min(box.y, within.bottom - height)
    return Box(left, top, width, height)


def _stepped(side: int) -> int:
    """In steps of an eighth to a sixteenth of itself, where it is large."""
    step = max(STEP, 1 << side.bit_length() >> 4)
    return max(LEAST, -(-side // step) * step)


def _contiguous(x: Tensor) -> Tensor:
    last = x.stride(1) == 1 and x.shape[1] > 1
    return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)

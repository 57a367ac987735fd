"""Crop a window between layers to what the wanted part still depends on.

Early layers need more context than late ones. Cropping makes the new edges of the window wrong, as
far as the later layers' receptive field reaches, which ends before the wanted part; its values stay
the same, on a CPU to the bit. A network that crops has ``can_crop = True`` and takes a ``crop``
beside the pixels of a window; then it returns the wanted part only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vsr.geometry import Box, Size

STEP, GPU_STEP = 16, 64
"""Sides are multiples of so many pixels or more, since libraries prepare kernels for each shape.

A GPU computes what a larger step adds in less time than it takes to choose kernels once more.
"""
MIN_SIDE = 64
"""Least side in pixels, where the window has as many. In narrower pictures processors add in
another order, and the last bit may differ."""
MAX_SHARE = 0.9
"""A crop must leave no more than this share of the pixels, for it costs a copy."""


class CropSchedule:
    """The crops of one window on its way through a network.

    ``box`` is what is left of the window, in source pixels. Use it for one pass.
    """

    def __init__(self, window: Box, wanted: Box, step: int = STEP) -> None:
        self.box, self._wanted, self._step = window, wanted, step

    def __call__(self, x: Tensor, radius: int) -> Tensor:
        """Crop (n, c, h, w) of ``box`` to what later layers, of radius ``radius`` in all, need."""
        before = self.box
        box = quantized_box(self._wanted.grown(radius, before), before, before, self._step)
        if box.pixels > MAX_SHARE * before.pixels:
            return x
        self.box = box
        return self.cut(x, before)

    def cut(self, x: Tensor, covered: Box) -> Tensor:
        """Crop a tensor that covers the box ``covered`` to the present box."""
        return x if covered == self.box else _contiguous(part(x, covered, self.box))

    def wanted(self, x: Tensor) -> Tensor:
        """Returns the wanted part of (n, c, h * s, w * s), which covers ``box``: a view."""
        return part(x, self.box, self._wanted)


def residual_trunk(
    x: Tensor,
    blocks: nn.Sequential,
    join: nn.Module,
    crop: CropSchedule | None,
    *,
    radius: int,
    radius_after: int,
) -> Tensor:
    """Blocks with a residual around them: (n, c, h, w) to the same, or cropped by ``crop``.

    Radii: each block ``radius``, the join one pixel, all that follows ``radius_after``.
    """
    if crop is None:
        return x + join(blocks(x))
    first, box, radius_ahead = x, crop.box, radius * len(blocks) + 1 + radius_after
    for block in blocks:
        x = crop(x, radius_ahead)
        x = block(x)
        radius_ahead -= radius
    x = crop(join(crop(x, radius_ahead)), radius_after)
    return part(first, box, crop.box) + x


def part(x: Tensor, covered: Box, wanted: Box) -> Tensor:
    """Cut a box out of (n, c, h * s, w * s) that cover the box ``covered``: a view."""
    scale = x.shape[-1] // covered.width
    left, top = (wanted.x - covered.x) * scale, (wanted.y - covered.y) * scale
    return x[..., top : top + wanted.height * scale, left : left + wanted.width * scale]


def quantized_box(box: Box, within: Box, most: Size | Box, step: int = STEP) -> Box:
    """Enlarge a box to sides of few lengths, at most ``most``, and move it to lie ``within``."""
    width = min(most.width, _quantized(box.width, step))
    height = min(most.height, _quantized(box.height, step))
    left, top = min(box.x, within.right - width), min(box.y, within.bottom - height)
    return Box(left, top, width, height)


def _quantized(side: int, least: int) -> int:
    """Round a side up, in steps of an eighth to a sixteenth of itself where it is large."""
    step = max(least, 1 << side.bit_length() >> 4)
    return max(MIN_SIDE, -(-side // step) * step)


def _contiguous(x: Tensor) -> Tensor:
    last = x.stride(1) == 1 and x.shape[1] > 1
    return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)

"""Sub-pixel outputs: enlargements before the pixel shuffle, whose pixels are channels of a cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from vsr.models.crop_schedule import CropSchedule


@dataclass(frozen=True, slots=True, eq=False)  # tensors do not compare with ==
class SubpixelOutput:
    """An enlargement before the pixel shuffle, as a sum that nobody has made yet.

    Who goes on with it can make it where it is needed, in float32.
    """

    parts: tuple[Tensor, ...]
    """The terms, (n, c * side**2, h, w) each. The last is what was learned, the others follow from
    the picture alone."""
    side: int
    """Side of a cell, in network pixels."""

    def shuffled(self) -> Tensor:
        """Returns the picture, (n, c, h * side, w * side)."""
        total, *others = self.parts
        for part in others:
            total = total + part
        return shuffled(total, self.side)

    def within(self, least: float, most: float) -> Tensor:
        """Whether the learned part lies between ``least`` and ``most`` everywhere, as a tensor."""
        return within(self.parts[-1], least, most)

    def __getitem__(self, which: slice) -> SubpixelOutput:
        """Select pictures along the first axis."""
        return SubpixelOutput(tuple(part[which] for part in self.parts), self.side)


@runtime_checkable
class SubpixelNetwork(Protocol):
    """A network that can leave its last step, the shuffle, to others.

    It takes RGB that leaves 0..1, too: what it learned sees it clamped, its base as it is.
    """

    scale: int

    def subpixel(self, pixels: Tensor, crop: CropSchedule | None = None) -> SubpixelOutput:
        """(n, 3, h, w) to cells of ``scale`` by ``scale`` pixels, for all or the wanted pixels."""
        ...


def within(values: Tensor, least: float, most: float) -> Tensor:
    """Whether all of (n, c, h, w) lie between ``least`` and ``most``, as a tensor, in one pass."""
    in_order = values.permute(0, 2, 3, 1) if values.stride(1) == 1 else values  # of memory
    lowest, highest = torch.aminmax(in_order)
    return (lowest >= least) & (highest <= most)  # not-a-number is neither


def shuffled(phases: Tensor, scale: int) -> Tensor:
    """(n, c * scale**2, h, w) to (n, c, h * scale, w * scale), as ``pixel_shuffle``.

    Whatever the memory order that comes in, planes come out: colour works on planes.
    """
    count, channels, height, width = phases.shape
    cells = phases.view(count, channels // scale**2, scale, scale, height, width)
    return cells.permute(0, 1, 4, 2, 5, 3).reshape(
        count, channels // scale**2, height * scale, width * scale
    )

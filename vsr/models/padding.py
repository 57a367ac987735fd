"""Pad pictures to whole cells, for networks that begin with a pixel unshuffle."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class PixelUnshuffle(nn.Module):
    """Pixel unshuffle: (n, c, h, w) to (n, c * side², h / side, w / side).

    Sides that are no whole number of cells are padded on the right and below.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        # A pixel may lie anywhere in its cell, and depends on all of the cell.
        self.radius = side - 1

    def forward(self, pixels: Tensor) -> Tensor:
        if self.side == 1:
            return pixels
        return functional.pixel_unshuffle(pad_to_multiple(pixels, self.side), self.side)


def pad_to_multiple(pixels: Tensor, multiple_of: int) -> Tensor:
    """Mirror (n, c, h, w) on the right and below, up to the next multiple on both sides."""
    height, width = pixels.shape[-2:]
    down, right = -height % multiple_of, -width % multiple_of
    # What is too narrow to be mirrored is repeated.
    mode = "reflect" if min(height, width) >= multiple_of else "replicate"
    return functional.pad(pixels, (0, right, 0, down), mode=mode)

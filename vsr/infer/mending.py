"""Replace what a network makes by interpolation where its values cannot be a picture's.

On inputs unlike all that it learnt from, a network may return blocks of coloured garbage. Where it
does so in float32 too, the interpolation takes its place: in whole cells of a grid over the frame,
and in the cells around those. The cells do not depend on tiles or batches.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vsr.errors import WeightsError
from vsr.geometry import Box, Size
from vsr.infer.network import MAX_DEVIATION, Network
from vsr.infer.tiles import Tile

CELL = 16  # source pixels a side


class Mending:
    """Finds the source pixels of some frames where a network's result is not used."""

    def __init__(self, network: Network, frames: int, size: Size, device: torch.device) -> None:
        self._network = network
        self._strange = torch.zeros(frames, size.height, size.width, dtype=torch.bool)
        self._strange = self._strange.to(device)
        self._numbers = torch.ones_like(self._strange)

    def look(self, windows: Tensor, frames: slice, tile: Tile) -> None:
        """Check the kept part of a tile's windows, (n, c, h, w) of the frames."""
        made, _ = self._network.run(windows)
        base = self._network.interpolated(windows)
        there, kept = tile.kept_in_window, tile.kept
        numbers = made.isfinite().all(1)
        near = ((made - base).abs() <= MAX_DEVIATION).all(1)  # not-a-number is not near
        within = slice(there.y, there.bottom), slice(there.x, there.right)
        place = slice(kept.y, kept.bottom), slice(kept.x, kept.right)
        self._numbers[frames, place[0], place[1]] = _small(numbers, windows)[:, *within]
        self._strange[frames, place[0], place[1]] = ~_small(near, windows)[:, *within]

    def settle(self) -> int:
        """Extend the pixels found to whole cells; returns the number of frames with any.

        Raises :class:`WeightsError` where half of a frame is not finite.
        """
        if bool((self._numbers.float().mean((1, 2)) < 0.5).any()):
            raise WeightsError(
                f"{self._network.name} makes numbers that are not finite, in float32 too",
                hint="its weights are damaged or its training went wrong",
            )
        height, width = self._strange.shape[1:]
        cells = functional.max_pool2d(self._strange.float()[:, None], CELL, ceil_mode=True)
        cells = functional.max_pool2d(cells, 3, 1, 1)[:, 0]
        whole = cells.repeat_interleave(CELL, 1).repeat_interleave(CELL, 2)
        self._strange = whole[:, :height, :width] > 0
        return int(self._strange.any(2).any(1).sum())

    def run(self, windows: Tensor, frames: list[slice], places: list[Box], wanted: Box) -> Tensor:
        """As the network's ``run``, with the interpolation in the cells that were found.

        The windows are those of ``frames`` at each of ``places``, in order.
        """
        made, _ = self._network.run(windows, wanted if self._network.can_crop else None)
        base = self._network.interpolated(windows, wanted if self._network.can_crop else None)
        masks = [
            self._strange[some, box.y : box.bottom, box.x : box.right]
            for some, box in zip(frames, places, strict=True)
        ]
        mask = torch.cat(masks)[:, wanted.y : wanted.bottom, wanted.x : wanted.right]
        scale = made.shape[-1] // wanted.width
        large = mask.repeat_interleave(scale, 1).repeat_interleave(scale, 2)[:, None]
        return torch.where(large, base, made)


def _small(good: Tensor, windows: Tensor) -> Tensor:
    """(n, h * scale, w * scale) to (n, h, w): whether all network pixels of a source pixel are."""
    height, width = windows.shape[-2:]
    count, scale = len(windows), good.shape[-1] // width
    return good.view(count, height, scale, width, scale).all(4).all(2)

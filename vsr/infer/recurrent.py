"""Run a recurrent network on frames that follow each other: one after another, tile by tile.

The state covers the whole frame: the frame before, and the network's features of it. Both are
warped to the present frame as a whole; every tile reads a window of them and writes its kept part
of the new features. So the result does not depend on tiles, batches or threads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vsr.errors import WeightsError
from vsr.geometry import Box, Size
from vsr.infer.network import MAX_DEVIATION, Network
from vsr.infer.output import Output
from vsr.infer.tiles import TilePlan, batches
from vsr.models.recurrent import warp_previous, without_previous
from vsr.models.subpixel import within


@dataclass(frozen=True, slots=True, eq=False)  # tensors do not compare with ==
class FrameState:
    """What is kept of a frame: its RGB, (1, 3 or 4, h, w) float32, and its features."""

    pixels: Tensor
    features: Tensor


def step(
    network: Network,
    pixels: Tensor,
    previous: FrameState | None,
    motion: Tensor,
    output: Output,
    frame: int,
    tiles: TilePlan,
    batch: int,
) -> tuple[FrameState, Tensor]:
    """Enlarge one frame, (1, 3 or 4, h, w) RGB, and paste it into the output.

    ``motion``, (1, 2, h, w) in source pixels, leads to the frame before; without a ``previous`` the
    frame is a first one. Returns the new state, and whether the result is valid, as a tensor.
    """
    if previous is None:
        before, state = without_previous(pixels), network.zero_state(pixels)
    else:
        before, state = warp_previous(previous.pixels, previous.features.to(network.dtype), motion)
    fresh = torch.empty_like(state)
    valid = torch.ones((), dtype=torch.bool, device=pixels.device)
    accepts_subpixel = pixels.shape[1] == 3 and output.accepts_subpixel(network.scale)
    there = slice(frame, frame + 1)
    for group in batches([None] * len(tiles.tiles), 1, batch):
        places = [tiles.tiles[tile] for tile, _ in group]
        windows, seen, known = (
            torch.cat([_cut(whole, place.window) for place in places])
            for whole in (pixels, before, state)
        )
        cells, features = network.step(windows, seen, known)
        enlarged = cells if accepts_subpixel else network.with_alpha(cells.shuffled(), windows)
        for number, (tile, place) in enumerate(
            zip((tile for tile, _ in group), places, strict=True)
        ):
            output.paste(tile, there, enlarged[number : number + 1])
            kept = place.kept.moved(-place.window.x, -place.window.y)
            valid &= within(
                _cut(cells.parts[-1][number : number + 1], kept), -MAX_DEVIATION, MAX_DEVIATION
            )
            _cut(fresh, place.kept).copy_(_cut(features[number : number + 1], kept))
    return FrameState(pixels, fresh), valid


def interpolate(
    network: Network, pixels: Tensor, output: Output, frame: int, tiles: TilePlan
) -> None:
    """Paste the frame's interpolation, for a frame on which the network fails."""
    for number, tile in enumerate(tiles.tiles):
        enlarged = network.interpolated(_cut(pixels, tile.window))
        output.paste(number, slice(frame, frame + 1), enlarged)


def check_weights(previous: FrameState, name: str) -> None:
    """Raise :class:`WeightsError` where most of a network's features are not finite."""
    if float(previous.features.isfinite().float().mean()) < 0.5:
        raise WeightsError(
            f"{name} makes numbers that are not finite, in float32 too",
            hint="its weights are damaged or its training went wrong",
        )


def state_bytes(features: int, dtype: torch.dtype, size: Size) -> int:
    """Bytes of a recurrent network's state: the old, the warped and the new one."""
    return 3 * features * dtype.itemsize * size.pixels


def _cut(whole: Tensor, box: Box) -> Tensor:
    return whole[..., box.y : box.bottom, box.x : box.right]

"""Enlarge frames that are independent of each other: what changed goes through the network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from vsr.color import part_to_rgb
from vsr.errors import WeightsError
from vsr.geometry import Box, Size
from vsr.infer.footprint import footprint_of
from vsr.infer.frame_pass import Planes, Work
from vsr.infer.host_transfer import HostTransfer
from vsr.infer.network import MAX_DEVIATION, Network
from vsr.infer.output import Output, PlaneOutput
from vsr.infer.placed import PlacedNetwork
from vsr.infer.reuse import CellMask, Reuse, plan_frames
from vsr.infer.tiles import Tile, TilePlan, batches

CELL = 16
"""Side of the cells that are mended as a whole, in source pixels."""


class Mending:
    """Finds the source pixels of some frames where a network's result is not used."""

    def __init__(self, network: Network, frames: int, size: Size, device: torch.device) -> None:
        self._network = network
        self._deviates = torch.zeros(frames, size.height, size.width, dtype=torch.bool)
        self._deviates = self._deviates.to(device)
        self._finite = torch.ones_like(self._deviates)

    def look(self, windows: Tensor, frames: slice, tile: Tile) -> None:
        """Check the kept part of a tile's windows, (n, c, h, w) of the frames."""
        made, _ = self._network.run(windows)
        base = self._network.interpolated(windows)
        there, kept = tile.kept_in_window, tile.kept
        numbers = made.isfinite().all(1)
        near = ((made - base).abs() <= MAX_DEVIATION).all(1)  # not-a-number is not near
        within = slice(there.y, there.bottom), slice(there.x, there.right)
        place = slice(kept.y, kept.bottom), slice(kept.x, kept.right)
        self._finite[frames, place[0], place[1]] = _small(numbers, windows)[:, *within]
        self._deviates[frames, place[0], place[1]] = ~_small(near, windows)[:, *within]

    def grow_to_cells(self) -> int:
        """Extend the pixels found to whole cells; returns the number of frames with any.

        Raises :class:`WeightsError` where half of a frame is not finite.
        """
        if bool((self._finite.float().mean((1, 2)) < 0.5).any()):
            raise WeightsError(
                f"{self._network.name} makes numbers that are not finite, in float32 too",
                hint="its weights are damaged or its training went wrong",
            )
        height, width = self._deviates.shape[1:]
        cells = functional.max_pool2d(self._deviates.float()[:, None], CELL, ceil_mode=True)
        cells = functional.max_pool2d(cells, 3, 1, 1)[:, 0]
        whole = cells.repeat_interleave(CELL, 1).repeat_interleave(CELL, 2)
        self._deviates = whole[:, :height, :width] > 0
        return int(self._deviates.any(2).any(1).sum())

    def run(self, windows: Tensor, frames: list[slice], places: list[Box], wanted: Box) -> Tensor:
        """As the network's ``run``, with the interpolation in the cells that were found.

        The windows are those of ``frames`` at each of ``places``, in order.
        """
        made, _ = self._network.run(windows, wanted if self._network.can_crop else None)
        base = self._network.interpolated(windows, wanted if self._network.can_crop else None)
        masks = [
            self._deviates[some, box.y : box.bottom, box.x : box.right]
            for some, box in zip(frames, places, strict=True)
        ]
        mask = torch.cat(masks)[:, wanted.y : wanted.bottom, wanted.x : wanted.right]
        scale = made.shape[-1] // wanted.width
        large = mask.repeat_interleave(scale, 1).repeat_interleave(scale, 2)[:, None]
        return torch.where(large, base, made)


def _small(good: Tensor, windows: Tensor) -> Tensor:
    """(n, h * scale, w * scale) to (n, h, w): true where all of a source pixel's are good."""
    height, width = windows.shape[-2:]
    count, scale = len(windows), good.shape[-1] // width
    return good.view(count, height, scale, width, scale).all(4).all(2)


Pixels = Callable[[slice, Box], Tensor]
"""Returns RGB of some frames in a box."""


class IndependentPass:
    """Batches over frames and tiles; what did not change is taken from the frame before."""

    def __init__(self, placed: PlacedNetwork, transfer: HostTransfer) -> None:
        self._placed, self._transfer = placed, transfer
        self._reuse = Reuse(placed.options.reuse)

    def prepared(self, work: Work) -> Work:
        """Returns the work as it is: independent frames need no preparation."""
        return work

    def forget(self) -> None:
        """Drop the last frame: the next one is computed as a whole."""
        self._reuse.forget()

    def snapshot(self) -> Callable[[], None]:
        """Returns a function that brings back the last frame."""
        state = self._reuse.state()
        return lambda: self._reuse.restore(state)

    def run(self, work: Work) -> Planes:
        """The target's planes on the device; of frames that were mended nothing is reused."""
        placed = self._placed

        def attempt() -> tuple[Planes, Planes, object]:
            key = (work.conversion, placed.placement.dtype)  # all else that the result depends on
            shown, changed = self._reuse.select(work.planes, key, work.changed)
            whole: list[CellMask | None] = [None for _ in changed]
            if placed.checks_output:  # mended pixels cannot be told from others
                changed = whole
            return shown, self._enlarged(shown, changed, work), key

        mended = placed.mended
        shown, made, key = placed.retry(attempt)
        if placed.mended == mended:
            self._reuse.keep(shown, made, key)
        else:
            self._reuse.forget()
        return made

    @torch.inference_mode()
    def _enlarged(self, planes: Planes, changed: list[CellMask | None], work: Work) -> Planes:
        """What changed goes through the network, the rest is what it was in the frame before."""
        placed, conversion = self._placed, work.conversion
        frames = planes[0].shape[0]
        footprint = footprint_of(placed.upscaler, conversion, placed.options.overlap)
        output = PlaneOutput(
            conversion, footprint, placed.upscaler.scale, frames, placed.placement.device
        )
        tiles, _ = placed.sizes.choose(footprint, conversion.low, frames)
        exact = footprint.exact and not placed.network.compiles
        if (
            not exact or placed.upscaler.multiple_of > 1
        ):  # a recomputed part would not equal the whole
            changed = [None if cells is None or cells.any() else cells for cells in changed]
        for group in plan_frames(
            changed,
            conversion.low,
            footprint,
            tiles.window,
            mean_context=footprint.context // 2 if placed.network.can_crop else footprint.context,
            step=placed.network.step_px,
        ):
            if group.parts is not None:
                self._reuse.repeat(output.canvas, group.frames.start)
            if group.parts is None or group.parts.tiles:
                near = tuple(self._transfer.up(plane[group.frames]) for plane in planes)

                def pixels(frames: slice, box: Box, near: Planes = near) -> Tensor:
                    rgb = part_to_rgb(
                        tuple(plane[frames] for plane in near), conversion.source, box
                    )
                    return rgb if conversion.target.alpha else rgb[:, :3]

                run_tiles(placed, pixels, output, group.frames, group.parts)
        return output.canvas


@torch.inference_mode()
def run_tiles(
    placed: PlacedNetwork,
    pixels: Pixels,
    output: Output,
    place: slice,
    parts: TilePlan | None = None,
) -> None:
    """Tiles of frames, all by default, through the network and onto the output's canvas.

    ``pixels`` gives the source's, ``place`` are the frames of the canvas. Raises
    :class:`~vsr.infer.placed.InvalidOutputError` where the network makes no picture of them.
    """
    network, frames = placed.network, place.stop - place.start
    tiles, batch = (
        placed.sizes.choose(output.footprint, output.low, frames) if parts is None else (parts, 1)
    )
    output.prepare(tiles, can_crop=network.can_crop)
    mending = _mending(placed, pixels, output, frames, tiles) if placed.checks_output else None
    valid = torch.ones((), dtype=torch.bool, device=output.canvas[0].device)
    use_compiled = parts is None and network.compiles
    wanted_of = [
        wanted_boxes.moved(-tile.window.x, -tile.window.y)
        for wanted_boxes, tile in zip(output.wanted_boxes, tiles.tiles, strict=True)
    ]
    for group in batches(wanted_of, frames, batch):
        wanted = wanted_of[group[0][0]]
        windows = torch.cat([pixels(some, tiles.tiles[tile].window) for tile, some in group])
        accepts_subpixel = (
            not use_compiled and windows.shape[1] == 3 and output.accepts_subpixel(network.side)
        )
        if mending is not None:
            places = [tiles.tiles[tile].window for tile, _ in group]
            enlarged = mending.run(windows, [some for _, some in group], places, wanted)
        elif accepts_subpixel:
            enlarged, group_valid = network.subpixel(windows, wanted)
            valid &= group_valid
        else:
            full_batch = use_compiled and len(windows) == batch
            enlarged, group_valid = network.run(windows, wanted, use_compiled=full_batch)
            valid &= group_valid
        done = 0
        for tile, some in group:
            end = done + some.stop - some.start
            there = slice(place.start + some.start, place.start + some.stop)
            output.paste(tile, there, enlarged[done:end])
            done = end
        del windows, enlarged
    placed.check(valid)


def _mending(
    placed: PlacedNetwork, pixels: Pixels, output: Output, frames: int, tiles: TilePlan
) -> Mending:
    """Find tile by tile where the network's result is not to be used."""
    mending = Mending(placed.network, frames, output.low, output.canvas[0].device)
    for tile in tiles.tiles:
        for frame in range(frames):
            some = slice(frame, frame + 1)
            mending.look(pixels(some, tile.window), some, tile)
    placed.tell_mended(mending.grow_to_cells())
    return mending

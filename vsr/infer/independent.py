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


Pixels = Callable[[slice, Box], Tensor]
"""RGB of consecutive frames in a box."""


class IndependentPass:
    """Batches over frames and tiles; what did not change is taken from the frame before."""

    def __init__(self, placed: PlacedNetwork, transfer: HostTransfer) -> None:
        self._placed, self._transfer = placed, transfer
        self._reuse = Reuse(placed.options.reuse)

    def prepared(self, work: Work) -> Work:
        """As it is."""
        return work

    def forget(self) -> None:
        """Drop the last frame: the next one is computed as a whole."""
        self._reuse.forget()

    def snapshot(self) -> Callable[[], None]:
        """What brings back the last frame."""
        state = self._reuse.state()
        return lambda: self._reuse.restore(state)

    def run(self, work: Work) -> Planes:
        """The target's planes on the device; of frames that were mended nothing is reused."""
        placed = self._placed

        def attempt() -> tuple[Planes, Planes, object]:
            key = (work.asked, placed.placement.dtype)  # all else that the result depends on
            shown, changed = self._reuse.select(work.planes, key, work.changed)
            whole: list[CellMask | None] = [None for _ in changed]
            if placed.checks_output:  # whole frames: what is mended cannot be told from what is not
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
        placed, asked = self._placed, work.asked
        frames = planes[0].shape[0]
        needs = footprint_of(placed.upscaler, asked, placed.options.overlap)
        output = PlaneOutput(asked, needs, placed.upscaler.scale, frames, placed.placement.device)
        tiles, _ = placed.sizes.choose(needs, asked.low, frames)
        exact = needs.exact and not placed.network.compiles
        if not exact or placed.upscaler.multiple_of > 1:  # parts would differ: a still or nothing
            changed = [None if cells is None or cells.any() else cells for cells in changed]
        for group in plan_frames(
            changed,
            asked.low,
            needs,
            tiles.window,
            mean_context=needs.context // 2 if placed.network.can_crop else needs.context,
            step=placed.network.step_px,
        ):
            if group.parts is not None:
                self._reuse.repeat(output.canvas, group.frames.start)
            if group.parts is None or group.parts.tiles:
                near = tuple(self._transfer.up(plane[group.frames]) for plane in planes)

                def pixels(frames: slice, box: Box, near: Planes = near) -> Tensor:
                    rgb = part_to_rgb(tuple(plane[frames] for plane in near), asked.source, box)
                    return rgb if asked.target.alpha else rgb[:, :3]

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
    asked_of = [
        made_of.moved(-tile.window.x, -tile.window.y)
        for made_of, tile in zip(output.made_of, tiles.tiles, strict=True)
    ]
    for group in batches(asked_of, frames, batch):
        wanted = asked_of[group[0][0]]
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
    """Where the network is not to be shown, found tile by tile."""
    mending = Mending(placed.network, frames, output.low, output.canvas[0].device)
    for tile in tiles.tiles:
        for frame in range(frames):
            some = slice(frame, frame + 1)
            mending.look(pixels(some, tile.window), some, tile)
    placed.tell_mended(mending.settle())
    return mending

"""Run a recurrent network on frames that follow each other: one after another, tile by tile.

The state covers the whole frame: the frame before, and the network's features of it. Both are
warped to the present frame as a whole; every tile reads a window of them and writes its kept part
of the new features. So the result does not depend on tiles, batches or threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vsr.color import part_to_rgb
from vsr.errors import WeightsError
from vsr.geometry import Box
from vsr.infer.footprint import Conversion, footprint_of
from vsr.infer.frame_pass import Planes, Work
from vsr.infer.host_transfer import HostTransfer
from vsr.infer.network import MAX_DEVIATION, Network
from vsr.infer.output import Output, PlaneOutput
from vsr.infer.placed import PlacedNetwork
from vsr.infer.tiles import TilePlan, batches
from vsr.models.recurrent import warp_previous, without_previous
from vsr.models.subpixel import within
from vsr.motion import Motion, MotionEstimator


@dataclass(frozen=True, slots=True, eq=False)  # tensors do not compare with ==
class FrameState:
    """What a recurrent network keeps of a frame for the next one, for each source pixel."""

    pixels: Tensor
    """The frame, (1, 3 or 4, h, w) float32, RGB 0..1 and alpha."""
    features: Tensor
    """The network's features of it, (1, c, h, w)."""


class RecurrentPass:
    """Runs a recurrent network frame after frame.

    A frame that is computed again starts from the state before it, so that results do not depend
    on how frames are divided into clips.
    """

    def __init__(self, placed: PlacedNetwork, transfer: HostTransfer) -> None:
        self._placed, self._transfer = placed, transfer
        self._estimator = MotionEstimator()
        self._conversion: Conversion | None = None
        self._state: FrameState | None = None
        self._made: Planes = ()

    def prepared(self, work: Work) -> Work:
        """The work with its motion, which is estimated where it came with none."""
        if work.begins or work.conversion != self._conversion:
            self._estimator.forget()
        if work.motion is not None:
            return work
        return replace(work, motion=self._estimator.next(work.planes, work.conversion.source))

    def forget(self) -> None:
        """The next frame is a first one."""
        self._state, self._made = None, ()

    def snapshot(self) -> Callable[[], None]:
        """Returns a function that brings back the state of the last frame."""
        conversion, state, made = self._conversion, self._state, self._made

        def restore() -> None:
            self._conversion, self._state, self._made = conversion, state, made

        return restore

    @torch.inference_mode()
    def run(self, work: Work) -> Planes:
        """The target's planes on the device. A frame equal to the one before it is copied."""
        placed, conversion, motion = self._placed, work.conversion, work.motion
        assert motion is not None
        if conversion != self._conversion:
            self.forget()
        self._conversion = conversion
        frames = work.planes[0].shape[0]
        footprint = footprint_of(placed.upscaler, conversion, placed.options.overlap)
        output = placed.retry(
            lambda: PlaneOutput(
                conversion, footprint, placed.upscaler.scale, frames, placed.placement.device
            )
        )
        for frame in range(frames):
            if motion.same[frame] and self._made:  # the state stays, too
                for plane, made in zip(output.canvas, self._made, strict=True):
                    plane[frame] = made
                continue
            previous = None if motion.begins[frame] else self._state
            self._state = placed.retry(
                lambda: self._frame(work, motion, previous, output, frame)  # noqa: B023  # called at once
            )
            self._made = tuple(plane[frame] for plane in output.canvas)
        self._made = tuple(plane.clone() for plane in self._made)
        return output.canvas

    def _frame(
        self,
        work: Work,
        motion: Motion,
        previous: FrameState | None,
        output: Output,
        frame: int,
    ) -> FrameState | None:
        """Enlarge one frame; returns its state, ``None`` if the result was invalid."""
        placed, conversion = self._placed, work.conversion
        tiles, batch = placed.sizes.choose(output.footprint, output.low, 1)
        output.prepare(tiles, can_crop=False)
        there = slice(frame, frame + 1)
        near = tuple(self._transfer.up(plane[there]) for plane in work.planes)
        pixels = part_to_rgb(near, conversion.source, conversion.low.box)
        pixels = pixels if conversion.target.alpha else pixels[:, :3]
        vectors = self._transfer.up(motion.pixels(frame))
        new, valid = step(placed.network, pixels, previous, vectors, output, frame, tiles, batch)
        if not placed.checks_output:
            placed.check(valid)
            return new
        if placed.is_sound(valid):
            return new
        check_weights(new, placed.upscaler.name)
        interpolate(placed.network, pixels, output, frame, tiles)
        if not work.lead_in:
            placed.tell_mended(1)
        return None


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
            kept = place.kept_in_window
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


def check_weights(state: FrameState, name: str) -> None:
    """Raise :class:`WeightsError` where most of a network's features are not finite."""
    if float(state.features.isfinite().float().mean()) < 0.5:
        raise WeightsError(
            f"{name} makes numbers that are not finite, in float32 too",
            hint="its weights are damaged or its training went wrong",
        )


def _cut(whole: Tensor, box: Box) -> Tensor:
    return whole[..., box.y : box.bottom, box.x : box.right]

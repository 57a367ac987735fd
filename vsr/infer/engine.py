"""Enlarge pictures of any size with any network: tiles, batches, and memory that runs out.

Knows tensors and colour, but no file. Everything happens on the device; what comes back are integer
planes of the enlarged size, never floats.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vsr.chroma import chroma_reach
from vsr.color import ColorSpec, part_to_rgb
from vsr.errors import OptionsError
from vsr.events import EventSink, ignore
from vsr.geometry import Box, Size
from vsr.infer import recurrent
from vsr.infer.host_transfer import HostTransfer, PendingFrames
from vsr.infer.in_flight import ClipInFlight, InFlight, Work
from vsr.infer.mending import Mending
from vsr.infer.output import FloatOutput, Output, PlaneOutput
from vsr.infer.placed import InvalidOutputError, PlacedNetwork
from vsr.infer.recurrent import FrameState
from vsr.infer.reuse import CellMask, Planes, Reuse, plan_frames
from vsr.infer.tiles import TilePlan, batches
from vsr.models.arch import Upscaler
from vsr.motion import Motion, MotionEstimator
from vsr.options import EngineOptions

MAX_16_BIT = 65535  # the largest code value of 16 bits
MAX_LEVEL = 8.0  # of what should be 0..1; networks overshoot by less, code values are above it
Pixels = Callable[[slice, Box], Tensor]
"""RGB of consecutive frames in a box."""


class Engine(PlacedNetwork):
    """An upscaler placed on a device. Use it from one thread at a time.

    ``enlarge`` takes planes as decoded and returns planes to encode; ``upscale`` takes and returns
    RGB tensors. When memory runs out, the batch is halved, then the tile, the same frames are done
    again, and the smaller sizes are kept; at the smallest, :class:`OutOfMemory`. When a network
    makes what is no picture (numbers that are not finite, or that leave the interpolation by more
    than any picture can), the frames are redone in the next wider type; where float32 makes it too,
    the interpolation alone takes its place. ``mended`` counts such frames.
    """

    def __init__(
        self,
        upscaler: Upscaler,
        options: EngineOptions | None = None,
        on_event: EventSink = ignore,
        *,
        beside: Engine | None = None,
    ) -> None:
        options = options or EngineOptions()
        self._reuse = Reuse(options.reuse)
        super().__init__(upscaler, options, on_event, beside)
        self._forgot = True
        # A GPU is not waited for: whether a clip is sound is looked at when it has come down.
        self._waits = self.placement.device.type != "cuda"
        self._valid: Tensor | None = None
        self._lock = threading.RLock() if beside is None else beside._lock
        self._in_flight = InFlight(self._lock)
        self._transfer = HostTransfer(self.placement.device)
        self._state: FrameState | None = None
        self._made: Planes = ()
        self._key: object = None
        self._estimator = MotionEstimator()

    def beside(self) -> Engine:
        """Another engine for other frames in another thread: they share networks and take turns.

        What either makes does not depend on the other.
        """
        return Engine(self.upscaler, self.options, self._on_event, beside=self)

    def enlarge(
        self, planes: tuple[Tensor, ...], source: ColorSpec, target: ColorSpec, size: Size
    ) -> tuple[Tensor, ...]:
        """Planes of n frames, (n, h, w) integers on the host, to planes of ``size`` on the host.

        ``source`` and ``target`` say what the code values mean, their matrices resolved.
        """
        return self.begin(planes, source, target, size).wait()

    def begin(
        self,
        planes: tuple[Tensor, ...],
        source: ColorSpec,
        target: ColorSpec,
        size: Size,
        motion: Motion | None = None,
        changed: Sequence[CellMask | None] | None = None,
    ) -> PendingFrames:
        """As ``enlarge``, but a GPU's planes may be on their way yet when it returns.

        ``motion`` is that of the frames, for networks with a memory; it is estimated without.
        ``changed`` is what :class:`vsr.infer.reuse.FrameComparison` says of the frames, where they
        were compared already; else they are compared here.
        """
        with self._lock:
            if self.upscaler.state_channels and motion is None:
                if self._key_of(planes, source, target, size) != self._key:
                    self._estimator.forget()
                motion = self._estimator.next(planes, source)
            work = Work(planes, source, target, size, motion, changed, begins=self._forgot)
            if self._forgot:
                self._begin_anew()
            self._forgot = False
            if self._waits:
                return self._transfer.down(self._computed(work))
            restore = self._to_restore()
            self._valid = torch.ones((), dtype=torch.bool, device=self.placement.device)
            try:
                made = self._computed(work)
                pending = self._transfer.down((*made, self._valid))
            finally:
                self._valid = None
            clip = ClipInFlight(pending, restore, lambda: self._again(work))
            return PendingFrames.of(self._in_flight.add(clip))

    def _computed(self, work: Work) -> Planes:
        """The planes of the work, on the device."""
        key = self._key_of(work.planes, work.source, work.target, work.size)
        if self.upscaler.state_channels:
            if key != self._key:
                self._state, self._made = None, ()
            self._key = key
            assert work.motion is not None
            return self._enlarge_recurrent(work, work.motion)

        def attempt() -> tuple[Planes, Planes]:
            shown, changed = self._reuse.select(work.planes, key, work.changed)
            whole: list[CellMask | None] = [None for _ in changed]
            if self._checks_output:  # whole frames: what is mended cannot be told from what is not
                changed = whole
            return shown, self._enlarge_batch(shown, changed, work.source, work.target, work.size)

        mended = self.mended
        shown, made = self._retry(attempt)
        if self.mended == mended:
            self._reuse.keep(shown, made, key)
        else:
            self._reuse.forget()
        return made

    def _again(self, work: Work) -> Planes:
        """The planes of work that was asked for before, on the host. Waits for all it takes."""
        if work.begins:
            self._begin_anew()
        return self._transfer.down(self._computed(work)).wait()

    def _to_restore(self) -> Callable[[], None]:
        """What brings the engine back to where it is now."""
        reuse, previous, made, key = self._reuse.state(), self._state, self._made, self._key
        dtype, mended = self.placement.dtype, self.mended

        def restore() -> None:
            if self.placement.dtype != dtype:
                self._place(dtype)
            self._reuse.restore(reuse)
            self._state, self._made, self._key = previous, made, key
            self.mended = mended

        return restore

    @staticmethod
    def _key_of(planes: Planes, source: ColorSpec, target: ColorSpec, size: Size) -> object:
        """What has to be as it was before for anything of the frames before to be of use."""
        return (source, target, size, *(plane.shape[1:] for plane in planes))

    def forget(self) -> None:
        """Begin anew, with nothing of the frames before: results depend on what follows alone."""
        with self._lock:
            self._forgot = True
            self._estimator.forget()
            self._begin_anew()

    def _place(self, dtype: torch.dtype) -> None:
        super()._place(dtype)
        self._reuse.forget()

    def _begin_anew(self) -> None:
        self._reuse.forget()
        self._state, self._made = None, ()
        if self.placement.dtype != self._first_dtype:  # widened for what was there before
            self._place(self._first_dtype)

    def upscale(self, pixels: Tensor, size: Size | None = None) -> Tensor:
        """(n, 3 or 4, h, w) RGB(A) 0..1 to (n, 3 or 4, H, W) float32 on the same device.

        ``size`` is the size to resample to, the network's own enlargement by default. The result is
        not clamped: networks overshoot at edges, by a little. Raises :class:`OptionsError` for what
        is no tensor of floating point, and for values far outside of 0..1, such as code values.
        """
        _check_pixels(pixels)
        if pixels.dim() != 4 or pixels.shape[1] not in (3, 4):
            raise OptionsError(f"pixels must be (n, 3 or 4, h, w), got {tuple(pixels.shape)}")
        low = Size(pixels.shape[-1], pixels.shape[-2])
        high = size or low.scaled(self.upscaler.scale)

        def attempt() -> Tensor:
            near = pixels.to(self.placement.device, torch.float32)
            output = FloatOutput(near.shape[:2], low, high, self.upscaler.scale, near.device)

            def cut(frames: slice, box: Box) -> Tensor:
                return near[frames, :, box.y : box.bottom, box.x : box.right]

            self._run(cut, output, slice(0, len(near)))
            return output.canvas[0].to(pixels.device)

        return self._retry(attempt)

    def follow(self, pixels: Tensor) -> Tensor:
        """As ``upscale``, of 3 channels, for frames right behind those of the last call.

        A network with a memory sees them so, rounded to 16 bits on the way in and out.
        """
        if not self.upscaler.state_channels:
            return self.upscale(pixels)
        spec = ColorSpec(layout="rgb", depth=16, shift=(0, 0))
        given = pixels.clamp(0, 1).mul(MAX_16_BIT).round().to(torch.int32).to(torch.uint16)
        low = Size(pixels.shape[-1], pixels.shape[-2])
        planes = tuple(plane.contiguous() for plane in given.unbind(1))
        made = self.enlarge(planes, spec, spec, low.scaled(self.upscaler.scale))
        return torch.stack([plane.to(torch.float32) for plane in made], 1) / MAX_16_BIT

    @torch.inference_mode()
    def _enlarge_batch(
        self,
        planes: Planes,
        changed: list[CellMask | None],
        source: ColorSpec,
        target: ColorSpec,
        size: Size,
    ) -> Planes:
        """What changed goes through the network, the rest is what it was in the frame before."""
        place = self.placement.device
        frames, height, width = planes[0].shape
        low = Size(width, height)
        output = PlaneOutput(frames, low, size, self.upscaler.scale, target, place)
        tiles, _ = self._sizes.choose(output, frames)
        context = self.upscaler.halo + output.margin
        chroma = chroma_reach(max(source.multiple))
        exact = self.upscaler.is_exact(tiles.overlap, output.margin) and not self._network.compiles
        if not exact or self.upscaler.multiple_of > 1:  # parts would differ: a still or nothing
            changed = [None if cells is None or cells.any() else cells for cells in changed]
        mean_context, window = context // 2 if self._network.can_crop else context, tiles.window
        for group in plan_frames(
            changed,
            low,
            context=context,
            chroma=chroma,
            window=window,
            mean_context=mean_context,
            step=self._network.step_px,
        ):
            if group.parts is not None:
                self._reuse.repeat(output.canvas, group.frames.start)
            if group.parts is None or group.parts.tiles:
                near = tuple(self._transfer.up(plane[group.frames]) for plane in planes)

                def pixels(frames: slice, box: Box, near: Planes = near) -> Tensor:
                    rgb = part_to_rgb(tuple(plane[frames] for plane in near), source, box)
                    return rgb if target.alpha else rgb[:, :3]

                self._run(pixels, output, group.frames, group.parts)
        return output.canvas

    @torch.inference_mode()
    def _enlarge_recurrent(self, work: Work, motion: Motion) -> Planes:
        """Frame after frame through a network with a memory. What is redone begins from the memory
        that was there before the frame, so that nothing depends on how frames came in clips."""
        planes, target, device = work.planes, work.target, self.placement.device
        frames, height, width = planes[0].shape
        low = Size(width, height)
        output = PlaneOutput(frames, low, work.size, self.upscaler.scale, target, device)
        for frame in range(frames):
            if motion.same[frame] and self._made:  # nothing moves, and nothing is learnt of it
                for plane, made in zip(output.canvas, self._made, strict=True):
                    plane[frame] = made
                continue
            there = slice(frame, frame + 1)
            near = tuple(self._transfer.up(plane[there]) for plane in planes)
            pixels = part_to_rgb(near, work.source, low.box)
            pixels = pixels if target.alpha else pixels[:, :3]
            previous = None if motion.begins[frame] else self._state
            vectors = self._transfer.up(motion.pixels(frame))
            self._state = self._retry(
                lambda: self._step(pixels, previous, vectors, output, frame)  # noqa: B023  # called at once
            )
            self._made = tuple(plane[frame] for plane in output.canvas)
        self._made = tuple(plane.clone() for plane in self._made)
        return output.canvas

    def _step(
        self,
        pixels: Tensor,
        previous: FrameState | None,
        vectors: Tensor,
        output: Output,
        frame: int,
    ) -> FrameState | None:
        """One frame; what to remember of it, nothing if the network makes no picture of it."""
        tiles, batch = self._sizes.choose(output, 1)
        exact = self.upscaler.is_exact(tiles.overlap, output.margin)
        output.prepare(tiles, exact=exact, can_crop=False)
        new, valid = recurrent.step(
            self._network, pixels, previous, vectors, output, frame, tiles, batch
        )
        if self._is_sound(valid):
            return new
        if not self._checks_output:
            raise InvalidOutputError
        recurrent.check_weights(new, self.upscaler.name)
        recurrent.interpolate(self._network, pixels, output, frame, tiles)
        self._tell_mended(1)
        return None

    @torch.inference_mode()
    def _run(
        self, pixels: Pixels, output: Output, place: slice, parts: TilePlan | None = None
    ) -> None:
        """Tiles of frames, all by default, through the network and onto the canvas."""
        frames = place.stop - place.start
        tiles, batch = self._sizes.choose(output, frames) if parts is None else (parts, 1)
        exact = self.upscaler.is_exact(tiles.overlap, output.margin)
        output.prepare(tiles, exact=exact, can_crop=self._network.can_crop)
        mending = self._mending(pixels, output, frames, tiles) if self._checks_output else None
        valid = torch.ones((), dtype=torch.bool, device=output.canvas[0].device)
        use_compiled = parts is None and self._network.compiles
        for group in batches([part.wanted for part in output.parts], frames, batch):
            wanted = output.parts[group[0][0]].wanted
            windows = torch.cat([pixels(some, tiles.tiles[tile].window) for tile, some in group])
            accepts_subpixel = (
                not use_compiled
                and windows.shape[1] == 3
                and output.accepts_subpixel(self._network.side)
            )
            if mending is not None:
                places = [tiles.tiles[tile].window for tile, _ in group]
                enlarged = mending.run(windows, [some for _, some in group], places, wanted)
            elif accepts_subpixel:
                enlarged, group_valid = self._network.subpixel(windows, wanted)
                valid &= group_valid
            else:
                full_batch = use_compiled and len(windows) == batch
                enlarged, group_valid = self._network.run(windows, wanted, use_compiled=full_batch)
                valid &= group_valid
            done = 0
            for tile, some in group:
                end = done + some.stop - some.start
                there = slice(place.start + some.start, place.start + some.stop)
                output.paste(tile, there, enlarged[done:end])
                done = end
            del windows, enlarged
        if not self._is_sound(valid):
            raise InvalidOutputError

    def _is_sound(self, valid: Tensor) -> bool:
        """Whether the network made a picture; of a clip in flight that is looked at later."""
        if self._valid is None:
            return bool(valid)
        self._valid &= valid
        return True

    def _mending(self, pixels: Pixels, output: Output, frames: int, tiles: TilePlan) -> Mending:
        """Where the network is not to be shown, found tile by tile."""
        mending = Mending(self._network, frames, output.low, output.canvas[0].device)
        for tile in tiles.tiles:
            for frame in range(frames):
                some = slice(frame, frame + 1)
                mending.look(pixels(some, tile.window), some, tile.window, tile.kept)
        self._tell_mended(mending.settle())
        return mending


def _check_pixels(pixels: object) -> None:
    """Whether it is a tensor of floats of about 0..1: what a network made may overshoot."""
    if not isinstance(pixels, Tensor):
        raise OptionsError(
            f"pixels must be a torch tensor, got {type(pixels).__module__}.{type(pixels).__name__}",
            hint="of numpy (h, w, 3) uint8: "
            "torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255",
        )
    if not pixels.is_floating_point():
        raise OptionsError(
            f"pixels must be of floating point, 0..1, got {pixels.dtype}",
            hint="of 8-bit code values: pixels.float() / 255",
        )
    # Nothing is copied: memory may be short.
    low, high = map(float, torch.aminmax(pixels)) if pixels.numel() else (0.0, 0.0)
    if max(-low, high) > MAX_LEVEL:
        raise OptionsError(
            f"pixels must be 0..1, got values from {low:g} to {high:g}",
            hint="divide code values by their largest, 255 for 8 bits",
        )

"""Enlarge pictures of any size with any network: tiles, batches, and memory that runs out.

Knows tensors and colour, but no file. Everything happens on the device; what comes back are integer
planes of the enlarged size, never floats.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vsr.color import ColorSpec
from vsr.errors import OptionsError
from vsr.events import EventSink, ignore
from vsr.geometry import Box, Size
from vsr.infer.device import Placement
from vsr.infer.footprint import Conversion, footprint_of
from vsr.infer.frame_pass import FramePass, Planes, Work
from vsr.infer.host_transfer import ClipInFlight, HostTransfer, InFlight, PendingFrames
from vsr.infer.independent import IndependentPass, run_tiles
from vsr.infer.output import FloatOutput
from vsr.infer.placed import PlacedNetwork
from vsr.infer.recurrent import RecurrentPass
from vsr.infer.reuse import CellMask
from vsr.infer.tiles import TilePlan
from vsr.models.arch import Upscaler
from vsr.motion import Motion, mirrored_places
from vsr.options import EngineOptions

MAX_16_BIT = 65535  # the largest code value of 16 bits
MAX_LEVEL = 8.0
"""The largest input taken for RGB of 0..1: overshoot is below it, code values are above."""
RGB = ColorSpec(layout="rgb", depth=16, shift=(0, 0))


class Engine:
    """An upscaler placed on a device. Use it from one thread at a time.

    ``enlarge`` takes planes as decoded and returns planes to encode; ``upscale`` takes and returns
    RGB tensors. When memory runs out, the engine halves the batch, then the tile, repeats the same
    frames, and keeps the smaller sizes; below the smallest it raises :class:`OutOfMemory`. When a
    network returns invalid values (not finite, or farther from the interpolation than those of any
    picture), the frames are repeated in the next wider type; where float32 does not help, they are
    interpolated there. ``mended`` counts such frames.
    """

    def __init__(
        self,
        upscaler: Upscaler,
        options: EngineOptions | None = None,
        on_event: EventSink = ignore,
        *,
        beside: Engine | None = None,
    ) -> None:
        self.upscaler = upscaler
        self.options = options or EngineOptions()
        self._on_event = on_event
        self._placed = PlacedNetwork(
            upscaler, self.options, on_event, None if beside is None else beside._placed
        )
        self._transfer = HostTransfer(self.placement.device)
        kind = RecurrentPass if upscaler.state_channels else IndependentPass
        self._pass: FramePass = kind(self._placed, self._transfer)
        self._forgot = True
        # On a GPU validity is checked after the copy to the host: nothing waits for the device.
        self._waits = self.placement.device.type != "cuda"
        self._lock = threading.RLock() if beside is None else beside._lock
        self._in_flight = InFlight(self._lock)

    @property
    def placement(self) -> Placement:
        """The device, and the type that the network runs in."""
        return self._placed.placement

    @property
    def mended(self) -> int:
        """Frames that are interpolated in places."""
        return self._placed.mended

    def beside(self) -> Engine:
        """Another engine for other frames in another thread: they share networks and take turns.

        What either makes does not depend on the other.
        """
        return Engine(self.upscaler, self.options, self._on_event, beside=self)

    def tiling(self, conversion: Conversion, frames: int) -> tuple[TilePlan, int]:
        """The tiles and the batch that ``enlarge`` will begin with, for so many frames."""
        return self._placed.tiling(conversion, frames)

    def settle(self, tile: int | None, batch: int | None) -> None:
        """Use this tile and batch from now on, as if they had been asked for; None to choose."""
        self._placed.sizes.settle(tile, batch)

    @torch.inference_mode()
    def network(self, windows: Tensor, wanted: Box | None = None) -> Tensor:
        """The network alone, on windows that lie on the device: no colour, no retry.

        (n, 3 or 4, h, w) to (n, 3 or 4, h * scale, w * scale) float32, or of networks that crop the
        ``wanted`` part alone; alpha goes by bicubic where the network has none.
        """
        network = self._placed.network
        return network.run(windows, wanted if network.can_crop else None)[0]

    def enlarge(self, planes: Planes, source: ColorSpec, target: ColorSpec, size: Size) -> Planes:
        """Planes of n frames, (n, h, w) integers on the host, to planes of ``size`` on the host.

        ``source`` and ``target`` say what the code values mean, their matrices resolved.
        """
        low = Size(planes[0].shape[-1], planes[0].shape[-2])
        return self.begin(planes, Conversion(source, target, low, size)).wait()

    def begin(
        self,
        planes: Planes,
        conversion: Conversion,
        motion: Motion | None = None,
        changed: Sequence[CellMask | None] | None = None,
        *,
        lead_in: bool = False,
    ) -> PendingFrames:
        """As ``enlarge``, but a GPU's planes may be on their way yet when it returns.

        ``motion`` is that of the frames, for recurrent networks; it is estimated without.
        ``changed`` is what :class:`vsr.infer.reuse.FrameComparison` says of the frames, where they
        were compared already; else they are compared here. Frames of a ``lead_in`` are not used,
        and not counted where they are mended.
        """
        with self._lock:
            given = Work(planes, conversion, motion, changed, self._forgot, lead_in)
            work = self._pass.prepared(given)
            if work.begins:
                self._begin_anew()
            self._forgot = False
            if self._waits:
                return self._transfer.down(self._pass.run(work))
            restore = self._snapshot()
            valid = torch.ones((), dtype=torch.bool, device=self.placement.device)
            self._placed.deferred = valid
            try:
                pending = self._transfer.down((*self._pass.run(work), valid))
            finally:
                self._placed.deferred = None
            clip = ClipInFlight(pending, restore, lambda: self._again(work))
            return PendingFrames.of(self._in_flight.add(clip))

    def _again(self, work: Work) -> Planes:
        """Compute work again that was begun before; waits for its planes on the host."""
        if work.begins:
            self._begin_anew()
        return self._transfer.down(self._pass.run(work)).wait()

    def _snapshot(self) -> Callable[[], None]:
        """Returns a function that restores the present state."""
        placed, frames = self._placed.snapshot(), self._pass.snapshot()

        def restore() -> None:
            placed()
            frames()

        return restore

    def forget(self) -> None:
        """Forget earlier frames: the next one is computed as the first of a video."""
        with self._lock:
            self._forgot = True
            self._begin_anew()

    def _begin_anew(self) -> None:
        self._pass.forget()
        self._placed.begin_anew()

    def upscale(self, pixels: Tensor, size: Size | None = None) -> Tensor:
        """(n, 3 or 4, h, w) RGB(A) 0..1 to (n, 3 or 4, H, W) float32 on the same device.

        ``size`` is the size to resample to, the network's own enlargement by default. The result is
        not clamped: networks overshoot at edges, by a little. Raises :class:`OptionsError` for what
        is no tensor of floating point, and for values far outside of 0..1, such as code values.

        Example:

            >>> import torch, vsr
            >>> engine = vsr.Engine(vsr.load("bicubic"))
            >>> tuple(engine.upscale(torch.rand(1, 3, 90, 160)).shape)
            (1, 3, 360, 640)
        """
        _check_pixels(pixels)
        scale = self.upscaler.scale
        low = Size(pixels.shape[-1], pixels.shape[-2])
        conversion = Conversion(RGB, RGB, low, size or low.scaled(scale))
        footprint = footprint_of(self.upscaler, conversion, self.options.overlap)

        def attempt() -> Tensor:
            near = pixels.to(self.placement.device, torch.float32)
            output = FloatOutput(conversion, footprint, scale, near.shape[:2], near.device)

            def cut(frames: slice, box: Box) -> Tensor:
                return near[frames, :, box.y : box.bottom, box.x : box.right]

            run_tiles(self._placed, cut, output, slice(0, len(near)))
            return output.canvas[0].to(pixels.device)

        return self._placed.retry(attempt)

    def begin_film(self, pixels: Tensor) -> None:
        """Forget what was before, and lead a film in by its first frames, as a run does.

        ``pixels``, (n, 3, h, w), are those that :meth:`follow` is given next, or some of them: a
        recurrent network sees up to four of those behind the first one, backwards.
        """
        self.forget()
        if self.upscaler.state_channels:
            for place in mirrored_places(len(pixels)):
                self.follow(pixels[place : place + 1])

    def follow(self, pixels: Tensor) -> Tensor:
        """As ``upscale`` (3 channels), for frames that directly follow those of the last call.

        A recurrent network sees them so, rounded to 16 bits on the way in and out.
        """
        if not self.upscaler.state_channels:
            return self.upscale(pixels)
        _check_pixels(pixels)
        given = pixels.clamp(0, 1).mul(MAX_16_BIT).round().to(torch.int32).to(torch.uint16)
        low = Size(pixels.shape[-1], pixels.shape[-2])
        planes = tuple(plane.contiguous() for plane in given.unbind(1))
        made = self.enlarge(planes, RGB, RGB, low.scaled(self.upscaler.scale))
        return torch.stack([plane.to(torch.float32) for plane in made], 1) / MAX_16_BIT


def _check_pixels(pixels: object) -> None:
    """Whether it is (n, 3 or 4, h, w) of about 0..1: what a network made may overshoot."""
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
    if pixels.dim() != 4 or pixels.shape[1] not in (3, 4):
        raise OptionsError(f"pixels must be (n, 3 or 4, h, w), got {tuple(pixels.shape)}")
    # Nothing is copied: memory may be short.
    low, high = map(float, torch.aminmax(pixels.detach())) if pixels.numel() else (0.0, 0.0)
    if not max(-low, high) <= MAX_LEVEL:  # what is no number is not below it
        raise OptionsError(
            f"pixels must be 0..1, got values from {low:g} to {high:g}",
            hint="divide code values by their largest, 255 for 8 bits",
        )

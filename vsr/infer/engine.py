"""Enlarge pictures of any size with any network: tiles, batches, and memory that runs out.

Knows tensors and colour, but no file. Everything happens on the device; what comes back are integer
planes of the enlarged size, never floats.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from vsr.color import ColorSpec, to_rgb
from vsr.errors import OptionsError, OutOfMemory, WeightsError
from vsr.events import BackedOff, EventSink, ignore
from vsr.geometry import Size
from vsr.infer import device as devices
from vsr.infer.memory import peak_bytes
from vsr.infer.output import FloatOutput, Output, PlaneOutput
from vsr.infer.tiles import TilePlan, least_tile, plan
from vsr.models.arch import Upscaler
from vsr.options import EngineOptions

Result = TypeVar("Result")
SAFETY = 1.4  # a convolution's scratch memory is not seen by the meter


class Engine:
    """An upscaler placed on a device. Use it from one thread at a time.

    ``enlarge`` takes planes as decoded and returns planes to encode; ``upscale`` takes and returns
    RGB tensors. When memory runs out, the batch is halved, then the tile, the same frames are done
    again, and the smaller sizes are kept; at the smallest, :class:`OutOfMemory`. When half
    precision makes a number that is not finite, the frames are redone in the next wider type.
    """

    def __init__(
        self,
        upscaler: Upscaler,
        options: EngineOptions | None = None,
        on_event: EventSink = ignore,
    ) -> None:
        self.upscaler = upscaler
        self.options = options or EngineOptions()
        self.placement = devices.resolve(self.options, upscaler)
        self._on_event = on_event
        self._place(self.placement.dtype)
        self._tile: int | None = self.options.tile
        self._batch: int | None = self.options.batch
        self._budget = devices.budget(self.placement.device, self.options.memory)
        self._bytes_per_pixel: float | None = None
        self._last: tuple[TilePlan, int] | None = None  # what the latest attempt ran with

    def enlarge(
        self, planes: tuple[Tensor, ...], source: ColorSpec, target: ColorSpec, size: Size
    ) -> tuple[Tensor, ...]:
        """Planes of n frames, (n, h, w) integers on the host, to planes of ``size`` on the host.

        ``source`` and ``target`` say what the code values mean, their matrices resolved.
        """
        place = self.placement.device
        scale = self.upscaler.scale

        def attempt() -> tuple[Tensor, ...]:
            pixels = to_rgb(tuple(plane.to(place, non_blocking=True) for plane in planes), source)
            low = Size(pixels.shape[-1], pixels.shape[-2])
            output = PlaneOutput(pixels.shape[0], low, size, scale, target, place)
            self._run(pixels if target.alpha else pixels[:, :3], output)
            return tuple(plane.cpu() for plane in output.canvas)

        return self._insist(attempt)

    def upscale(self, pixels: Tensor, size: Size | None = None) -> Tensor:
        """(n, 3 or 4, h, w) RGB(A) 0..1 to (n, 3 or 4, H, W) float32 on the same device.

        ``size`` is the size to resample to, the network's own enlargement by default. The result is
        not clamped.
        """
        if pixels.dim() != 4 or pixels.shape[1] not in (3, 4):
            raise OptionsError(f"pixels must be (n, 3 or 4, h, w), got {tuple(pixels.shape)}")
        low = Size(pixels.shape[-1], pixels.shape[-2])
        high = size or low.scaled(self.upscaler.scale)

        def attempt() -> Tensor:
            near = pixels.to(self.placement.device, torch.float32)
            output = FloatOutput(near.shape[:2], low, high, self.upscaler.scale, near.device)
            self._run(near, output)
            return output.canvas[0].to(pixels.device)

        return self._insist(attempt)

    def tiling(self, low: Size, high: Size, target: ColorSpec, frames: int) -> tuple[TilePlan, int]:
        """The tiles and the batch that ``enlarge`` will begin with."""
        return self._choose(
            PlaneOutput(frames, low, high, self.upscaler.scale, target, torch.device("meta")),
            frames,
        )

    def _choose(self, output: Output, frames: int) -> tuple[TilePlan, int]:
        """The tiles and the batch for ``frames`` pictures, from the options or the budget."""
        overlap = self.upscaler.overlap(self.options.overlap, output.margin)
        low, multiple = output.low, self.upscaler.multiple_of
        least = least_tile(overlap, multiple)
        tile = self._tile
        if tile is None:
            tile = max(low.width, low.height)
            free = self.upscaler.whole  # until memory really runs out
            while not free and tile > least and self._bytes(low, tile) > self._budget:
                tile = max(least, tile * 3 // 4)
        tiles = plan(low, Size(tile, tile), overlap, multiple)  # raises where a tile is too small
        batch = self._batch
        if batch is None:
            fits = int(self._budget // max(1.0, self._bytes(tiles.window, tile)))
            useful = devices.useful_batch(self.placement.device, tiles.window.pixels)
            batch = max(1, min(frames * len(tiles.tiles), fits, useful))
        return tiles, batch

    def _bytes(self, low: Size, tile: int) -> float:
        """What one window of the frame takes at its peak, in bytes."""
        if self._bytes_per_pixel is None:
            side = 64
            module: nn.Module = copy.deepcopy(self._module).to("meta")
            example = torch.zeros(1, 3, side, side)
            peak = peak_bytes(module, example)
            # The float result and its colour conversion come on top: about five floats a channel.
            finish = 3 * 4 * 5 * self.upscaler.scale**2
            self._bytes_per_pixel = SAFETY * peak / side**2 + finish
        return self._bytes_per_pixel * min(low.width, tile) * min(low.height, tile)

    @torch.inference_mode()
    def _run(self, pixels: Tensor, output: Output) -> None:
        """Every tile of every frame through the network and onto the canvas."""
        frames = pixels.shape[0]
        self._last = tiles, batch = self._choose(output, frames)
        output.prepare(tiles, exact=self.upscaler.is_exact(tiles.overlap, output.margin))
        jobs = [(tile, frame) for tile in range(len(tiles.tiles)) for frame in range(frames)]
        finite = torch.ones((), dtype=torch.bool, device=pixels.device)
        for start in range(0, len(jobs), batch):
            turn = jobs[start : start + batch]
            windows = torch.stack(
                [
                    pixels[frame, :, box.y : box.bottom, box.x : box.right]
                    for tile, frame in turn
                    for box in (tiles.tiles[tile].window,)
                ]
            )
            enlarged = self._forward(windows)
            finite &= torch.isfinite(enlarged.sum())
            for tile in sorted({tile for tile, _ in turn}):
                members = [place for place, job in enumerate(turn) if job[0] == tile]
                first, last = members[0], members[-1] + 1
                output.paste(tile, turn[first][1], enlarged[first:last])
            del windows, enlarged
        if not bool(finite):
            raise _NotFiniteError

    def _forward(self, windows: Tensor) -> Tensor:
        """(n, 3 or 4, h, w) to (n, 3 or 4, h * scale, w * scale) float32; alpha goes by bicubic
        where the network has none."""
        color = windows if self.upscaler.alpha else windows[:, :3]
        if self.placement.channels_last:
            color = color.contiguous(memory_format=torch.channels_last)
        with self._precision():
            enlarged: Tensor = self._module(color).float()
        if enlarged.shape[1] < windows.shape[1]:
            alpha = torch.nn.functional.interpolate(
                windows[:, 3:], size=enlarged.shape[-2:], mode="bicubic", antialias=True
            )
            enlarged = torch.cat([enlarged, alpha], dim=1)
        return enlarged

    def _precision(self) -> AbstractContextManager[object]:
        """Float32 that is asked for is float32: no TF32."""
        if self.placement.device.type == "cuda" and self.placement.dtype == torch.float32:
            return torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
        return nullcontext()

    def _place(self, dtype: torch.dtype) -> None:
        self.placement = replace(self.placement, dtype=dtype)
        module = copy.deepcopy(self.upscaler.module).to(self.placement.device, dtype)
        if self.placement.channels_last:
            for parameter in module.parameters():
                if parameter.dim() == 4:
                    parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self._module = module.eval().requires_grad_(False)

    def _insist(self, attempt: Callable[[], Result]) -> Result:
        """Try until it works or nothing smaller is left. The exception is let go of first: it
        holds the tensors that filled the memory."""
        while True:
            try:
                return attempt()
            except _NotFiniteError:
                exhausted = False
            except (RuntimeError, MemoryError) as error:
                if not devices.is_out_of_memory(error):
                    raise
                exhausted = True
            devices.release(self.placement.device)
            if exhausted:
                self._shrink()
            else:
                self._widen()

    def _shrink(self) -> None:
        if self._last is None:
            raise OutOfMemory(
                f"memory ran out on {self.placement.device}: the enlarged frames alone do not fit",
                hint="close other programs, use --device cpu, or ask for a smaller --height",
            )
        tiles, batch = self._last
        side = max(tiles.window.width, tiles.window.height)
        if batch > 1:
            self._batch = batch // 2
        elif side // 2 >= least_tile(tiles.overlap, self.upscaler.multiple_of):
            self._batch, self._tile = 1, side // 2
        else:
            raise OutOfMemory(
                f"memory ran out on {self.placement.device} even with tiles of {side} px",
                hint="close other programs, use --device cpu, --dtype fp16 or a smaller --overlap",
            )
        size = Size(self._tile or tiles.window.width, self._tile or tiles.window.height)
        name = self.placement.dtype_name
        self._on_event(BackedOff("out of memory", size, self._batch or 1, name))

    def _widen(self) -> None:
        dtype = devices.wider(self.placement.dtype, self.upscaler)
        if dtype is None:
            raise WeightsError(
                f"{self.upscaler.name} makes numbers that are not finite, in float32 too",
                hint="its weights are damaged or its training went wrong",
            )
        before = self.placement.dtype_name
        self._place(dtype)
        self._bytes_per_pixel = None
        assert self._last is not None
        tiles, batch = self._last
        self._on_event(
            BackedOff(f"not finite in {before}", tiles.window, batch, self.placement.dtype_name)
        )


class _NotFiniteError(Exception):
    """The network made infinity or not-a-number."""

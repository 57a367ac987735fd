"""A network placed on a device, and what is done where it fails: smaller tiles, a wider type.

When memory runs out, the batch is halved, then the tile. When a network makes what is no picture,
the next wider type takes over; where float32 makes it too, the interpolation is to be shown.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from vsr.color import ColorSpec
from vsr.events import BackedOff, EventSink, Warned
from vsr.geometry import Box, Size
from vsr.infer import device as devices
from vsr.infer.network import Network
from vsr.infer.output import PlaneOutput
from vsr.infer.sizing import Sizes
from vsr.infer.tiles import TilePlan
from vsr.models.arch import Upscaler
from vsr.options import EngineOptions

Result = TypeVar("Result")


class PlacedNetwork:
    """An upscaler's network in a type on a device, with its tiles; ``mended`` counts frames that
    are interpolated in places."""

    def __init__(
        self,
        upscaler: Upscaler,
        options: EngineOptions,
        on_event: EventSink,
        beside: PlacedNetwork | None = None,
    ) -> None:
        # One that works beside another shares its networks, and has its tiles.
        self._networks: dict[torch.dtype, Network] = {} if beside is None else beside._networks
        self.upscaler, self.options = upscaler, options
        self.placement = devices.resolve(options, upscaler)
        self._on_event = on_event
        self._first_dtype = self.placement.dtype
        self._reported_dtypes: set[torch.dtype] = set()
        self.mended = 0
        self._checks_output = False
        self._sizes: Sizes = (
            Sizes(options, self.placement.device, upscaler)
            if beside is None
            else copy.copy(beside._sizes)
        )
        self._place(self.placement.dtype)

    def tiling(self, low: Size, high: Size, target: ColorSpec, frames: int) -> tuple[TilePlan, int]:
        """The tiles and the batch that ``enlarge`` will begin with."""
        return self._sizes.choose(
            PlaneOutput(frames, low, high, self.upscaler.scale, target, torch.device("meta")),
            frames,
        )

    def settle(self, tile: int | None, batch: int | None) -> None:
        """Use this tile and batch from now on, as if they had been asked for; None to choose."""
        self._sizes.settle(tile, batch)

    @torch.inference_mode()
    def network(self, windows: Tensor, wanted: Box | None = None) -> Tensor:
        """The network alone, on windows that lie on the device: no colour, no retry.

        (n, 3 or 4, h, w) to (n, 3 or 4, h * scale, w * scale) float32, or of networks that trim the
        ``wanted`` part alone; alpha goes by bicubic where the network has none.
        """
        return self._network.run(windows, wanted if self._network.can_crop else None)[0]

    def _tell_mended(self, frames: int) -> None:
        if frames and not self.mended:
            self._on_event(
                Warned(
                    f"{self.upscaler.name} makes what is no picture of some of this: "
                    "interpolated there alone"
                )
            )
        self.mended += frames

    def _place(self, dtype: torch.dtype) -> None:
        self.placement = replace(self.placement, dtype=dtype)
        if dtype not in self._networks:
            compiles = self.options.compile == "on"
            self._networks[dtype] = Network(self.upscaler, self.placement, compiles=compiles)
        self._network = self._networks[dtype]
        self._sizes.use_network(self._network.module, dtype)

    def _retry(self, attempt: Callable[[], Result]) -> Result:
        """Try until it works or nothing smaller is left. The exception is let go of first: it
        holds the tensors that filled the memory."""
        self._checks_output = False
        mended = self.mended
        while True:
            self.mended = mended
            try:
                return attempt()
            except InvalidOutputError:
                exhausted = False
            except (RuntimeError, MemoryError) as error:
                if not devices.is_out_of_memory(error):
                    raise
                exhausted = True
            devices.release(self.placement.device)
            if exhausted:
                window, batch = self._sizes.shrink()
                name = self.placement.dtype_name
                self._on_event(BackedOff("out of memory", window, batch, name))
            else:
                self._widen()

    def _widen(self) -> None:
        dtype = devices.wider(self.placement.dtype, self.upscaler, self.placement.device)
        if dtype is None:
            self._checks_output = True
            return
        before = self.placement.dtype_name
        self._place(dtype)
        assert self._sizes.latest is not None
        tiles, batch = self._sizes.latest
        if dtype not in self._reported_dtypes:
            self._reported_dtypes.add(dtype)
            self._on_event(
                BackedOff(f"no picture in {before}", tiles.window, batch, self.placement.dtype_name)
            )


class InvalidOutputError(Exception):
    """The network made infinity, not-a-number, or numbers that no picture holds."""

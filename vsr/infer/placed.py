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

from vsr.events import BackedOff, EventSink, Warned
from vsr.infer import device as devices
from vsr.infer.footprint import Conversion, footprint_of
from vsr.infer.network import Network
from vsr.infer.sizing import Sizes
from vsr.infer.tiles import TilePlan
from vsr.models.arch import Upscaler
from vsr.options import EngineOptions

Result = TypeVar("Result")


class PlacedNetwork:
    """An upscaler's network in a type on a device, with the tiles that fit there."""

    network: Network
    """In the present type."""

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
        """Frames that are interpolated in places."""
        self.checks_output = False
        """Whether the network makes no picture in its widest type either: look where it does."""
        self.deferred: Tensor | None = None
        """Where results are looked at later, whether all of them were pictures until now."""
        self.sizes: Sizes = (
            Sizes(options, self.placement.device, upscaler)
            if beside is None
            else copy.copy(beside.sizes)
        )
        self._place(self.placement.dtype)

    def tiling(self, conversion: Conversion, frames: int) -> tuple[TilePlan, int]:
        """The tiles and the batch that so many frames will begin with."""
        footprint = footprint_of(self.upscaler, conversion, self.options.overlap)
        return self.sizes.choose(footprint, conversion.low, frames)

    def is_sound(self, valid: Tensor) -> bool:
        """Whether the network made a picture; true where that is looked at later."""
        if self.deferred is None:
            return bool(valid)
        self.deferred &= valid
        return True

    def check(self, valid: Tensor) -> None:
        """Raise :class:`InvalidOutputError` where the network made no picture."""
        if not self.is_sound(valid):
            raise InvalidOutputError

    def tell_mended(self, frames: int) -> None:
        """Count frames that were interpolated in places; the first are told of."""
        if frames and not self.mended:
            self._on_event(
                Warned(
                    f"{self.upscaler.name} makes what is no picture of some of this: "
                    "interpolated there alone"
                )
            )
        self.mended += frames

    def retry(self, attempt: Callable[[], Result]) -> Result:
        """Try until it works or nothing smaller is left. The exception is let go of first: it
        holds the tensors that filled the memory."""
        self.checks_output = False
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
                window, batch = self.sizes.shrink()
                name = self.placement.dtype_name
                self._on_event(BackedOff("out of memory", window, batch, name))
            else:
                self._widen()

    def begin_anew(self) -> None:
        """Back to the first type, where it was widened for frames before."""
        self._use(self._first_dtype)

    def snapshot(self) -> Callable[[], None]:
        """What, when called, brings back the type and the count of mended frames."""
        dtype, mended = self.placement.dtype, self.mended

        def restore() -> None:
            self._use(dtype)
            self.mended = mended

        return restore

    def _use(self, dtype: torch.dtype) -> None:
        if self.placement.dtype != dtype:
            self._place(dtype)

    def _place(self, dtype: torch.dtype) -> None:
        self.placement = replace(self.placement, dtype=dtype)
        if dtype not in self._networks:
            compiles = self.options.compile == "on"
            self._networks[dtype] = Network(self.upscaler, self.placement, compiles=compiles)
        self.network = self._networks[dtype]
        self.sizes.use_network(self.network.module, dtype)

    def _widen(self) -> None:
        dtype = devices.wider(self.placement.dtype, self.upscaler, self.placement.device)
        if dtype is None:
            self.checks_output = True
            return
        before = self.placement.dtype_name
        self._place(dtype)
        assert self.sizes.latest is not None
        tiles, batch = self.sizes.latest
        if dtype not in self._reported_dtypes:
            self._reported_dtypes.add(dtype)
            self._on_event(
                BackedOff(f"no picture in {before}", tiles.window, batch, self.placement.dtype_name)
            )


class InvalidOutputError(Exception):
    """The network made infinity, not-a-number, or numbers that no picture holds."""

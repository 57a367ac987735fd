"""A network on its device: in its type and memory order, and compiled where that is asked for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from vsr.errors import DeviceError
from vsr.geometry import Box
from vsr.infer.device import Placement, has_fast_bfloat16
from vsr.infer.fusing import fused
from vsr.models.arch import Upscaler
from vsr.models.trim import Trim, part
from vsr.models.unshuffled import Unshuffled, Unshuffling


class Network:
    """A copy of an upscaler's module where the placement says."""

    def __init__(self, upscaler: Upscaler, place: Placement, *, compiles: bool) -> None:
        self.compiles = compiles
        self._alpha, self._place = upscaler.alpha, place
        module = copy.deepcopy(upscaler.module)
        plain = place.dtype == torch.float32 or (
            place.dtype == torch.bfloat16 and has_fast_bfloat16()  # or oneDNN has no such thing
        )
        simple = place.device.type == "cpu" and plain and not compiles
        if simple and not upscaler.foreign:  # others may look into their layers
            module = fused(module)
        module = module.to(place.device, place.dtype)
        if place.channels_last:
            for parameter in module.parameters():
                if parameter.dim() == 4:
                    parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self.module = module.eval().requires_grad_(False)
        self._built: Callable[[Tensor], Tensor] = self.module
        self._refusals: tuple[type[Exception], ...] = ()
        if compiles:
            from torch._dynamo.exc import TorchDynamoException  # most of a second

            self._refusals = (TorchDynamoException,)
            mode = "max-autotune" if place.device.type == "cuda" else None  # with CUDA graphs
            self._built = cast(
                "Callable[[Tensor], Tensor]", torch.compile(self.module, mode=mode, dynamic=False)
            )

    @property
    def trims(self) -> bool:
        """Whether it makes a wanted part for less than the whole; compiled code has one shape."""
        return not self.compiles and getattr(self.module, "trims", False)

    @property
    def side(self) -> int:
        """Of the cells that ``unshuffled`` makes; 0 where the network lays pixels out itself."""
        return self.module.scale if isinstance(self.module, Unshuffling) else 0

    def unshuffled(self, windows: Tensor, wanted: Box | None = None) -> Unshuffled:
        """(n, 3, h, w) to as many cells, or those ``wanted``; for networks with a ``side``."""
        assert isinstance(self.module, Unshuffling)
        return self.module.unshuffled(self._ordered(windows), _trim(windows, wanted))

    def run(self, windows: Tensor, wanted: Box | None = None, *, built: bool = False) -> Tensor:
        """(n, 3 or 4, h, w) to (n, 3 or 4, h * scale, w * scale) float32.

        Of a network that trims, what it makes of the ``wanted`` part of the windows alone. Alpha
        goes by bicubic where the network has none. ``built`` is for the one shape that the compiled
        code is for; compiling that fails is a :class:`DeviceError`.
        """
        color = self._ordered(windows if self._alpha else windows[:, :3])
        trim = _trim(windows, wanted)
        with self._precision():
            try:
                if trim is None:
                    enlarged = (self._built if built else self.module)(color).float()
                else:
                    enlarged = self.module(color, trim).float()
            except self._refusals as error:
                said = str(error).strip().splitlines()[0]
                raise DeviceError(
                    f"the network cannot be compiled here: {said}",
                    hint="--compile off; or is a C++ compiler installed, and on a GPU Triton?",
                ) from error
        if enlarged.shape[1] < windows.shape[1]:
            box = wanted or _box(windows)
            alpha = functional.interpolate(
                windows[:, 3:],
                scale_factor=enlarged.shape[-1] // box.width,
                mode="bicubic",
                antialias=True,
            )
            alpha = part(alpha, _box(windows), box)
            enlarged = torch.cat([enlarged, alpha], dim=1)
        return enlarged

    def _ordered(self, pixels: Tensor) -> Tensor:
        last = self._place.channels_last
        return pixels.contiguous(memory_format=torch.channels_last) if last else pixels

    def _precision(self) -> AbstractContextManager[object]:
        """What is computed in float32 is float32, the base of a half-precision network too."""
        if self._place.device.type == "cuda":
            return torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
        return nullcontext()


def _box(windows: Tensor) -> Box:
    return Box(0, 0, windows.shape[-1], windows.shape[-2])


def _trim(windows: Tensor, wanted: Box | None) -> Trim | None:
    """For a part of the windows; ``None`` where all of them is wanted."""
    box = _box(windows)
    return None if wanted in (None, box) else Trim(box, wanted)

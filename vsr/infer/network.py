"""A network on its device, in its precision and memory order, compiled where that was asked for.

Decoded video has colours outside of RGB's 0..1 (dark edges, saturated red and blue, super-white),
which networks never learnt. So a network gets RGB clamped to 0..1; the rest is enlarged by bicubic
and added, so that neither super-white nor super-black is lost.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from vsr.errors import DeviceError
from vsr.geometry import Box
from vsr.infer.device import Placement, arithmetic, has_fast_bfloat16, side_step
from vsr.infer.fusing import fused
from vsr.models.arch import Upscaler
from vsr.models.crop_schedule import CropSchedule, part
from vsr.models.interpolation import Interpolation
from vsr.models.recurrent import Recurrent
from vsr.models.subpixel import SubpixelNetwork, SubpixelOutput, within

MAX_DEVIATION = 4.0
"""The largest difference from the interpolation that a valid result may have. Pictures of 0..1
stay below 1.5, shipped networks below 3 on the finest black and white; failing ones reach
thousands."""
MAX_FLOAT32 = float(torch.finfo(torch.float32).max)


class Network:
    """A copy of an upscaler's module on the placement's device, in its type."""

    def __init__(self, upscaler: Upscaler, place: Placement, *, compiles: bool) -> None:
        self.name, self.compiles = upscaler.name, compiles
        self._alpha, self._place, self._learned = upscaler.alpha, place, upscaler.learned
        self._base = Interpolation("bicubic", upscaler.scale).to(place.device)
        self.step_px = side_step(place.device)
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
        self._compiled: Callable[[Tensor], Tensor] = self.module
        self._compile_errors: tuple[type[Exception], ...] = ()
        if compiles:
            from torch._dynamo.exc import TorchDynamoException  # most of a second

            self._compile_errors = (TorchDynamoException,)
            # No mode: what max-autotune takes is up to a stopwatch, other sums in each process,
            # and its CUDA graphs are kept by thread, which Ray's workers change.
            self._compiled = cast(
                "Callable[[Tensor], Tensor]", torch.compile(self.module, dynamic=False)
            )

    @property
    def can_crop(self) -> bool:
        """Whether a part of a window costs less than the whole; compiled code has one shape."""
        return not self.compiles and self.module.can_crop

    @property
    def side(self) -> int:
        """The side of the cells that ``subpixel`` returns; 0 for networks without it."""
        return self.module.scale if isinstance(self.module, SubpixelNetwork) else 0

    def subpixel(self, windows: Tensor, wanted: Box | None = None) -> tuple[SubpixelOutput, Tensor]:
        """(n, 3, h, w) to the sub-pixel output of all or the ``wanted`` pixels.

        Returns also whether it is valid, as a tensor: finite, and no farther from the interpolation
        than a picture can be.
        """
        assert isinstance(self.module, SubpixelNetwork)
        with arithmetic(self._place.device):
            cells = self.module.subpixel(
                self._ordered(windows), self._crop_schedule(windows, wanted)
            )
        most = MAX_DEVIATION if self._learned else MAX_FLOAT32
        return cells, cells.within(-most, most)

    def run(
        self, windows: Tensor, wanted: Box | None = None, *, use_compiled: bool = False
    ) -> tuple[Tensor, Tensor]:
        """(n, 3 or 4, h, w) to (n, 3 or 4, h * scale, w * scale) float32, and whether it is valid.

        A network that crops returns the ``wanted`` part of the windows only. Alpha is enlarged by
        bicubic where the network has none. ``use_compiled`` runs the compiled code, which has one
        shape; raises :class:`DeviceError` where it cannot be compiled.
        """
        color = self._ordered(windows if self._alpha else windows[:, :3])
        if self.side and not use_compiled:
            cells, valid = self.subpixel(color, wanted)
            enlarged = cells.shuffled()
        else:
            enlarged, valid = self._forward(color, wanted, use_compiled=use_compiled)
        return self.with_alpha(enlarged, windows, wanted), valid

    def with_alpha(self, enlarged: Tensor, windows: Tensor, wanted: Box | None = None) -> Tensor:
        """Append the windows' alpha, by bicubic, where they have one and ``enlarged`` has none."""
        if enlarged.shape[1] == windows.shape[1]:
            return enlarged
        alpha = functional.interpolate(
            windows[:, 3:], scale_factor=self.scale, mode="bicubic", antialias=True
        )
        alpha = part(alpha, _box(windows), wanted or _box(windows))
        return torch.cat([enlarged, alpha], dim=1)

    def _forward(
        self, color: Tensor, wanted: Box | None, *, use_compiled: bool
    ) -> tuple[Tensor, Tensor]:
        """``run`` for networks without sub-pixel output, and for compiled code."""
        crop, least, most = self._crop_schedule(color, wanted), -MAX_FLOAT32, MAX_FLOAT32
        given, out_of_range = color, None
        if self._learned and self.side:  # its base is in what it gives, and may be as far out
            least, most = -2 * MAX_DEVIATION, 1 + 2 * MAX_DEVIATION
        elif self._learned:
            least, most = -MAX_DEVIATION, 1 + MAX_DEVIATION
            given = color.clamp(0, 1)
            out_of_range = color - given
            if self._place.device.type == "cpu" and not bool(out_of_range.any()):
                out_of_range = None  # nearly always; asking a GPU would be waiting for it
        with arithmetic(self._place.device):
            try:
                if crop is None:
                    enlarged = (self._compiled if use_compiled else self.module)(given).float()
                else:
                    enlarged = self.module(given, crop).float()
            except self._compile_errors as error:
                said = str(error).strip().splitlines()[0]
                raise DeviceError(
                    f"the network cannot be compiled here: {said}",
                    hint="--compile off; or is a C++ compiler installed, and on a GPU Triton?",
                ) from error
            valid = within(enlarged, least, most)
            if out_of_range is not None:
                enlarged = enlarged + self.interpolated(out_of_range, wanted)
        return enlarged, valid

    def step(self, windows: Tensor, before: Tensor, state: Tensor) -> tuple[SubpixelOutput, Tensor]:
        """Run a step of a recurrent network on windows of a frame, (n, 3 or 4, h, w).

        ``before`` and ``state`` are the same windows of the warped frame and features before.
        Returns the sub-pixel output and the new features.
        """
        assert isinstance(self.module, Recurrent)
        color, last, known = (self._ordered(x) for x in (windows[:, :3], before, state))
        with arithmetic(self._place.device):
            return self.module.step(color, last, known)

    def zero_state(self, pixels: Tensor) -> Tensor:
        """The state before a recurrent network's first frame: zeros, (n, features, h, w)."""
        assert isinstance(self.module, Recurrent)
        return self.module.zero_state(pixels)

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        return self._place.dtype

    @property
    def scale(self) -> int:
        """How many times it enlarges."""
        return self._base.scale

    def interpolated(self, windows: Tensor, wanted: Box | None = None) -> Tensor:
        """Enlarge the windows, or the ``wanted`` part of them, by bicubic in float32."""
        with arithmetic(self._place.device):
            return self._base(windows, self._crop_schedule(windows, wanted))

    def _ordered(self, pixels: Tensor) -> Tensor:
        last = self._place.channels_last
        return pixels.contiguous(memory_format=torch.channels_last) if last else pixels

    def _crop_schedule(self, windows: Tensor, wanted: Box | None) -> CropSchedule | None:
        """The crop schedule of a part of the windows; ``None`` where all of them are wanted."""
        box = _box(windows)
        return None if wanted in (None, box) else CropSchedule(box, wanted, self.step_px)


def _box(windows: Tensor) -> Box:
    return Box(0, 0, windows.shape[-1], windows.shape[-2])

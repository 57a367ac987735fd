"""Nearest, bilinear, bicubic and Lanczos interpolation by whole factors.

An enlargement by a whole factor repeats the same few filters, one for each place in a cell of the
output, so it is one convolution at the input's size and a shuffle (Shi et al., CVPR 2016, section
3.2), far faster on a CPU than a resize. Bicubic is Keys' with a = -1/2 (IEEE ASSP 29, 1981), as in
MATLAB and Pillow. Taps outside of the picture are left out, and the others made to sum to one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsr.models.arch import Arch, Hyper, State
from vsr.models.crop_schedule import CropSchedule
from vsr.models.module import SRModule
from vsr.models.subpixel import SubpixelOutput


def cubic(distance: Tensor) -> Tensor:
    """Keys' cubic with a = -1/2 (IEEE ASSP 29, 1981), support 2."""
    x = distance.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def lanczos(distance: Tensor) -> Tensor:
    """Sinc windowed by a sinc, support 3."""
    return torch.sinc(distance) * torch.sinc(distance / 3) * (distance.abs() < 3)


KERNELS: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "nearest": (lambda x: (x.abs() < 0.5).to(x), 0),
    "bilinear": (lambda x: (1 - x.abs()).clamp(min=0), 1),
    "bicubic": (cubic, 2),
    "lanczos": (lanczos, 3),
}
"""Each with its radius in input pixels."""


class Phases(nn.Module):
    """An interpolation before its shuffle: (n, c, h, w) to (n, c * scale**2, h, w) float32."""

    def __init__(self, kernel: str, scale: int = 4) -> None:
        super().__init__()
        weight, self.radius = KERNELS[kernel]
        self.scale = scale
        with torch.device("cpu"):  # sums of shapes alone are a second of imports
            centres = (torch.arange(scale, dtype=torch.float64) + 0.5) / scale - 0.5
            taps = weight(torch.arange(-self.radius, self.radius + 1) - centres[:, None])
            taps = (taps / taps.sum(1, keepdim=True)).float()
        self.lines: Tensor
        self.register_buffer("lines", taps, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        """Go to the device, but stay float32: a base in half precision would show as bands."""
        lines = self.lines
        super()._apply(fn, recurse)
        self.lines = lines.to(self.lines.device)
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        with _no_autocast(pixels.device.type):
            return self._enlarged(pixels.float())

    def _enlarged(self, pixels: Tensor) -> Tensor:
        channels, size, lines = pixels.shape[1], pixels.shape[-2:], self.lines
        groups = 1 if pixels.device.type in ("cuda", "mps") else channels  # quicker on a CPU
        same = torch.eye(channels // groups, device=lines.device)
        weight = torch.einsum("cd,yi,xj->cyxdij", same, lines, lines).flatten(0, 2)
        weight = weight.repeat(groups, 1, 1, 1)
        made = functional.conv2d(pixels, weight, padding=self.radius, groups=groups)
        if self.radius:
            cells = made.view(-1, channels, self.scale, self.scale, *size)
            self._mend_borders(cells.transpose(2, 3).transpose(-2, -1))
            self._mend_borders(cells)
        return made

    def _mend_borders(self, cells: Tensor) -> None:
        """Normalise the last axis's borders, where taps fall outside; axis 3 has the phases."""
        length, radius = cells.shape[-1], self.radius
        ones = torch.ones(1, 1, length, device=cells.device)
        inside = functional.conv1d(ones, self.lines[:, None], padding=radius)[0, :, None]
        parts = ((0, length),) if length < 2 * radius else ((0, radius), (length - radius, radius))
        for part in parts:
            cells.narrow(-1, *part).div_(inside.narrow(-1, *part))


def _no_autocast(device: str) -> AbstractContextManager[object]:
    # Not everywhere is there any: not where only shapes are worked out.
    known = torch.amp.autocast_mode.is_autocast_available(device)
    return torch.autocast(device, enabled=False) if known else nullcontext()


class Interpolation(SRModule):
    """One of the four interpolations: (n, c, h, w) to (n, c, h * scale, w * scale) float32."""

    can_crop = True

    def __init__(self, kernel: str, scale: int = 4) -> None:
        super().__init__()
        self.scale = scale
        self.phases = Phases(kernel, scale)

    def forward(self, pixels: Tensor, crop: CropSchedule | None = None) -> Tensor:
        return self.subpixel(pixels, crop).shuffled()

    def subpixel(self, pixels: Tensor, crop: CropSchedule | None = None) -> SubpixelOutput:
        """As ``forward``, before the pixel shuffle."""
        if crop is None:
            return SubpixelOutput((self.phases(pixels),), self.scale)
        made = self.phases(crop(pixels, self.phases.radius))
        return SubpixelOutput((crop.wanted(made),), self.scale)


def _none(state: State) -> dict[str, Hyper] | None:
    del state  # an interpolation has no weights to be recognised by
    return None


def _build(kernel: str) -> Callable[..., SRModule]:
    def build(**hparams: Any) -> SRModule:
        return Interpolation(kernel, **hparams)

    return build


INTERPOLATIONS = tuple(
    Arch(name, summary, _build(name), {"scale": 4}, _none, trained=False)
    for name, summary in (
        ("nearest", "repeats pixels: blocky, exact"),
        ("bilinear", "the softest: a triangle over 2x2 pixels"),
        ("bicubic", "the usual baseline: Keys' cubic over 4x4 pixels"),
        ("lanczos", "a little sharper, with slight ringing: 6x6 pixels"),
    )
)
"""The four interpolations; their halo is their kernel's radius."""

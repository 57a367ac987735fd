"""Nearest, bilinear, bicubic and Lanczos. No weights, no learning.

Bilinear and bicubic are torch's own, with ``antialias``, which is the one whose cubic has Keys'
a = -1/2 as MATLAB's and Pillow's have. Lanczos it lacks: an enlargement by a whole factor repeats
the same few filters, one for each phase of the output grid, so it is one convolution with
scale x scale filters and a pixel shuffle (Shi et al., CVPR 2016).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsr.models.arch import Arch, Hyper, State


def lanczos(x: float) -> float:
    """Sinc windowed by a sinc, support 3."""
    if x == 0:
        return 1.0
    turn = math.pi * x
    return 3 * math.sin(turn) * math.sin(turn / 3) / turn**2 if abs(x) < 3 else 0.0


RADIUS = {"bilinear": 1, "bicubic": 2, "lanczos": 3}


class Nearest(nn.Module):
    """Repeat every pixel: (n, c, h, w) to (n, c, h * scale, w * scale), the values untouched."""

    def __init__(self, scale: int = 4) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)


class Interpolation(nn.Module):
    """Bilinear or bicubic: (n, c, h, w) to (n, c, h * scale, w * scale)."""

    def __init__(self, kernel: str, scale: int = 4) -> None:
        super().__init__()
        self.kernel, self.scale, self.radius = kernel, scale, RADIUS[kernel]

    def forward(self, pixels: Tensor) -> Tensor:
        size = [side * self.scale for side in pixels.shape[-2:]]
        return functional.interpolate(pixels, size=size, mode=self.kernel, antialias=True)


class Lanczos(nn.Module):
    """Lanczos over 6x6 pixels: (n, c, h, w) to (n, c, h * scale, w * scale), borders repeated."""

    def __init__(self, scale: int = 4) -> None:
        super().__init__()
        self.scale, self.radius = scale, RADIUS["lanczos"]
        lines: list[list[float]] = []
        for phase in range(scale):
            centre = (phase + 0.5) / scale - 0.5
            taps = [lanczos(tap - centre) for tap in range(-self.radius, self.radius + 1)]
            lines.append([tap / sum(taps) for tap in taps])
        weights = torch.tensor(lines, dtype=torch.float64)
        kernels = torch.einsum("yi,xj->yxij", weights, weights).flatten(0, 1).unsqueeze(1)
        self.register_buffer("kernels", kernels.float(), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        count, channels, height, width = pixels.shape
        lone = pixels.reshape(count * channels, 1, height, width)
        lone = functional.pad(lone, (self.radius,) * 4, mode="replicate")
        phases = functional.conv2d(lone, self.get_buffer("kernels").to(pixels.dtype))
        enlarged = functional.pixel_shuffle(phases, self.scale)
        return enlarged.reshape(count, channels, height * self.scale, width * self.scale)


def _none(state: State) -> dict[str, Hyper] | None:
    del state  # an interpolation has no weights to be recognised by
    return None


def _build(kernel: str) -> Callable[..., nn.Module]:
    def build(scale: int = 4) -> nn.Module:
        if kernel == "nearest":
            return Nearest(scale)
        return Lanczos(scale) if kernel == "lanczos" else Interpolation(kernel, scale)

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

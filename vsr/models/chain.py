"""Several networks one after another, as one network: first clean, then enlarge."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from vsr.models.arch import Upscaler
from vsr.models.module import SRModule


class Chain(SRModule):
    """Runs each network on the result of the one before, clamped to 0..1."""

    def __init__(self, modules: Sequence[SRModule]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(modules)
        self.scale = math.prod(module.scale for module in modules)

    def forward(self, pixels: Tensor) -> Tensor:
        first, *others = self.steps
        pixels = first(pixels).float()
        for step in others:
            pixels = step(pixels.clamp(0, 1)).float()
        return pixels


def chain(upscalers: Sequence[Upscaler]) -> Upscaler:
    """Make one upscaler of several: factors multiply, halos add up in source pixels."""
    first, *others = upscalers
    scale, reach, multiple, dtypes = first.scale, float(first.halo), first.multiple_of, first.dtypes
    for upscaler in others:
        reach += upscaler.halo / scale
        multiple = math.lcm(multiple, upscaler.multiple_of // math.gcd(upscaler.multiple_of, scale))
        scale *= upscaler.scale
        dtypes = tuple(dtype for dtype in dtypes if dtype in upscaler.dtypes)
    return Upscaler(
        Chain([upscaler.module for upscaler in upscalers]),
        "+".join(upscaler.name for upscaler in upscalers),
        "+".join(upscaler.arch for upscaler in upscalers),
        scale,
        math.ceil(reach),
        multiple_of=multiple,
        dtypes=dtypes,
        alpha=all(upscaler.alpha for upscaler in upscalers),
        bounded=all(upscaler.bounded for upscaler in upscalers),
        prefers_one_tile=any(upscaler.prefers_one_tile for upscaler in upscalers),
        channels_last=all(upscaler.channels_last for upscaler in upscalers),
        foreign=any(upscaler.foreign for upscaler in upscalers),
        learned=any(upscaler.learned for upscaler in upscalers),
        card={"about": ", then ".join(upscaler.name for upscaler in upscalers)},
    )

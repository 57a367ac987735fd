"""Networks made of networks: grey and RGBA ones on RGB, and several one after another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vsr.models.arch import Upscaler
from vsr.models.interpolation import Interpolation
from vsr.models.module import SRModule

CHANNELS = (1, 3, 4)
_LUMA = (0.299, 0.587, 0.114)  # BT.601, which pictures are made grey with


class GreyOnColor(SRModule):
    """A grey network on RGB: it enlarges the luma, bicubic the colour, as is usual since SRCNN.

    (n, 3, h, w) to (n, 3, h * scale, w * scale): what it adds to grey is added to each channel.
    """

    def __init__(self, grey: SRModule) -> None:
        super().__init__()
        self.grey = grey
        self.scale, self.multiple_of = grey.scale, grey.multiple_of
        self.base = Interpolation("bicubic", grey.scale)

    def forward(self, pixels: Tensor) -> Tensor:
        pixels = pixels.float()
        red, green, blue = (pixels[:, n : n + 1] * share for n, share in enumerate(_LUMA))
        luma = red + green + blue
        coarse = self.base(torch.cat([pixels, luma], 1))  # (n, 4, h * scale, w * scale)
        return coarse[:, :3] + self.grey(luma).float() - coarse[:, 3:]


class Alpha(SRModule):
    """An RGBA network on RGB or RGBA: (n, 3 or 4, h, w) to as many channels; RGB is opaque."""

    alpha = True

    def __init__(self, network: SRModule) -> None:
        super().__init__()
        self.network = network
        self.scale, self.multiple_of = network.scale, network.multiple_of

    def forward(self, pixels: Tensor) -> Tensor:
        given = pixels.shape[1]
        if given == 3:
            pixels = torch.cat([pixels, torch.ones_like(pixels[:, :1])], 1)
        return self.network(pixels)[:, :given]


def on_color(module: SRModule) -> SRModule:
    """Returns a module that takes and returns RGB, adapted by what ``module.channels`` says."""
    if module.channels == 3:
        return module
    return GreyOnColor(module) if module.channels == 1 else Alpha(module)


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

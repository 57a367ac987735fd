"""Adapt networks for grey or RGBA pictures to RGB, so that an engine can run them on video."""

from __future__ import annotations

import torch
from torch import Tensor

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

"""Pictures as hard as pictures can be, to try networks with that may never have seen their like."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor

from vsr.infer.engine import Engine

SIDE = 48  # pixels


def extremes(side: int = SIDE) -> Iterator[tuple[str, Tensor]]:
    """Names and (1, 3, side, side) RGB 0..1: noise, corners of the colour cube, checks, specks."""
    dice = torch.Generator().manual_seed(3)

    def noise(channels: int = 3) -> Tensor:
        return torch.rand(1, channels, side, side, generator=dice)

    yield "noise", noise()
    yield "noise of pure colours", noise().round()
    yield "noise of black and white", noise(1).round().expand(1, 3, -1, -1)
    places = torch.arange(side)
    for cell in (1, 2, 5):
        checks = ((places[:, None] // cell + places // cell) % 2).float()
        yield f"checks of {cell} px", checks.expand(1, 3, -1, -1)
    for share in (0.01, 0.1):
        specks = (noise(1) < share) * noise().round()
        yield f"specks on black, {share:.0%}", specks
        yield f"specks on white, {share:.0%}", 1 - specks
    for corner in product((0.0, 1.0), repeat=3):
        yield f"flat {corner}", torch.tensor(corner).view(1, 3, 1, 1).expand(1, 3, side, side)


def lost_on(engine: Engine) -> list[str]:
    """The names of those of which the engine's network makes what is no picture."""
    lost: list[str] = []
    for name, pixels in extremes():
        engine.forget()
        before = engine.mended
        engine.upscale(pixels)
        if engine.mended > before:
            lost.append(name)
    return lost

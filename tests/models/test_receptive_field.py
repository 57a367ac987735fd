"""How far a network looks, by its operations, held to what one pixel that is no number spoils."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from vsr.models.profiling import ReceptiveField, on_meta_device, receptive_field

SIZE = 40, 48


class Through(nn.Module):
    """A network of a function and of a few convolutions that it may use."""

    def __init__(self, function: Callable[[Through, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.three = nn.Conv2d(3, 3, 3, padding=1)
        self.wide = nn.Conv2d(3, 3, 5, padding=4, dilation=2)
        self.valid = nn.Conv2d(3, 3, 3)
        self.more = nn.Conv2d(3, 12, 3, padding=1)
        self.cells = nn.Conv2d(12, 12, 3, padding=1)
        self.strided = nn.Conv2d(3, 3, 2, stride=2)
        self.norm = nn.BatchNorm2d(3)
        self._function = function

    def forward(self, pixels: Tensor) -> Tensor:
        return self._function(self, pixels)


def in_parts(net: Through, x: Tensor) -> Tensor:
    """Fills a tensor that was not made of the picture."""
    canvas = torch.zeros(x.shape, device=x.device)
    canvas[:, :, :20] = x[:, :, :20]
    canvas[:, :, 20:] = x[:, :, 20:]
    return net.wide(canvas)


def channel_norm(net: Through, x: Tensor) -> Tensor:
    x = net.three(x)
    centred = x - x.mean(1, keepdim=True)
    return centred / torch.sqrt(centred.pow(2).mean(1, keepdim=True) + 1e-6)


BOUNDED: dict[str, tuple[Callable[[Through, Tensor], Tensor], ReceptiveField]] = {
    "convolution": (lambda net, x: net.three(x), ReceptiveField(1, 1)),
    "a chain": (lambda net, x: torch.relu(net.norm(net.wide(net.three(x)))), ReceptiveField(5, 1)),
    "side by side": (lambda net, x: net.wide(x) + net.three(x), ReceptiveField(5, 1)),
    "on the large grid": (
        lambda net, x: net.three(functional.pixel_shuffle(net.more(x), 2)), ReceptiveField(2, 1),
    ),
    "on cells": (lambda net, x: net.cells(functional.pixel_unshuffle(x, 2)), ReceptiveField(3, 2)),
    "repeated": (lambda _, x: x.repeat_interleave(4, dim=1), ReceptiveField(0, 1)),
    "norm of each pixel": (channel_norm, ReceptiveField(1, 1)),
    "part of the channels": (
        lambda net, x: torch.cat([net.three(x)[:, :1], x.split([1, 2], 1)[1]], 1),
        ReceptiveField(1, 1),
    ),
    "padded and cut": (
        lambda net, x: net.valid(functional.pad(x, (3, 3, 3, 3), "reflect"))[..., 2:-2, 2:-2],
        ReceptiveField(8, 1),
    ),
    "bicubic": (
        lambda net, x: functional.interpolate(net.three(x), scale_factor=2, mode="bicubic"),
        ReceptiveField(3, 1),
    ),
}  # fmt: skip
UNBOUNDED: dict[str, Callable[[Through, Tensor], Tensor]] = {
    "mean": lambda _, x: x - x.mean((2, 3), keepdim=True),
    "group norm": lambda net, x: functional.group_norm(net.three(x), 1),
    "attention": lambda _, x: torch.softmax(x @ x.transpose(-1, -2), -1) @ x,
    "mirrored": lambda _, x: x.flip(-1),
    "rolled": lambda _, x: x.roll(3, 2),
    "turned": lambda _, x: x.transpose(-1, -2),
    "strided": lambda net, x: net.strided(x),
    "every other": lambda _, x: x[:, :, ::2],
    "shrunk": lambda _, x: functional.interpolate(x, scale_factor=0.5),
    "by its corners": lambda _, x: functional.interpolate(
        x, scale_factor=2, mode="bilinear", align_corners=True
    ),
    "in parts": in_parts,
    "by its numbers": lambda net, x: net.wide(x) if x.sum().item() > 0 else x,
    "as lines": lambda _, x: x.view(1, 3, 48, 40),
}


def spoiled(network: nn.Module) -> float:
    """How far away one pixel that is no number makes others so, in input pixels."""
    farthest = 0.0
    for at in (20, 21, 22, 23):  # each place in a cell
        picture = torch.rand(1, 3, *SIZE)
        picture[:, :, at, at] = math.nan
        with torch.no_grad():
            made = network(picture)
        scale = made.shape[-1] / SIZE[1]
        rows, columns = made[0].isnan().any(0).nonzero(as_tuple=True)
        for places in (rows, columns):
            # The pixels of the enlargement that stand for a pixel are no distance from it.
            low, high = at * scale, (at + 1) * scale - 1
            apart = torch.stack([low - places.min(), places.max() - high]).max()
            farthest = max(farthest, float(apart) / scale)
    return farthest


@pytest.mark.parametrize("name", BOUNDED)
def test_a_radius_is_never_too_small(name: str) -> None:
    function, expected = BOUNDED[name]
    network = Through(function).eval()
    assert receptive_field(network, 3, SIZE) == expected
    assert spoiled(network) <= expected.radius


@pytest.mark.parametrize("name", UNBOUNDED)
def test_what_is_not_known_to_stay_near_has_no_radius(name: str) -> None:
    assert receptive_field(Through(UNBOUNDED[name]).eval(), 3, SIZE) is None


def test_a_network_that_looks_at_numbers_is_run_on_some() -> None:
    def devices(network: nn.Module, device: torch.device) -> str:
        network(torch.zeros(1, 3, *SIZE, device=device))
        return device.type

    assert on_meta_device(Through(BOUNDED["a chain"][0]), devices) == "meta"
    assert on_meta_device(Through(UNBOUNDED["by its numbers"]), devices) == "cpu"

"""Faster activations on CPUs: fused into the convolution where there is one slope, else by rows.

An activation of its own reads and writes all of memory once more: a sixth of the time of `srgan`.
OneDNN's convolutions do not take a slope for each channel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsr.models.module import AnyModule


def fused(module: AnyModule) -> AnyModule:
    """``module``, changed in place: the same sums, rounded to its type once less.

    Fused is what follows in a sequence: a convolution and an activation with one slope for all
    channels, a pixel shuffle between them or not. Slopes of channels are applied by rows.
    """
    if not torch.backends.mkldnn.is_available():
        return module
    for parent in list(module.modules()):
        if isinstance(parent, nn.Sequential):
            _fuse(parent)
    return module


def _fuse(parent: nn.Sequential) -> None:
    last: tuple[str, nn.Conv2d] | None = None
    for name, layer in list(parent.named_children()):
        slope = _slope(layer)
        if type(layer) is nn.Conv2d and layer.padding_mode == "zeros":
            last = name, layer
        elif slope is not None and last is not None:
            setattr(parent, last[0], _Activated(last[1], slope))
            setattr(parent, name, nn.Identity())
            last = None
        elif isinstance(layer, nn.PReLU) and slope is None:
            setattr(parent, name, _Slopes(layer))
            last = None
        elif not isinstance(layer, nn.Identity | nn.PixelShuffle):
            last = None


def _slope(layer: nn.Module) -> float | None:
    """The factor of an activation for negative values; ``None`` for any other layer."""
    match layer:
        case nn.ReLU():
            return 0.0
        case nn.LeakyReLU():
            return layer.negative_slope
        case nn.PReLU() if layer.weight.numel() == 1:
            return layer.weight.item()
        case _:
            return None


class _Activated(nn.Module):
    """A convolution with a leaky ReLU fused into it: (n, c, h, w) to (n, o, h, w)."""

    def __init__(self, convolution: nn.Conv2d, slope: float) -> None:
        super().__init__()
        self.convolution, self.slope = convolution, slope

    def forward(self, x: Tensor) -> Tensor:
        it = self.convolution
        places = it.padding, it.stride, it.dilation, it.groups
        return _pointwise(x, it.weight, it.bias, *places, "leaky_relu", [self.slope], "")


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``conv2d`` by oneDNN always: torch gives small ones to other libraries, whose sums differ."""
    return _pointwise(x, weight, bias, (0, 0), (1, 1), (1, 1), 1, "none", [], "")


def _pointwise(*arguments: Any) -> Tensor:
    """The operator that torch.compile uses for a convolution with an activation."""
    run: Any = torch.ops.mkldnn._convolution_pointwise
    return run(*arguments)


class _Slopes(nn.Module):
    """A PReLU with a slope for each channel, (n, c, h, w) to the same, in loops along rows."""

    def __init__(self, activation: nn.PReLU) -> None:
        super().__init__()
        self.weight = activation.weight

    def forward(self, x: Tensor) -> Tensor:
        count, channels, height, width = x.shape
        if not x.is_contiguous(memory_format=torch.channels_last):
            return functional.prelu(x, self.weight)
        rows = x.permute(0, 2, 3, 1).reshape(count * height, width * channels)
        made = functional.prelu(rows, self.weight.repeat(width))
        return made.view(count, height, width, channels).permute(0, 3, 1, 2)

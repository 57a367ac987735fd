"""Layers that networks have while they train alone: quick activations, branches merged later."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class _Function(torch.autograd.Function):
    """The same numbers as torch's, but sums over places go as one reduction over a matrix."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]  # torch types it loosely
        ctx.save_for_backward(x, slope)
        return functional.prelu(x, slope)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:  # pyright: ignore[reportIncompatibleMethodOverride]  # torch types it loosely
        x, slope = ctx.saved_tensors
        # The gradient where x < 0, else 0: what relu's backward pass of -x lets through.
        below = torch.ops.aten.threshold_backward(gradient, -x, 0)
        products = (below * x).permute(0, 2, 3, 1)
        wide = torch.promote_types(x.dtype, torch.float32)  # half precision adds up too coarsely
        if slope.numel() == 1:
            for_slope = products.sum(dtype=wide).reshape(1)
        else:
            for_slope = products.reshape(-1, slope.numel()).sum(0, dtype=wide)
        steeper = (slope - 1).view(1, -1, 1, 1).to(gradient.dtype)
        return torch.addcmul(gradient, below, steeper), for_slope.to(slope.dtype)


class QuickPReLU(nn.PReLU):
    """(n, c, h, w) to the same; keys and values of its state are those of ``nn.PReLU``."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name that nn.PReLU has
        """The leaky activation with learnt slopes."""
        return _Function.apply(input, self.weight.to(input.dtype))  # pyright: ignore[reportReturnType, reportUnknownVariableType]  # apply() is untyped


def quicken(module: nn.Module) -> nn.Module:
    """Swap every ``nn.PReLU`` inside for the quick one, its parameter kept. Returns the module."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.PReLU:
                quick = QuickPReLU(child.num_parameters)
                quick.weight = child.weight
                setattr(parent, name, quick)
    return module


_EDGES = torch.tensor(
    [
        [[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]],
        [[1.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -1.0]],
        [[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]],
    ]
)
"""Sobel across, Sobel down, Laplacian."""
WIDEN = 2


class Branched(nn.Conv2d):
    """A 3x3 convolution with ``weight``, ``bias``, and branches that begin at zero."""

    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__(plain.in_channels, plain.out_channels, 3, padding=1)
        self.weight, self.bias = plain.weight, plain.bias
        outputs, inputs = plain.out_channels, plain.in_channels
        wide = WIDEN * inputs
        self.point = nn.Parameter(torch.zeros(outputs, inputs))
        self.widen = nn.Parameter(torch.randn(wide, inputs) / inputs**0.5)
        self.narrow = nn.Parameter(torch.zeros(outputs, wide, 3, 3))
        self.mix = nn.Parameter(torch.randn(len(_EDGES), outputs, inputs) / inputs**0.5)
        self.strength = nn.Parameter(torch.zeros(len(_EDGES), outputs, 1))
        self.register_buffer("edges", _EDGES.flatten(1), persistent=False)

    def kernel(self) -> Tensor:
        """The sum of all branches: (outputs, inputs, 3, 3) float32."""
        outputs, inputs = self.weight.shape[:2]
        deep = self.widen.t() @ self.narrow.flatten(2)  # (outputs, inputs, 9)
        edges = (self.strength * self.mix).flatten(1).t() @ self.get_buffer("edges")
        point = functional.pad(self.point.reshape(outputs, inputs, 1), (4, 4))
        return self.weight + (deep + edges.reshape(outputs, inputs, 9) + point).reshape(
            self.weight.shape
        )

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name that nn.Conv2d has
        """(n, inputs, h, w) to (n, outputs, h, w)."""
        with torch.autocast(input.device.type, enabled=False):
            kernel = self.kernel()
        return functional.conv2d(input, kernel.to(input.dtype), self.bias, padding=1)


def branch(module: nn.Module) -> nn.Module:
    """Give branches to every 3x3 convolution inside. The output stays; returns the module."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Conv2d and child.kernel_size == (3, 3) and child.padding == (1, 1):
                setattr(parent, name, Branched(child))
    return module


@torch.no_grad()
def merge(module: nn.Module) -> nn.Module:
    """A copy with one plain kernel in place of the branches."""
    module = copy.deepcopy(module)
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Branched):
                plain = nn.Conv2d(child.in_channels, child.out_channels, 3, padding=1)
                plain.weight = nn.Parameter(child.kernel())
                plain.bias = child.bias
                setattr(parent, name, plain)
    return module

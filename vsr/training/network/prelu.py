"""PReLU with a quick backward pass on a CPU, where torch's own takes a third of a step."""

from __future__ import annotations

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

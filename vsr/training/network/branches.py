"""Structural re-parameterisation: 3x3 convolutions that train as a sum of branches, ship as one.

The branches of ECBSR (Zhang et al., ACM MM 2021): 3x3, 1x1, 1x1 before 3x3, and 1x1 before a scaled
Sobel or Laplacian filter. All are linear, so their sum is one 3x3 kernel; here it is summed before
the convolution and not after (as in Hu et al., CVPR 2022), so a step costs little more than a plain
one's, and what is exported is the very kernel that was trained with.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

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

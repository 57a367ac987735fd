"""Networks whose targets lie in [-1, 1] while they train, as in SRGAN, and in 0..1 everywhere else.

The change is folded into the last convolution, exactly: y = 2 x - 1 doubles its weights and bias
and takes 1 from the bias. Inputs are 0..1 in both (Ledig et al. 2017, section 3.2).
"""

from __future__ import annotations

import torch
from torch import nn

from vsr.errors import OptionsError

_LAST = {"srresnet": "tail", "srcnn": "reconstruct"}


def _last(module: nn.Module, arch: str) -> nn.Conv2d:
    if arch not in _LAST:
        raise OptionsError(f"{arch} cannot be trained on targets in [-1, 1]: it adds to its input")
    layer = module.get_submodule(_LAST[arch])
    assert isinstance(layer, nn.Conv2d)
    return layer


@torch.no_grad()
def to_signed(module: nn.Module, arch: str) -> None:
    """Let a network that gives 0..1 give -1..1."""
    layer = _last(module, arch)
    layer.weight *= 2
    assert layer.bias is not None
    layer.bias *= 2
    layer.bias -= 1


@torch.no_grad()
def from_signed(module: nn.Module, arch: str) -> None:
    """Let a network that gives -1..1 give 0..1."""
    layer = _last(module, arch)
    layer.weight /= 2
    assert layer.bias is not None
    layer.bias /= 2
    layer.bias += 0.5

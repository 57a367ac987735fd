"""An exponential moving average of a network's weights: what is validated and exported."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Ema:
    """Keeps ``average``, a copy of ``module`` whose weights follow it slowly.

    The decay rises as (1 + n) / (10 + n) up to ``decay``, so that the random start is forgotten
    quickly. Running statistics of batch norm are copied: they are averages already.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.average = copy.deepcopy(module).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move a step towards ``module``."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        mine: list[Tensor] = list(self.average.parameters())
        fresh: list[Tensor] = [parameter.detach() for parameter in module.parameters()]
        torch._foreach_lerp_(mine, fresh, 1 - decay)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]  # no public name
        # All at once: on a GPU each copy of its own is a launch, and networks have up to a hundred.
        kept = list(self.average.buffers())
        if kept:
            torch._foreach_copy_(kept, list(module.buffers()))  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]

"""Profile a network: run it on torch's meta device, where only shapes are computed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

Found = TypeVar("Found")
SIDE = 64  # of the picture that costs are counted on


def on_meta_device(module: nn.Module, look: Callable[[nn.Module, torch.device], Found]) -> Found:
    """Call ``look`` with a copy of a network on the meta device, and return its result.

    Networks that decide by values cannot run there; ``look`` is then called with a copy on the CPU,
    which computes all of it.
    """
    # Some networks renew their weights as they run, which inference mode forbids without numbers.
    with torch.inference_mode(False), torch.no_grad():
        try:
            return look(copy.deepcopy(module).to("meta"), torch.device("meta"))
        except RuntimeError:  # "Tensor.item() cannot be called on meta tensors" and its like
            return look(copy.deepcopy(module).to("cpu"), torch.device("cpu"))


def multiply_adds(module: nn.Module) -> int:
    """Multiply-adds for each source pixel, of convolutions and matrix products."""

    def count(network: nn.Module, device: torch.device) -> int:
        with FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 3, SIDE, SIDE, device=device))
        return counter.get_total_flops()

    return round(on_meta_device(module, count) / 2 / SIDE**2)

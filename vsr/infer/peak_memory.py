"""Measure a computation's peak memory by counting every tensor storage while it lives.

Nothing need be computed for it: torch's meta device has tensors with shapes but no contents.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree  # pyright: ignore[reportPrivateUsage]  # no public name for it
from torch.utils._python_dispatch import TorchDispatchMode


def peak_bytes(function: Callable[[Tensor], object], example: Tensor) -> int:
    """Returns the most bytes alive at once while ``function(example)`` runs, without its input."""
    meter = _PeakMemoryMode()
    with torch.no_grad(), meter:
        function(example)
    return meter.peak


def largest_tensor(function: Callable[[Tensor], object], example: Tensor) -> int:
    """Elements of the largest tensor that ``function(example)`` makes on its way."""
    meter = _PeakMemoryMode()
    with torch.no_grad(), meter:
        function(example)
    return meter.largest


class _PeakMemoryMode(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self.largest = 0
        self._holders: Counter[int] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        before = {self._key(leaf) for leaf in _tensors((args, kwargs))}
        for tensor in _tensors(result):
            key = self._key(tensor)
            if key in before and not self._holders[key]:
                continue  # a view of the input or of a weight
            size = tensor.untyped_storage().nbytes()
            self.largest = max(self.largest, tensor.numel())
            if not self._holders[key]:
                self.live += size
                self.peak = max(self.peak, self.live)
            self._holders[key] += 1
            weakref.finalize(tensor, self._dropped, key, size)
        return result

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing here is compiled, and keeping out of it is a second of imports

    def _dropped(self, key: int, size: int) -> None:
        self._holders[key] -= 1
        if not self._holders[key]:
            self.live -= size

    @staticmethod
    def _key(tensor: Tensor) -> int:
        return tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage]  # identity


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in _pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]

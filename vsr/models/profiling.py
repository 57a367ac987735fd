"""Profile a network by running it on shapes alone: multiply-adds, and how far it looks."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils import _pytree  # pyright: ignore[reportPrivateUsage]  # no public name for it
from torch.utils._python_dispatch import TorchDispatchMode
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


_POINTWISE = {
    *("add", "sub", "rsub", "mul", "div", "neg", "abs", "exp", "pow", "sqrt", "rsqrt", "clamp"),
    *("clamp_min", "clamp_max", "relu", "leaky_relu", "prelu", "_prelu_kernel", "elu", "gelu"),
    *("silu", "mish", "sigmoid", "tanh", "hardswish", "hardsigmoid", "hardtanh", "softplus"),
    *("maximum", "minimum", "where", "detach", "clone", "alias", "contiguous", "_to_copy", "copy"),
    *("lift_fresh", "zeros_like", "ones_like", "empty_like", "fill", "dropout", "native_dropout"),
    *("_native_batch_norm_legit_no_training", "pixel_shuffle"),
}
_AXES = {
    **dict.fromkeys(("mean", "sum", "amax", "amin", "var", "cat", "_softmax"), 1),
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), 2),
}
"""Which argument names the axes that they work along."""
_VIEWS = {"view", "_unsafe_view", "unsqueeze", "squeeze", "expand", "_reshape_alias"}
_PADS = {"constant_pad_nd", "reflection_pad2d", "replication_pad2d"}
_ENLARGING = {
    "upsample_nearest2d": 0,
    **dict.fromkeys(("upsample_bilinear2d", "_upsample_bilinear2d_aa"), 1),
    **dict.fromkeys(("upsample_bicubic2d", "_upsample_bicubic2d_aa"), 2),
}
_RESIZING = {*_ENLARGING, "pixel_shuffle", "pixel_unshuffle"}


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """How far a network looks: a pixel's enlargement depends on none that is farther away."""

    radius: int
    """In source pixels, for windows that begin at multiples of ``cell``."""
    cell: int
    """Side of the squares that the network treats as one, in source pixels; 1 where it has none."""


def receptive_field(
    module: nn.Module, channels: int, size: tuple[int, int]
) -> ReceptiveField | None:
    """Returns a network's receptive field; ``None`` where it is unbounded or not known.

    ``size`` is a height and a width that the network takes.
    """
    picture = torch.zeros(1, channels, *size, device="meta")
    mode = _ReceptiveFieldMode(picture)
    try:
        with torch.inference_mode(False), torch.no_grad(), mode:
            copy.deepcopy(module).float().to("meta")(picture)
    except RuntimeError:  # it decides by values, which the meta device has not
        return None
    return ReceptiveField(math.ceil(mode.radius), mode.cell) if math.isfinite(mode.radius) else None


class _ReceptiveFieldMode(TorchDispatchMode):
    def __init__(self, picture: Tensor) -> None:
        super().__init__()
        self.radius, self.cell = 0.0, 1
        # What was made of the picture, and not of weights alone, with how many of its pixels stand
        # for one of the picture's. The tensors are kept, so that no id comes again.
        self._made = {id(picture): (picture, Fraction(1))}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        given = [
            self._made[id(leaf)] for leaf in _tensors((args, kwargs)) if id(leaf) in self._made
        ]
        if not given:
            return result
        before, scale = min(given, key=lambda item: item[1])
        name = str(func._schema.name).removeprefix("aten::").rstrip("_")
        made = _tensors(result)
        if func._schema.is_mutable and id(args[0]) not in self._made:
            self.radius = math.inf  # it goes on in a tensor that is not followed
        self.radius += max(_radius(name, args, before, tensor) for tensor in made) / scale
        if name in _RESIZING:
            scale *= Fraction(made[0].shape[-1], before.shape[-1])
        self.cell = math.lcm(self.cell, scale.denominator)
        self._made |= {id(tensor): (tensor, scale) for tensor in made}
        return result


def _radius(name: str, args: tuple[Any, ...], before: Tensor, after: Tensor) -> float:
    """The radius that one operation adds, in pixels of its own input ``before``."""
    if name in _POINTWISE:
        return 0
    if name in _AXES:
        place = _AXES[name]
        # What is not said is all of it, or the first axis: pictures of a batch.
        axes = args[place] if len(args) > place else None if place == 1 and name != "cat" else 0
        return 0 if axes is not None and _leading(axes, before.dim()) else math.inf
    if name in _VIEWS:
        return 0 if after.shape[-2:] == before.shape[-2:] else math.inf
    if name in _PADS:
        return max(abs(pad) for pad in args[1])
    if name in _ENLARGING:
        whole = all(n % m == 0 for n, m in zip(after.shape[-2:], before.shape[-2:], strict=True))
        cornered = name != "upsample_nearest2d" and args[2]  # phases that depend on the size
        return _ENLARGING[name] if whole and not cornered else math.inf
    if name == "native_batch_norm":  # by its own statistics only while it trains
        return math.inf if args[5] else 0
    if name == "convolution":
        kernel, stride, dilation, transposed = args[1].shape[2:], args[3], args[5], args[6]
        if transposed or before.dim() != 4 or any(step != 1 for step in stride):
            return math.inf
        return max(d * (k - 1) / 2 for d, k in zip(dilation, kernel, strict=True))
    if name == "pixel_unshuffle":
        return args[1] - 1  # where in its cell a pixel lies is not known
    if name == "slice":
        arguments: list[Any] = [*args, *(None, 0, 0, None, 1)[len(args) :]]
        axis: int = arguments[1]
        start, step = int(arguments[2] or 0), arguments[4]
        if _leading(axis, before.dim()):
            return 0
        return start % before.shape[axis] if step == 1 else math.inf
    return math.inf


def _leading(axes: Any, dims: int) -> bool:
    """Whether none of the axes is the picture's height or width, the last two."""
    return all(axis % dims < dims - 2 for axis in ([axes] if isinstance(axes, int) else axes))


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in _pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]

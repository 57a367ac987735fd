"""Architectures and upscalers: a module together with the facts that the engine needs."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vsr.errors import WeightsError
from vsr.models.module import AnyModule, OwnRadius, SRModule

MAX_HYPERPARAMETER = 4096  # of any hyper-parameter: no network of this kind comes near it
MAX_SCALE = 8
ALL_DTYPES = (torch.float16, torch.bfloat16, torch.float32)
MIN_HALO = 2
"""In source pixels: of the bicubic that enlarges alpha and colours outside of 0..1."""
MAX_EXACT_HALO, FADED_OVERLAP = 96, 48
"""In source pixels. A larger halo would be most of every tile: unless --overlap is given, such
tiles overlap by the second number and are cross-faded."""
Hyper: TypeAlias = int | float | str | bool
State: TypeAlias = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Arch:
    """One architecture: how to build it, and how to recognise it in a state dict."""

    name: str
    """Its name in the catalog and in files of weights."""
    summary: str
    """What it is, in a phrase."""
    build: Callable[..., SRModule]
    """Makes a module with fresh weights of all hyper-parameters."""
    defaults: Mapping[str, Hyper]
    """Every hyper-parameter with the value that it has unless told."""
    detect: Callable[[State], dict[str, Hyper] | None]
    """Returns the hyper-parameters that a state dict was built with, or ``None`` if it is of
    another architecture."""
    trained: bool = True
    """False for interpolations, which have no weights to load."""

    def module(self, hparams: Mapping[str, Hyper]) -> SRModule:
        """A fresh module; unknown or impossible hyper-parameters are a :class:`WeightsError`.

        They may come from a stranger's file, so they are bounded before anything is built.
        """
        unknown = sorted(set(hparams) - set(self.defaults))
        if unknown:
            raise WeightsError(
                f"{self.name} has no hyper-parameter {', '.join(unknown)}",
                hint=f"it has {', '.join(self.defaults)}",
            )
        for key, value in hparams.items():
            most = MAX_SCALE if key == "scale" else MAX_HYPERPARAMETER
            known = type(value) is type(self.defaults[key])  # a bool is no int here
            if not known or (isinstance(value, int | float) and not 1 <= value <= most):
                raise WeightsError(
                    f"{self.name} cannot have {key} = {value!r}",
                    hint=f"it has {key} = {self.defaults[key]!r} unless told; from 1 to {most}",
                )
        return self.build(**{**self.defaults, **hparams})


@dataclass(frozen=True, slots=True)
class Upscaler:
    """A module ready to enlarge, with the facts that the engine needs."""

    module: SRModule
    """Takes (n, 3, h, w) float32 RGB 0..1, returns (n, 3, h * scale, w * scale) floats, and casts
    to its own weights' type inside."""
    name: str
    """What the model is called: its name, or that of its file without the suffix."""
    arch: str
    """The architecture's name; spandrel's for those that it knows and we do not."""
    scale: int
    """How many times each side is enlarged."""
    halo: int
    """Receptive-field radius: how many source pixels around a pixel its output depends on. Where
    that is unbounded, what tiles overlap by instead."""
    multiple_of: int = 1
    """Windows of a larger picture must begin at multiples of so many source pixels."""
    dtypes: tuple[torch.dtype, ...] = ALL_DTYPES
    """The types that its weights may take, the preferred one first."""
    alpha: bool = False
    """Whether the module takes (n, 4, h, w), RGBA, too."""
    bounded: bool = True
    """False where the network looks farther than ``halo``."""
    prefers_one_tile: bool = False
    """Whether its pictures are better not tiled at all."""
    channels_last: bool = True
    """Whether it bears memory in which a pixel's channels are neighbours."""
    foreign: bool = False
    """Whether its weights are not of this project's format."""
    learned: bool = True
    """False for interpolations, which may be given any numbers and need no watching."""
    state_channels: int = 0
    """Channels of state that a recurrent network keeps of each pixel; 0 for others."""
    card: Mapping[str, str] = field(default_factory=dict[str, str])
    """What is told of the weights: what they are for, author, licence, training and the like."""

    @property
    def parameters(self) -> int:
        """The number of learnt values."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    @property
    def exact(self) -> bool:
        """Whether tiles overlap by the whole halo, unless --overlap says otherwise."""
        return self.bounded and self.halo <= MAX_EXACT_HALO

    @property
    def note(self) -> str:
        """A sentence about tiles that are not exact; empty where they are."""
        if self.exact:
            return ""
        reach = f"{self.halo} px around each pixel" if self.bounded else "far around each pixel"
        remedy = f", unless --overlap {self.halo} is given" if self.bounded else ""
        advice = "; it is better not tiled at all" if self.prefers_one_tile else ""
        return (
            f"{self.name} looks {reach}: tiles of a frame that does not fit into one are "
            f"cross-faded, not exact{remedy}{advice}"
        )

    def overlap(self, asked: int | None, margin: int) -> int:
        """Source pixels that neighbouring tiles share: what was asked, but no more than is of use.

        ``margin`` is what the output needs beyond the halo, in source pixels.
        """
        if asked is None:
            return (self.halo if self.exact else min(self.halo, FADED_OVERLAP)) + margin
        return min(asked, self.halo + margin) if self.bounded else asked

    def is_exact(self, overlap: int, margin: int) -> bool:
        """Whether tiles with this overlap equal the untiled frame, and need no cross-fade."""
        return self.bounded and overlap >= self.halo + margin

    @property
    def fingerprint(self) -> str:
        """A hash of the name and of every weight; equal ones give equal output."""
        digest = hashlib.sha256(f"{self.arch} {self.name} {self.scale}".encode())
        for key, value in self.module.state_dict().items():
            digest.update(key.encode())
            digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def make_upscaler(
    module: SRModule,
    *,
    name: str,
    arch: str,
    dtypes: tuple[torch.dtype, ...] = ALL_DTYPES,
    foreign: bool = False,
    learned: bool = True,
    card: Mapping[str, str] | None = None,
) -> Upscaler:
    """Make an upscaler of a module: scale and halo are measured, the rest it states itself."""
    module = module.eval()
    scale, halo = measure(module)
    halo = max(halo, MIN_HALO)
    return Upscaler(
        module,
        name,
        arch,
        scale,
        halo,
        multiple_of=module.multiple_of,
        dtypes=dtypes,
        alpha=module.alpha,
        foreign=foreign,
        learned=learned,
        state_channels=module.state_channels,
        card=dict(card or {}),
    )


@torch.no_grad()
def measure(module: nn.Module) -> tuple[int, int]:
    """Scale and receptive-field radius of a convolutional module, in input pixels.

    Every convolution of kernel k and dilation d that runs at s times the input's size adds
    d * (k - 1) / 2 / s; a module with a ``radius`` of its own (an interpolation) adds that for all
    that it holds. Branches side by side are added up, unless their module has one: so the radius is
    exact for a chain and never too small.
    """
    side, radius = 16, 0.0

    def add(layer: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal radius
        del output
        reach = layer.radius if isinstance(layer, OwnRadius) else 0.0
        if isinstance(layer, nn.Conv2d) and not reach:
            spans = zip(layer.dilation, layer.kernel_size, strict=True)
            reach = max(dilation * (kernel - 1) / 2 for dilation, kernel in spans)
        radius += reach / (args[0].shape[-1] / side)

    probe = copy.deepcopy(module).float().cpu()  # sooner done than torch's imports for shapes alone
    hooks = [layer.register_forward_hook(add) for layer in _counted(probe)]
    enlarged = probe(torch.zeros(1, 3, side, side))
    for hook in hooks:
        hook.remove()
    return enlarged.shape[-1] // side, math.ceil(radius)


def _counted(module: nn.Module) -> Iterator[nn.Module]:
    """The convolutions of a module, and the parts that state a radius."""
    if isinstance(module, nn.Conv2d | OwnRadius):
        yield module
    else:
        for child in module.children():
            yield from _counted(child)


def fuse_batchnorm(module: AnyModule) -> AnyModule:
    """Returns a copy with every batch norm fused into the convolution before it; same output."""
    module = copy.deepcopy(module).eval()
    for parent in list(module.modules()):
        if not isinstance(parent, nn.Sequential):
            continue
        children = list(parent.named_children())
        for (name, layer), (follower, norm) in pairwise(children):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(layer, norm))
                setattr(parent, follower, nn.Identity())
    return module


def indices(state: State, prefix: str) -> list[int]:
    """The numbers that stand after ``prefix.`` in a state dict's keys, sorted."""
    found = {
        int(key[len(prefix) + 1 :].split(".")[0])
        for key in state
        if key.startswith(f"{prefix}.") and key[len(prefix) + 1 :].split(".")[0].isdigit()
    }
    return sorted(found)

"""What a model is, before it is used: its shape, its cost, and how it does on a video.

Counted on torch's meta device where it can be; only the speed and the video are run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from vsr import weights
from vsr.evaluation.sanity_check import SanityResult, sanity_check
from vsr.evaluation.scores import milliseconds
from vsr.infer.engine import Engine
from vsr.infer.sizing import peak_bytes
from vsr.models.arch import Upscaler
from vsr.models.catalog import ARCHS
from vsr.models.profiling import SIDE, multiply_adds, on_meta_device
from vsr.options import EngineOptions


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a model is, and what it costs."""

    name: str
    """Its name."""
    arch: str
    """Name of its architecture."""
    hparams: dict[str, object]
    """Hyper-parameters of its architecture; empty where the catalog does not train it."""
    scale: int
    """How many times it enlarges each side."""
    parameters: int
    """How many weights it has."""
    receptive_field_px: int | None
    """Side in source pixels of the square that a pixel depends on; ``None``: all."""
    tiles: str
    """How its tiles are joined, as a clause."""
    multiple_of: int
    """Windows begin at multiples of so many source pixels."""
    dtypes: tuple[str, ...]
    """Types that it may run in, as torch names them."""
    multiply_adds_per_pixel: int
    """Multiply-adds for each source pixel."""
    bytes_per_megapixel: int
    """Peak bytes of the network's own tensors for a million source pixels."""
    milliseconds: float
    """Median time for a picture of 160x90."""
    placement: str
    """The device and type that bytes and time are for."""
    foreign: bool
    """Whether its weights are of another project."""
    card: dict[str, str]
    """What the file says of its weights, by key."""
    state_channels: int = 0
    """What a recurrent network keeps of each source pixel for the next frame; else 0."""
    verdict: SanityResult | None = None
    """How it does on the footage given; ``None`` without any, or where that is too small."""


def inspect(name: str, options: EngineOptions | None = None, on: Path | None = None) -> Inspection:
    """Everything about a model, by name or path; ``on`` is footage to try it on.

    ``milliseconds`` are for 160x90, ``bytes_per_megapixel`` the network's own peak, both placed as
    ``options`` say.
    """
    upscaler = weights.load(name)
    engine = Engine(upscaler, options)
    return Inspection(
        name=upscaler.name,
        arch=upscaler.arch,
        hparams=_hparams(name, upscaler),
        scale=upscaler.scale,
        parameters=upscaler.parameters,
        receptive_field_px=2 * upscaler.halo + 1 if upscaler.bounded else None,
        tiles=upscaler.note or "exactly, by its receptive field",
        multiple_of=upscaler.multiple_of,
        dtypes=tuple(str(dtype).removeprefix("torch.") for dtype in upscaler.dtypes),
        multiply_adds_per_pixel=multiply_adds(upscaler.module),
        bytes_per_megapixel=round(bytes_per_pixel(upscaler, engine.placement.dtype) * 1e6),
        milliseconds=milliseconds(engine),
        placement=str(engine.placement),
        foreign=upscaler.foreign,
        card=dict(upscaler.card),
        state_channels=upscaler.state_channels,
        verdict=None if on is None else sanity_check(engine, on),
    )


def describe(name: str) -> dict[str, object]:
    """The facts of one model that cost nothing, by name or path."""
    upscaler = weights.load(name)
    return {
        "name": upscaler.name,
        "arch": upscaler.arch,
        "scale": upscaler.scale,
        "parameters": upscaler.parameters,
        "receptive_field_px": 2 * upscaler.halo + 1 if upscaler.bounded else None,
        "dtypes": [str(dtype).removeprefix("torch.") for dtype in upscaler.dtypes],
        **({"state_channels": upscaler.state_channels} if upscaler.state_channels else {}),
        **upscaler.card,
    }


def bytes_per_pixel(upscaler: Upscaler, dtype: torch.dtype) -> float:
    """The most that the network's tensors take at once for each input pixel."""

    def count(network: nn.Module, device: torch.device) -> int:
        return peak_bytes(network.to(dtype), torch.zeros(1, 3, SIDE, SIDE, device=device))

    return on_meta_device(upscaler.module, count) / SIDE**2


def _hparams(name: str, upscaler: Upscaler) -> dict[str, object]:
    if upscaler.arch not in ARCHS or not ARCHS[upscaler.arch].trained:
        return {}
    stored = weights.find(name)
    return {**stored.arch.defaults, **stored.hparams}

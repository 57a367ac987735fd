"""Networks that this project does not know, by way of spandrel (the extra ``vsr[models]``).

Spandrel recognises dozens of architectures by their keys. Files are read here all the same, without
running code; what it says of a network (factor, channels, sizes, precision, tiling) is believed,
and how far the network looks is found from the operations that it runs.
"""

from __future__ import annotations

import importlib
import math
import textwrap
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vsr.errors import MissingExtra, WeightsError
from vsr.models.adapters import CHANNELS, on_color
from vsr.models.arch import ALL_DTYPES, FADED_OVERLAP, State, Upscaler
from vsr.models.interpolation import KERNELS
from vsr.models.module import SRModule
from vsr.models.profiling import on_meta_device, receptive_field

WINDOW = 16
"""Attention mostly works in windows of 8 or 16 pixels: tiles that begin with one fit best."""
# What a network's own code raises when a state dict is nearly but not quite its own.
_MISFIT = (
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
)


class Described(SRModule):
    """A network as spandrel describes it: (n, channels, h, w) 0..1 to the enlarged, of any size."""

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.network: nn.Module = descriptor.model
        self.scale = int(descriptor.scale)
        self.channels = int(descriptor.input_channels)
        # Its call as it is below its inference mode, which not every network bears everywhere; it
        # holds the same module, in copies of both too.
        call: Any = type(descriptor).__call__
        self._call: Callable[[Tensor], Tensor] = partial(call.__wrapped__, descriptor)

    def forward(self, pixels: Tensor) -> Tensor:
        """Spandrel pads to the sizes that the network wants, cuts them off, and keeps to 0..1.

        Its call is for one picture: some networks choose their way by it. Some change their input.
        """
        pixels = pixels.to(next(self.network.parameters()).dtype)
        return torch.cat([self._call(pixels[n : n + 1].clone()) for n in range(len(pixels))])


def third_party(path: Path, state: State, ours: WeightsError) -> Upscaler:
    """The network of a state dict that no architecture of ours fits, which ``ours`` says.

    That is raised where spandrel knows no better, or is not there.
    """
    spandrel = _spandrel(ours)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its networks' own, old code
            descriptor: Any = spandrel.ModelLoader().load_from_state_dict(dict(state))
    except spandrel.UnsupportedModelError:
        raise ours from None
    except _MISFIT as error:
        raise WeightsError(
            f"{path} does not fit the network that its keys name: {_said(error)}",
            hint="the file is damaged, or of a variant that spandrel does not know",
        ) from error
    channels = (int(descriptor.input_channels), int(descriptor.output_channels))
    if not isinstance(descriptor, spandrel.ImageModelDescriptor) or channels[0] != channels[1] or (
        channels[0] not in CHANNELS
    ):  # fmt: skip
        raise WeightsError(
            f"{path} ({descriptor.architecture.name}) does not make pictures of pictures alone: "
            f"{channels[0]} channels go in, {channels[1]} come out",
            hint="networks for grey, RGB and RGBA pictures can be used",
        )
    if not all(bool(torch.isfinite(value).all()) for value in descriptor.model.parameters()):
        raise WeightsError(f"{path} holds numbers that are not finite: its training went wrong")
    return _upscaler(path, descriptor)


def _upscaler(path: Path, descriptor: Any) -> Upscaler:
    needs = descriptor.size_requirements
    multiple = max(1, int(needs.multiple_of))
    high = math.ceil(max(64, int(needs.minimum)) / multiple) * multiple
    size = high, math.ceil((high + 24) / multiple) * multiple
    described = Described(descriptor).float().eval()
    try:
        _run(described, torch.float32, size)
    except _MISFIT as error:
        raise WeightsError(
            f"{path} ({descriptor.architecture.name}) cannot be run on pictures of "
            f"{size[1]}x{size[0]}: {_said(error)}",
            hint="networks for one size alone, such as those for faces, cannot be used",
        ) from error
    promised = {
        torch.float16: bool(descriptor.supports_half),
        torch.bfloat16: bool(descriptor.supports_bfloat16),
        torch.float32: True,
    }
    found = receptive_field(described, described.channels, size)
    module = on_color(described)
    tags = ", ".join(str(tag) for tag in descriptor.tags)
    about = f"{descriptor.purpose} by {descriptor.architecture.name}"
    return Upscaler(
        module,
        path.stem,
        str(descriptor.architecture.id),
        described.scale,
        # The colour of a grey network is bicubic's.
        FADED_OVERLAP if found is None else max(found.radius, KERNELS["bicubic"][1]),
        multiple_of=math.lcm(multiple, WINDOW if found is None else found.cell),
        dtypes=tuple(
            kind for kind in ALL_DTYPES if promised[kind] and _runs(described, kind, size)
        ),
        alpha=module.alpha,
        bounded=found is not None,
        prefers_one_tile=descriptor.tiling.name != "SUPPORTED",
        # Attention takes the order of numbers in memory for granted, and gains by no other.
        channels_last=found is not None,
        foreign=True,
        card={"about": f"{about} ({tags})" if tags else about},
    )


def _runs(described: Described, dtype: torch.dtype, size: tuple[int, int]) -> bool:
    """Whether it really does in that precision: some make masks in float32 for larger pictures."""
    try:
        _run(described, dtype, size)
    except _MISFIT:
        return False
    return True


def _run(described: Described, dtype: torch.dtype, size: tuple[int, int]) -> None:
    def look(network: nn.Module, device: torch.device) -> None:
        network.to(dtype)(torch.zeros(1, described.channels, *size, device=device))

    on_meta_device(described, look)


def _said(error: Exception) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    return textwrap.shorten(said, 300, placeholder=" …")


def _spandrel(ours: WeightsError) -> Any:
    try:
        return importlib.import_module("spandrel")
    except ModuleNotFoundError:
        raise ours from None
    except (ImportError, RuntimeError) as error:
        # torchvision of another build than torch: "operator torchvision::nms does not exist"
        raise MissingExtra(
            f"spandrel is installed, but cannot be imported: {_said(error)}",
            hint="torch and torchvision must be of one build, both for CUDA or both for the CPU",
        ) from error

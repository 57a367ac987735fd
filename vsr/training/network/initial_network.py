"""The network that a training begins with: fresh, or from weights of the same architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from vsr import weights
from vsr.errors import OptionsError, WeightsError
from vsr.models.arch import Hyper
from vsr.models.catalog import ARCHS
from vsr.models.module import SRModule
from vsr.training.options import TrainOptions
from vsr.training.recipe import Recipe


@dataclass(frozen=True, slots=True, eq=False)
class InitialNetwork:
    """The network that a training begins with."""

    module: SRModule
    """Takes and gives 0..1, with batch norms as they train."""
    hparams: Mapping[str, Hyper]
    """Every hyper-parameter that it was built with."""


def initial_network(recipe: Recipe, options: TrainOptions) -> InitialNetwork:
    """Seeded fresh weights, or those of ``--init``, whose hyper-parameters win over the recipe's.

    Raises :class:`WeightsError` for weights of another architecture.
    """
    arch = ARCHS[recipe.arch]
    torch.manual_seed(options.seed)
    if options.init is None:
        return InitialNetwork(arch.module(recipe.network), recipe.network)
    path = _path(options.init)
    metadata, state = weights.read_file(path)
    found, read = weights.identify(metadata, state, path)
    if found.name != recipe.arch:
        raise WeightsError(
            f"{path} is of architecture {found.name}, but the recipe {recipe.name} trains "
            f"{recipe.arch}",
            hint="give weights of the same architecture, or another --arch",
        )
    hparams = {**arch.defaults, **read}
    for name, value in options.net:
        if hparams[name] != value:
            raise OptionsError(
                f"--net {name}={value} contradicts {path}, which has {name}={hparams[name]}",
                hint="leave --net away with --init",
            )
    module = weights.fitted(arch, hparams, state, path)
    return InitialNetwork(module.float(), hparams)


def _path(choice: str) -> Path:
    path = weights.path_of(choice)
    if path is None:
        shipped = "".join(f", or {name}" for name in weights.index())
        raise WeightsError(
            f"there are no weights {choice!r} to start from",
            hint=f"give a .safetensors or .pth file{shipped}",
        )
    return path

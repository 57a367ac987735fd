"""What leaves a training: half-precision weights that `vsr upscale` takes, in 0..1, and a card."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from vsr import weights
from vsr.errors import OptionsError
from vsr.event_rows import plain as as_plain
from vsr.media.atomic import write_whole
from vsr.models.arch import Hyper
from vsr.models.catalog import ARCHS
from vsr.models.module import AnyModule, SRModule
from vsr.models.profiling import multiply_adds
from vsr.training.network.layers import merge
from vsr.training.recipe import Recipe
from vsr.version import __version__

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


def plain(module: nn.Module, recipe: Recipe, hparams: Mapping[str, Hyper]) -> SRModule:
    """The network as it is shipped: 0..1 in and out, branches merged, on the host."""
    fresh = ARCHS[recipe.arch].module(hparams)
    merged = merge(module).state_dict()
    fresh.load_state_dict({name: value.float().cpu() for name, value in merged.items()})
    if recipe.signed:
        from_signed(fresh, recipe.arch)
    return fresh.eval()


def rounded(module: AnyModule) -> AnyModule:
    """A copy whose weights have the precision that the file keeps, as float32."""
    return copy.deepcopy(module).half().float()


def save(
    path: Path,
    module: nn.Module,
    *,
    recipe: Recipe,
    hparams: Mapping[str, Hyper],
    facts: Mapping[str, str],
    metrics: Mapping[str, float],
) -> None:
    """Write ``path`` and its card ``path.with_suffix(".md")``. ``module`` is :func:`plain`'s."""
    measured = {name: round(value, 5) for name, value in metrics.items()}
    card = {
        "recipe": recipe.name,
        "scale": str(recipe.scale),
        "metrics": json.dumps(as_plain(measured), allow_nan=False),
        "version": __version__,
        **facts,
    }
    weights.save(path, module, arch=recipe.arch, hparams=hparams, card=card)
    text = _card(path, module, recipe, hparams, facts, measured)
    write_whole(path.with_suffix(".md"), text.encode(errors="replace"))


def _card(
    path: Path,
    module: nn.Module,
    recipe: Recipe,
    hparams: Mapping[str, Hyper],
    facts: Mapping[str, str],
    metrics: Mapping[str, float],
) -> str:
    rows = {
        "architecture": f"{recipe.arch} ({', '.join(f'{k} {v}' for k, v in hparams.items())})",
        "parameters": f"{parameters_of(module):,}",
        "multiply-adds": f"{multiply_adds(module):,} per input pixel",
        "recipe": f"{recipe.name}: {recipe.summary}",
        **facts,
        **{f"validation {name}": f"{value:g}" for name, value in metrics.items()},
        "version": f"vsr {__version__}",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return (
        f"# {path.stem}\n\nEnlarges {recipe.scale} times. Use it with "
        f"`vsr upscale VIDEO --model {path.name}`.\n\n| | |\n|---|---|\n{table}\n\n"
        "PSNR and SSIM are of luma with 4 px shaved, on pictures that were held out.\n"
    )


def parameters_of(module: nn.Module) -> int:
    """How many numbers are learnt."""
    learnt: list[torch.Tensor] = list(module.parameters())
    return sum(parameter.numel() for parameter in learnt)

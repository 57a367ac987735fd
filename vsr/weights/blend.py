"""Networks between networks: two sets of weights of one shape, mixed number by number.

ESRGAN calls it network interpolation (Wang et al. 2018, section 3.4), Real-ESRGAN moves the
strength of its general network's denoising by it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from vsr.errors import OptionsError, WeightsError
from vsr.weights.files import Stored, read

_GENERAL = re.compile(r"-general(-wdn)?-")


def blend(first: Stored, second: Stored, alpha: float) -> Stored:
    """``(1 - alpha) * first + alpha * second`` for every number, in float32.

    Licences that their cards state go on together in its own.
    That is a network between the two where one was trained on from the other, and noise elsewhere:
    no file says which. Raises :class:`WeightsError` where they are not of one shape.
    """
    if not 0 <= alpha <= 1:
        raise OptionsError(f"alpha must be from 0 to 1, got {alpha:g}")
    for stored in (first, second):
        stored.module()  # each must be whole by itself
    shapes = [{key: value.shape for key, value in s.state.items()} for s in (first, second)]
    kinds = [(s.arch.name, {**s.arch.defaults, **s.hparams}) for s in (first, second)]
    if shapes[0] != shapes[1] or kinds[0] != kinds[1]:
        raise WeightsError(
            f"{first.path} ({_said(first)}) and {second.path} ({_said(second)}) cannot be blended",
            hint="both must be of one architecture and of one size",
        )
    state = {key: _mixed(value, second.state[key], alpha) for key, value in first.state.items()}
    about = f"{1 - alpha:.4g} x {first.path.stem} + {alpha:.4g} x {second.path.stem}"
    licences = [stored.card["licence"] for stored in (first, second) if "licence" in stored.card]
    card = {"licence": " and ".join(dict.fromkeys(licences))} if licences else {}
    return replace(first, state=state, card={"about": about, **card})


def denoising(path: Path, strength: float) -> Stored:
    """The general network of Real-ESRGAN at a strength of denoising, from it and its twin.

    1 is realesr-general-x4v3, 0 realesr-general-wdn-x4v3 ("with denoise": trained on noisy
    targets), and both must lie in one folder.
    """
    match = _GENERAL.search(path.name)
    if match is None:
        raise OptionsError(
            f"--denoise is for realesr-general-x4v3.pth and its twin, not for {path}",
            hint="for other networks: vsr models blend A B --alpha",
        )
    strong, weak = (
        path.with_name(_GENERAL.sub(name, path.name, count=1))
        for name in ("-general-", "-general-wdn-")
    )
    for twin in (strong, weak):
        if not twin.is_file():
            raise WeightsError(
                f"--denoise needs two files, and there is no {twin}",
                hint="both are published with Real-ESRGAN v0.2.5.0; see docs/guide/models.md",
            )
    made = blend(read(strong), read(weak), 1 - strength)
    return replace(made, path=path)


def _mixed(first: Tensor, second: Tensor, alpha: float) -> Tensor:
    """Counters of batch norms are no numbers to mix."""
    if not first.is_floating_point():
        return first
    return torch.lerp(first.float(), second.float(), alpha)


def _said(stored: Stored) -> str:
    hparams = ", ".join(f"{key} {value}" for key, value in stored.hparams.items())
    return f"{stored.arch.name}: {hparams}"

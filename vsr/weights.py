"""Weights on disk: the index of what is shipped, strict loading, and saving that loses nothing.

A file is safetensors; its metadata rebuild the module: format, arch, hparams, scale, and a card. A
key too many, a key too few or another shape is an error, never ignored.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]  # no stubs
from torch import Tensor, nn

from vsr.errors import WeightsError
from vsr.models.arch import Arch, Hyper, State, Upscaler, folded, make_upscaler
from vsr.models.catalog import ARCHS

FORMAT = "vsr-1"
DEFAULTS = {"cpu": "compact"}
"""The best model of each type of device. Others get ``compact``, too, until ``srgan`` is better."""
MAX_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Entry:
    """One table of ``weights/index.toml``: shipped weights, with what they are good at.

    ``psnr`` is luma PSNR on Set5, Set14 and BSD100 as `vsr eval` measures it; ``milliseconds`` are
    for 160x90 on two cores of a CPU with AMX.
    """

    name: str
    file: str
    sha256: str
    summary: str
    psnr: list[float]
    milliseconds: float


def folder() -> Path:
    """Where the shipped weights lie: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "shipped_weights"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "weights"


@cache
def index() -> dict[str, Entry]:
    """Shipped weights by name; empty where there are none."""
    path = folder() / "index.toml"
    if not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return {name: Entry(name=name, **row) for name, row in table.items()}
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise WeightsError(f"the index of weights is damaged: {path}: {error}") from error


def names() -> list[str]:
    """Every name that ``load`` takes: shipped weights first, then interpolations."""
    return [*index(), *(name for name, arch in ARCHS.items() if not arch.trained)]


def default_model(device: str) -> str:
    """The model that ``auto`` means on a device type ("cpu", "cuda", "mps"): the one place."""
    return DEFAULTS.get(device, "compact")


def load(name_or_path: str | os.PathLike[str]) -> Upscaler:
    """The upscaler of a shipped name, an interpolation, or a safetensors file; norms are folded.

    Raises :class:`WeightsError` for an unknown name and for a file that is missing, damaged,
    altered, or does not fit the architecture it names.
    """
    name = os.fspath(name_or_path)
    arch = ARCHS.get(name)
    if arch is not None and not arch.trained:
        return make_upscaler(
            arch.module({}),
            name=name,
            arch=name,
            dtypes=(torch.float32,),
            card={"about": arch.summary},
        )
    entry = index().get(name)
    if entry is not None:
        path = folder() / entry.file
        _check_hash(path, entry)
        return _read(path, name)
    if Path(name).is_file():
        return _read(Path(name), Path(name).stem)
    if arch is not None:
        raise WeightsError(
            f"no trained weights for {name!r} are shipped with this version",
            hint=f"give a path to weights, or one of: {', '.join(names())}",
        )
    raise WeightsError(
        f"there is no model {name!r}, neither by that name nor as a file",
        hint=f"one of: {', '.join(names())}, or a path to .safetensors weights",
    )


def save(
    path: str | os.PathLike[str],
    module: nn.Module,
    *,
    arch: str,
    hparams: Mapping[str, Hyper],
    card: Mapping[str, str] | None = None,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write weights and what rebuilds them, atomically. ``card`` holds free text by key."""
    path = Path(path)
    tensors = {
        key: (value.to(dtype) if value.is_floating_point() else value).contiguous().cpu()
        for key, value in module.state_dict().items()
    }
    metadata = {"format": FORMAT, "arch": arch, "hparams": json.dumps(dict(hparams))}
    part = path.with_name(path.name + ".part")
    try:
        save_file(tensors, part, {**(card or {}), **metadata})
        os.replace(part, path)
    except OSError as error:
        raise WeightsError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def read_file(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a safetensors file. Raises :class:`WeightsError`.

    The format checks that its tensors fill the file exactly, so memory is bounded by the file.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise WeightsError(f"{path} has more than {MAX_BYTES >> 20} MB: no weights for this")
        return _contents(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is not a readable safetensors file: {error}",
            hint="weights of `vsr train` and of `vsr models` end in .safetensors",
        ) from error


def _read(path: Path, name: str) -> Upscaler:
    metadata, state = read_file(path)
    arch, hparams = identify(metadata, state, path)
    module = fitted(arch, hparams, state, path)
    if not all(bool(torch.isfinite(value).all()) for value in state.values()):
        raise WeightsError(f"{path} holds numbers that are not finite: its training went wrong")
    card = {key: value for key, value in metadata.items() if key not in ("format", "hparams")}
    return make_upscaler(folded(module.float()), name=name, arch=arch.name, card=card)


def fitted(arch: Arch, hparams: Mapping[str, Hyper], state: State, path: Path) -> nn.Module:
    """A module with exactly these weights: a key too many or too few is a :class:`WeightsError`.

    They are laid on a module without memory first: what a file claims costs nothing until it fits.
    """
    if any(value.is_complex() or value.dtype == torch.bool for value in state.values()):
        raise WeightsError(f"{path} holds numbers that are no weights: complex ones, or yes and no")
    try:
        with torch.device("meta"):
            arch.module(hparams).load_state_dict(dict(state), strict=True, assign=True)
        module = arch.module(hparams)
        module.load_state_dict(state, strict=True)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error.message}", hint=error.hint) from error
    except RuntimeError as error:
        raise WeightsError(
            f"{path} does not fit {arch.name} with {dict(hparams)}: "
            + " ".join(str(error).split("\n\t")[1:]).strip(),
            hint="the file is damaged, of another version, or its batch norms were folded",
        ) from error
    return module


def _contents(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    reader: Any = safe_open(path, framework="pt")  # it has no stubs
    with reader as file:
        return file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()}


def identify(
    metadata: Mapping[str, str], state: Mapping[str, Tensor], path: Path
) -> tuple[Arch, Mapping[str, Hyper]]:
    """Architecture and hyper-parameters, from the metadata or else from the keys and shapes."""
    if metadata.get("format") == FORMAT:
        arch = ARCHS.get(metadata.get("arch", ""))
        try:
            hparams: object = json.loads(metadata.get("hparams", ""))
        except (ValueError, RecursionError) as error:  # numbers of many digits, lists in lists
            raise WeightsError(f"{path} has damaged metadata: {error}") from error
        if arch is None or not arch.trained or not isinstance(hparams, dict):
            raise WeightsError(
                f"{path} is of architecture {metadata.get('arch')!r}, which this version lacks",
                hint=f"known are {', '.join(name for name, a in ARCHS.items() if a.trained)}",
            )
        return arch, cast("dict[str, Hyper]", hparams)  # each is checked before a module is built
    for arch in ARCHS.values():
        try:
            found = arch.detect(state)
        except (KeyError, IndexError):  # it has some of the architecture's keys, not all
            continue
        if found is not None:
            return arch, found
    raise WeightsError(
        f"{path} holds no network that this version knows",
        hint=f"known are {', '.join(name for name, arch in ARCHS.items() if arch.trained)}",
    )


def _check_hash(path: Path, entry: Entry) -> None:
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"shipped weights are missing: {path}", hint="install again") from error
    if digest != entry.sha256:
        raise WeightsError(
            f"{path} is not the file that was shipped (sha256 {digest[:12]}…, "
            f"expected {entry.sha256[:12]}…)",
            hint="install again, or give the file by its path to use it as it is",
        )

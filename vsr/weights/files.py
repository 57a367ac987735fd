"""Files of weights, from anybody: read without running code, recognised, and fitted strictly.

A file of ours is safetensors; its metadata rebuild the module: format, arch, hparams, scale, and a
card. Others are recognised by their keys and shapes. A key too many, a key too few or another shape
is an error, never ignored.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

from vsr.errors import WeightsError
from vsr.models.arch import Arch, Hyper, State
from vsr.models.catalog import ARCHS
from vsr.models.module import SRModule
from vsr.models.state_dict_keys import our_keys
from vsr.weights.pickled import is_pickled, read_pickled

FORMAT = "vsr-1"
MAX_BYTES = 1 << 30
_DRAWN: tuple[object, ...] = (
    Tensor.normal_, Tensor.uniform_,
    init.normal_, init.uniform_, init.kaiming_normal_, init.kaiming_uniform_,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A network as a file holds it: what builds it, and its tensors by our names."""

    path: Path
    """The file that it was read from."""
    arch: Arch
    """The architecture, which the metadata name or the keys and shapes show."""
    hparams: Mapping[str, Hyper]
    """What builds the module, beside the architecture's defaults; not checked yet."""
    state: State
    """Tensors by our names, in the file's precision."""
    card: Mapping[str, str]
    """The file's metadata, but for format and hyper-parameters: what it was trained on and the
    like."""
    foreign: bool
    """Whether the file is not of this project's format."""

    def module(self) -> SRModule:
        """The network with exactly these weights, in float32. Raises :class:`WeightsError`."""
        module = fitted(self.arch, self.hparams, self.state, self.path)
        if not all(bool(torch.isfinite(value).all()) for value in self.state.values()):
            raise WeightsError(
                f"{self.path} holds numbers that are not finite: its training went wrong"
            )
        return module.float()


def read(path: Path) -> Stored:
    """A file of weights of an architecture in the catalog. Raises :class:`WeightsError`."""
    return stored_of(path, *read_file(path))


def stored_of(path: Path, metadata: Mapping[str, str], state: State) -> Stored:
    """The contents of a file as a network. Raises :class:`WeightsError`."""
    arch, hparams = identify(metadata, state, path)
    card = {key: value for key, value in metadata.items() if key not in ("format", "hparams")}
    return Stored(path, arch, hparams, state, card, metadata.get("format") != FORMAT)


def read_file(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors, by our names, of a safetensors or .pth file.

    Raises :class:`WeightsError`. Both formats are checked to fill the file with their tensors, so
    memory is bounded by the file.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise WeightsError(f"{path} has more than {MAX_BYTES >> 20} MB: no weights for this")
        if is_pickled(path):
            return {}, our_keys(read_pickled(path))
        metadata, state = _contents(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is not a readable safetensors file: {error}",
            hint="weights of `vsr train` and of `vsr models` end in .safetensors, others in .pth",
        ) from error
    return metadata, state if metadata.get("format") == FORMAT else our_keys(state)


def fitted(arch: Arch, hparams: Mapping[str, Hyper], state: State, path: Path) -> SRModule:
    """A module with exactly these weights: a key too many or too few is a :class:`WeightsError`.

    They are laid on a module without memory first: what a file claims costs nothing until it fits.
    """
    if any(value.is_complex() or value.dtype == torch.bool for value in state.values()):
        raise WeightsError(f"{path} holds numbers that are no weights: complex ones, or yes and no")
    depth = hparams.get("blocks", hparams.get("layers", 0))
    if isinstance(depth, int) and depth > len(state):  # unbuilt layers, too, take their time
        raise WeightsError(
            f"{path} does not fit {arch.name} with {dict(hparams)}: it has {len(state)} tensors",
            hint="its metadata are damaged",
        )
    try:
        with _Unset():
            with torch.device("meta"):
                arch.module(hparams).load_state_dict(dict(state), strict=True, assign=True)
            module = arch.module(hparams)
        module.load_state_dict(state, strict=True)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error.message}", hint=error.hint) from error
    except RuntimeError as error:
        raise WeightsError(
            f"{path} does not fit {arch.name} with {dict(hparams)}: "
            + textwrap.shorten(" ".join(str(error).split("\n\t")[1:]), 400, placeholder=" …"),
            hint="the file is damaged, of another version, or its batch norms were folded",
        ) from error
    return module


class _Unset(TorchFunctionMode):
    """Weights that a file's replace are not drawn. On "meta" drawing is a second of imports."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        del types
        kwargs = kwargs or {}
        if func in _DRAWN:
            return args[0] if args else kwargs["tensor"]
        made: Any = func(*args, **kwargs)
        return made


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
        except (KeyError, IndexError, ValueError, ZeroDivisionError):
            # It has some of the architecture's keys, not all, or of other shapes.
            continue
        if found is not None:
            return arch, found
    raise WeightsError(
        f"{path} holds no network that this version knows",
        hint=f"known are {', '.join(name for name, arch in ARCHS.items() if arch.trained)}; "
        "with pip install 'vsr[models]', all that spandrel knows",
    )

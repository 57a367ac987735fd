"""The index of what is shipped, loading by name or path, and saving that loses nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import save as as_bytes  # pyright: ignore[reportUnknownVariableType]  # no stubs
from torch import nn

from vsr.errors import OptionsError, WeightsError
from vsr.events import EventSink, ignore
from vsr.models.adapters import chain, on_color
from vsr.models.arch import Hyper, Upscaler, fuse_batchnorm, make_upscaler
from vsr.models.catalog import ARCHS
from vsr.system import part_beside, replace_file, sha256_of
from vsr.weights.blend import denoising
from vsr.weights.fetched import Fetched, all_fetched, checked_path, find_fetched
from vsr.weights.files import FORMAT, Stored, read, read_file, stored_of
from vsr.weights.hub import PREFIX, fetch
from vsr.weights.third_party import third_party


@dataclass(frozen=True, slots=True)
class Entry:
    """One table of ``weights/index.toml``: shipped weights, with what they are good at."""

    name: str
    """The table's name: what ``--model`` takes."""
    file: str
    """The file's name in the folder of shipped weights."""
    sha256: str
    """What the file is held to, in hexadecimal."""
    summary: str
    """What it is for, in a phrase."""
    psnr: list[float]
    """Luma PSNR in dB on Set5, Set14 and BSD100, as `vsr eval` measures it."""
    milliseconds: float
    """For a frame of 160x90, on two cores of a CPU with AMX."""


def folder() -> Path:
    """Where the shipped weights lie: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "shipped_weights"
    return inside if inside.is_dir() else package.parent / "weights"


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
    """Every name that ``load`` takes: shipped weights, fetched ones, then interpolations."""
    plain = (name for name, arch in ARCHS.items() if not arch.trained)
    return [*index(), *(model.name for model in all_fetched()), *plain]


def load(
    name_or_path: str | os.PathLike[str],
    *,
    then: Sequence[str] = (),
    denoise: float | None = None,
    on_event: EventSink = ignore,
) -> Upscaler:
    """The upscaler of a name, an interpolation, or a file; norms are folded.

    ``hub:NAME`` is fetched unless it is here, which ``on_event`` is told. What ``then`` names runs
    after it. ``denoise`` is the strength, 0..1, of Real-ESRGAN's general network. Raises
    :class:`WeightsError` for an unknown name and for a file that is missing, damaged, altered, or
    does not fit the architecture it names.
    """
    name = os.fspath(name_or_path)
    if then:
        networks = [load(name, denoise=denoise, on_event=on_event)]
        return chain([*networks, *(load(following, on_event=on_event) for following in then)])
    if denoise is not None:
        return upscaler_of(denoising(Path(name), denoise), f"{Path(name).stem}-{denoise:g}")
    arch = ARCHS.get(name)
    if arch is not None and not arch.trained:
        return make_upscaler(
            arch.module({}),
            name=name,
            arch=name,
            dtypes=(torch.float32,),
            learned=False,
            card={"about": arch.summary},
        )
    if name in index():
        return upscaler_of(find(name), name)
    model = fetched_model(name, on_event)
    if model is not None:
        upscaler = _of_file(checked_path(model))
        card = {**upscaler.card, **model.whole_card()}
        return dataclasses.replace(upscaler, name=model.name, card=card)
    if not os.path.isfile(name):
        return upscaler_of(find(name), name)  # which says what there is
    return _of_file(Path(name))


def _of_file(path: Path) -> Upscaler:
    """The upscaler of a file, by our catalog or else by spandrel."""
    metadata, state = read_file(path)
    try:
        return upscaler_of(stored_of(path, metadata, state), path.stem)
    except WeightsError as error:
        if metadata.get("format") == FORMAT:
            raise
        return third_party(path, state, error)


def find(name: str) -> Stored:
    """The stored network of a name or of a path. Raises :class:`WeightsError`."""
    path = path_of(name)
    if path is not None:
        model = fetched_model(name) if name not in index() else None
        stored = read(path)
        if model is not None:
            stored = dataclasses.replace(stored, card={**stored.card, **model.whole_card()})
        return stored
    if name in ARCHS and not ARCHS[name].trained:
        raise WeightsError(f"{name} is computed without weights: there is nothing stored of it")
    if name in ARCHS:
        raise WeightsError(
            f"no trained weights for {name!r} are shipped with this version",
            hint=f"give a path to weights, or one of: {', '.join(names())}",
        )
    raise WeightsError(
        f"there is no model {name!r}, neither by that name nor as a file",
        hint=f"one of: {', '.join(names())}, or a path to .safetensors or .pth weights; "
        f"hub:NAME fetches one",
    )


def path_of(name: str) -> Path | None:
    """The file of shipped or fetched weights, held to its hash, or of a path; ``None`` for no file.

    Raises :class:`WeightsError`.
    """
    entry = index().get(name)
    if entry is not None:
        path = folder() / entry.file
        _check_hash(path, entry)
        return path
    model = fetched_model(name)
    if model is not None:
        return checked_path(model)
    return Path(name) if os.path.isfile(name) else None


def fetched_model(name: str, on_event: EventSink = ignore) -> Fetched | None:
    """The model that was fetched by that name, or is now, by ``hub:NAME``; ``None`` for others.

    Raises what :func:`get` raises.
    """
    return get(name, on_event=on_event) if name.startswith(PREFIX) else find_fetched(name)


def get(
    reference: str,
    *,
    name: str | None = None,
    sha256: str | None = None,
    overwrite: bool = False,
    on_event: EventSink = ignore,
) -> Fetched:
    """Fetch a model by its name at OpenModelDB or in a Hugging Face repository, unless it is here.

    See :func:`vsr.weights.hub.fetch`; every network that :func:`load` takes is kept.
    """
    taken = {*index(), *ARCHS, "auto"}
    return fetch(
        reference,
        _of_file,
        taken=taken,
        name=name,
        sha256=sha256,
        overwrite=overwrite,
        on_event=on_event,
    )


def upscaler_of(stored: Stored, name: str) -> Upscaler:
    """A stored network, ready to enlarge RGB."""
    return make_upscaler(
        on_color(fuse_batchnorm(stored.module())),
        name=name,
        arch=stored.arch.name,
        foreign=stored.foreign,
        card=stored.card,
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
    tensors = {  # copies: what a network shares among its layers, a file has as often
        key: value.to("cpu", dtype if value.is_floating_point() else value.dtype).clone(
            memory_format=torch.contiguous_format
        )
        for key, value in module.state_dict().items()
    }
    metadata = {"format": FORMAT, "arch": arch, "hparams": json.dumps(dict(hparams))}
    # Names of folders are in it, whose bytes may be no Unicode.
    said = {key: text.encode(errors="replace").decode() for key, text in (card or {}).items()}
    try:
        with part_beside(path) as part:
            # Not by safetensors' own writing: its files are for their owner alone.
            part.write_bytes(as_bytes(tensors, {**said, **metadata}))
            replace_file(part, path)
    except OSError as error:
        raise WeightsError(
            f"cannot write {path}: {error.strerror or error}",
            hint="is there room, and may its folder be written to?",
        ) from error


def _check_hash(path: Path, entry: Entry) -> None:
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise WeightsError(f"shipped weights are missing: {path}", hint="install again") from error
    if digest != entry.sha256:
        raise WeightsError(
            f"{path} is not the file that was shipped (sha256 {digest[:12]}…, "
            f"expected {entry.sha256[:12]}…)",
            hint="install again, or give the file by its path to use it as it is",
        )


def save_stored(path: Path, stored: Stored, *, overwrite: bool = False) -> None:
    """Write a stored network as our own file, as exact as it is."""
    if path.suffix != ".safetensors":
        raise OptionsError(f"weights are written as .safetensors, not as {path.name}")
    if os.path.exists(path) and not overwrite:
        raise OptionsError(f"{path} exists already", hint="--overwrite replaces it")
    kinds = {value.dtype for value in stored.state.values() if value.is_floating_point()}
    dtype = kinds.pop() if len(kinds) == 1 else torch.float32
    hparams, card = dict(stored.hparams), dict(stored.card)
    save(path, stored.module(), arch=stored.arch.name, hparams=hparams, card=card, dtype=dtype)

"""Checkpoints: everything that a run needs to go on as if it had never stopped. Atomic."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard, cast

import torch

from vsr.errors import DataError, OutOfMemory
from vsr.infer import device as devices
from vsr.media.atomic import put
from vsr.models.arch import Hyper
from vsr.weights.pickled import DAMAGE

FORMAT = "vsr-training-1"
NAME = "checkpoint.pt"
_TYPES: dict[str, type] = {
    "step": int, "seconds": float, "finished": bool, "identity": str, "options": dict,
    "hparams": dict, "task": dict, "best": dict, "start": dict, "random": dict,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All of a run that is needed to go on."""

    step: int
    """Steps taken until here."""
    seconds: float
    """Seconds trained until here, by all processes that the run had one after another."""
    finished: bool
    """Whether the run had come to its end."""
    identity: str
    """All options that change what is learnt, as JSON: whether two runs are the same one."""
    options: dict[str, object]
    """Every option in JSON's types."""
    hparams: dict[str, Hyper]
    """What builds the network again, should the weights that it started from be gone."""
    task: dict[str, Any]
    """States of networks, optimisers, the average and guards."""
    best: dict[str, float] = field(default_factory=dict[str, float])
    """Metrics of the best weights until here, by name."""
    start: dict[str, float] = field(default_factory=dict[str, float])
    """Metrics before the first step, by name."""
    random: dict[str, Any] = field(default_factory=dict[str, Any])
    """States of torch's generators, by device."""


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write beside, flush to disk, rename: a checkpoint that is there is whole.

    Raises :class:`DataError` when the disk is full; the one before is kept.
    """
    path = folder / NAME
    values = {name: getattr(checkpoint, name) for name in Checkpoint.__slots__}
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **values}, buffer)
    try:
        put(path, buffer.getbuffer())
    except OSError as error:
        kept = "the one before is kept" if path.exists() else "nothing was written"
        raise unwritten(path, error, kept) from error
    return path


def unwritten(path: Path, error: OSError, *more: str) -> DataError:
    """The failure of a training one of whose files cannot be written."""
    return DataError(
        f"cannot write {'; '.join((f'{path}: {error.strerror or error}', *more))}",
        hint="make room and run the same command again: it goes on from the last checkpoint",
    )


def load(folder: Path) -> Checkpoint | None:
    """The checkpoint of a run, or ``None`` where there is none.

    Raises :class:`DataError`, and :class:`OutOfMemory` where a good one is too large to be read.
    """
    path = folder / NAME
    if not path.exists():
        return None
    best = folder / "best.safetensors"
    takes = f"; --init {best} takes its weights" if best.exists() else ""
    hint = f"choose another --out{takes}"
    try:
        with zipfile.ZipFile(path) as archive:  # torch looks at no checksum
            damaged = archive.testzip()
        # weights_only: tensors and plain values, no code of whoever made the file.
        values = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", hint=hint) from error
    except DAMAGE as error:
        if devices.is_out_of_memory(error):  # nothing is wrong with the file
            raise OutOfMemory(
                f"memory ran out while {path} was read",
                hint="end other programs, and run the same command again",
            ) from error
        raise DataError(f"{path} is damaged", hint=hint) from error
    if damaged:
        raise DataError(f"{path} is damaged: its checksums do not fit", hint=hint)
    if not _fits(values):
        raise DataError(f"{path} is not a checkpoint of this version", hint=hint)
    return Checkpoint(**{name: value for name, value in values.items() if name != "format"})


def _fits(values: Any) -> TypeGuard[dict[str, Any]]:
    """Whether what was loaded is a checkpoint's fields, each of its type."""
    if not isinstance(values, dict) or values.keys() != {"format", *_TYPES}:  # pyright: ignore[reportUnknownMemberType]  # anything
        return False
    fields = cast("dict[str, Any]", values)
    typed = all(isinstance(fields[name], kind) for name, kind in _TYPES.items())
    if fields["format"] != FORMAT or not typed:
        return False
    return all(isinstance(v, float) for v in (*fields["best"].values(), *fields["start"].values()))


def random_states(device: torch.device) -> dict[str, Any]:
    """Torch's generators. Data has none to keep: its numbers follow from the seed and the step."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random(states: dict[str, Any], device: torch.device) -> None:
    """The inverse of :func:`random_states`."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)

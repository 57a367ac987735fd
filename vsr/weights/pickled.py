"""Weights as torch.save writes them (.pth, .pt, .ckpt). No code in them is run.

``weights_only`` lets torch build tensors and plain containers, and nothing else. What such a file
can still do is claim much in little: packed contents, and tensors that show a few numbers many
times. Both are refused.
"""

from __future__ import annotations

import pickle
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from vsr.errors import WeightsError

_INSIDE = ("params_ema", "params-ema", "params", "state_dict", "model_state_dict", "model", "net")
"""Where trainers put the network, the averaged weights first."""
_SLACK = 1 << 20
DAMAGE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    AttributeError,
    AssertionError,
    OverflowError,
    MemoryError,
    ImportError,
)
"""What torch's reader and its unpickler raise at damage, each of them met by a test's mutations."""


def is_pickled(path: Path) -> bool:
    """Whether a file begins as torch.save lets it: as a zip archive, or as a pickle."""
    with path.open("rb") as file:
        head = file.read(4)
    # A pickle's second byte is its protocol; what follows is an opcode, in no case a zero.
    pickled = len(head) == 4 and head[0] == 0x80 and 2 <= head[1] <= 5 and head[2] != 0
    return head == b"PK\x03\x04" or pickled


def read_pickled(path: Path) -> dict[str, Tensor]:
    """The network's tensors. Raises :class:`WeightsError`, or ``OSError`` if it cannot be read."""
    try:
        _check_archive(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's formats of years ago: they are meant
            found: object = torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGE as error:
        said = str(error).split("\n")[0].split(". This file can still be loaded")[0]
        raise WeightsError(
            f"{path} is not a readable .pth file of weights: {said}",
            hint="it is damaged, or holds more than numbers, which is not run here",
        ) from error
    state = _network(found)
    if not state:
        raise WeightsError(
            f"{path} holds no weights of a network", hint="it may be a training's other state"
        )
    for key, value in state.items():
        if value.layout is not torch.strided or value.is_quantized or value.is_meta:
            raise WeightsError(f"{path} holds numbers of an unusual kind: {key}")
    claimed = sum(value.numel() * value.element_size() for value in state.values())
    if claimed > 2 * path.stat().st_size + _SLACK:
        raise WeightsError(f"{path} claims {claimed >> 20} MB of weights, more than it holds")
    return state


def _check_archive(path: Path) -> None:
    """Refuse archives that grow when they are read, and those that hold a program."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):
        raise ValueError("it is a TorchScript program, not weights")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("its contents are packed, which torch.save never does")


def _network(found: object) -> dict[str, Tensor]:
    """The state dict in what was loaded, whichever way its trainer wrapped it."""
    if not isinstance(found, Mapping):
        return {}
    holder = cast("Mapping[Any, Any]", found)
    for key in _INSIDE:
        if isinstance(holder.get(key), Mapping):
            return _network(holder[key])
    return {
        key: value.detach()
        for key, value in holder.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }

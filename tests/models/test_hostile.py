"""Pickled weights from strangers: nothing in them runs, and what they claim is checked."""

from __future__ import annotations

import io
import os
import pickle
import random
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

import vsr
from fuzz.mutate import mutate
from tests.models import published
from vsr.errors import WeightsError


class Program:
    """Unpickled carelessly, it makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "of 2018"])
def test_no_code_of_a_file_is_run(zipped: bool, tmp_path: Path) -> None:
    path, trace = tmp_path / "net.pth", tmp_path / "it ran"
    contents = {"params": published.srvgg(), "extra": Program(trace)}
    torch.save(contents, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match="not a readable") as caught:
        vsr.load(str(path))
    assert "not run" in (caught.value.hint or "")
    assert not trace.exists()
    path.write_bytes(pickle.dumps(Program(trace)))
    with pytest.raises(WeightsError, match="not a readable"):
        vsr.load(str(path))
    assert not trace.exists()


def packed(data: bytes) -> bytes:
    """The same archive, its contents packed."""
    made, old = io.BytesIO(), zipfile.ZipFile(io.BytesIO(data))
    with old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return made.getvalue()


def test_much_in_little_is_refused_at_once(tmp_path: Path) -> None:
    path, begun = tmp_path / "net.pth", time.monotonic()
    one = torch.zeros(1)
    wide = {
        f"body.{place}.weight": one.expand(4096, 4096, 3, 3) if place % 2 == 0 else one.expand(4096)
        for place in range(999)
    }
    torch.save(wide, path)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(WeightsError, match="more than it holds"):
        vsr.load(str(path))
    torch.save({"body.0.weight": torch.zeros(1 << 22)}, path)
    path.write_bytes(packed(path.read_bytes()))
    with pytest.raises(WeightsError, match="packed"):
        vsr.load(str(path))
    assert time.monotonic() - begun < 10


def test_what_is_no_state_dict_says_so(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    strange: dict[str, Any] = {
        "a list": ([torch.zeros(2)], "no weights"),
        "nothing": ({}, "no weights"),
        "numbers": ({"epoch": 3}, "no weights"),
        "nested": ({"model": {"model": {"model": 1}}}, "no weights"),
        "sparse": ({"body.0.weight": torch.zeros(3, 3).to_sparse()}, "unusual"),
        "of another network": ({"conv.weight": torch.zeros(3, 3)}, "no network"),
        "complex": (
            {**published.srvgg(), "body.0.bias": torch.zeros(8, dtype=torch.complex64)},
            "no weights",
        ),
        "not finite": ({**published.srvgg(), "body.0.bias": torch.full((8,), torch.nan)}, "finite"),
        "no channels": ({**published.srvgg(), "body.0.weight": torch.zeros(8, 0, 3, 3)}, "no netw"),
        "scalar": ({**published.rrdb("old"), "model.0.weight": torch.zeros(())}, "no network"),
        "a wrong factor": (published.rrdb("real-esrgan", ups=1, unshuffle=4), "no network"),
    }
    for contents, said in strange.values():
        torch.save(contents, path)
        with pytest.raises(WeightsError, match=said):
            vsr.load(str(path))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_program_is_told_from_weights(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    traced: Any = torch.jit.trace(torch.nn.Conv2d(1, 1, 1), torch.zeros(1, 1, 2, 2))  # pyright: ignore[reportPrivateImportUsage, reportUnknownVariableType]
    traced.save(str(path))
    with pytest.raises(WeightsError, match="TorchScript program"):
        vsr.load(str(path))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "of 2018"])
def test_damage_is_one_kind_of_error(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(published.srvgg(layers=1), path, _use_new_zipfile_serialization=zipped)
    sound, survived = path.read_bytes(), 0
    for seed in range(300):
        path.write_bytes(mutate(sound, random.Random(seed))[0])
        try:
            vsr.load(str(path))
        except WeightsError:
            continue
        survived += 1  # numbers that are only other numbers
    assert survived < 200

"""What is exported computes the same in its own program, at sizes that it was not traced with."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models import published
from vsr import weights
from vsr.errors import OptionsError
from vsr.weights.export import export

onnxruntime: Any = importlib.import_module("onnxruntime")
STATES = {
    "srvgg": lambda: published.srvgg(layers=2),
    "rrdb-x2": lambda: published.rrdb("real-esrgan", blocks=1, unshuffle=2),
}


def model(name: str, folder: Path) -> str:
    if name not in STATES:
        return name
    torch.save(STATES[name](), folder / f"{name}.pth")
    return str(folder / f"{name}.pth")


@pytest.mark.parametrize("name", ["tiny", *STATES])
def test_onnx_runtime_computes_the_same_at_any_size(name: str, tmp_path: Path) -> None:
    source, target = model(name, tmp_path), tmp_path / "net.onnx"
    made = export(source, "onnx", target)
    assert made.difference is not None
    assert made.difference < 1e-4
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    network = weights.load(source)
    assert (facts["arch"], facts["scale"]) == (network.arch, str(network.scale))
    if name == "tiny":
        assert facts["steps"] == network.card["steps"]
    for count, height, width in ((1, 33, 18), (2, 8, 51), (1, 64, 64)):
        pixels = torch.rand(count, 3, height, width)
        found = torch.from_numpy(session.run(["enlarged"], {"pixels": pixels.numpy()})[0])
        with torch.inference_mode():
            torch.testing.assert_close(found, network.module(pixels), rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", ["tiny", "rrdb-x2"])
def test_torchscript_computes_the_same_at_any_size(name: str, tmp_path: Path) -> None:
    source, target = model(name, tmp_path), tmp_path / "net.pt"
    export(source, "torchscript", target)
    extra = {"vsr.json": ""}
    jit: Any = torch.jit
    loaded = jit.load(str(target), _extra_files=extra)
    assert json.loads(extra["vsr.json"])["arch"] == weights.load(source).arch
    for size in ((33, 18), (8, 51)):
        pixels = torch.rand(2, 3, *size)
        with torch.inference_mode():
            expected = weights.load(source).module(pixels)
            torch.testing.assert_close(loaded(pixels), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["onnx", "torchscript", "safetensors"])
def test_half_precision_keeps_float32_at_both_ends(kind: Any, tmp_path: Path) -> None:
    source = model("srvgg", tmp_path)
    exact, half = (
        export(source, kind, tmp_path / f"{dtype}{suffix}", dtype=dtype).path.stat().st_size
        for dtype in ("fp32", "fp16")
        for suffix in ({"onnx": ".onnx", "torchscript": ".pt"}.get(kind, ".safetensors"),)
    )
    assert half < exact


def test_a_stranger_s_file_becomes_one_of_ours(tmp_path: Path) -> None:
    source = model("rrdb-x2", tmp_path)
    made = export(source, "safetensors", tmp_path / "ours.safetensors")
    assert made.difference == 0
    ours, theirs = weights.read(made.path), weights.read(Path(source))
    assert not ours.foreign
    assert (ours.arch, ours.hparams) == (theirs.arch, theirs.hparams)


def test_what_cannot_be_exported_says_so(tmp_path: Path) -> None:
    for kind, dtype in (("coreml", "fp32"), ("onnx", "int8")):
        with pytest.raises(OptionsError, match="cannot export"):
            export("tiny", kind, dtype=dtype)  # pyright: ignore[reportArgumentType]  # on purpose
    (tmp_path / "there.onnx").write_bytes(b"precious")
    with pytest.raises(OptionsError, match="exists already"):
        export("tiny", "onnx", tmp_path / "there.onnx")
    assert (tmp_path / "there.onnx").read_bytes() == b"precious"

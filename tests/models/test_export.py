"""What is exported computes the same in its own program, at sizes that it was not traced with."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import picture
from tests.models import published
from vsr import weights
from vsr.color import ColorSpec
from vsr.errors import OptionsError, WeightsError
from vsr.infer.engine import Engine
from vsr.motion import MotionEstimator
from vsr.options import EngineOptions
from vsr.weights.export import SUFFIXES, export

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


@pytest.mark.extended
@pytest.mark.parametrize(
    "name",
    ["tiny", *STATES],
)
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


@pytest.mark.extended
def test_a_network_with_a_memory_takes_and_gives_its_state(tmp_path: Path) -> None:
    """Ten frames of a moving picture through ONNX Runtime, with motion as it is at run time."""
    target = tmp_path / "video.onnx"
    made = export("video-tiny", "onnx", target)
    assert made.difference is not None
    assert made.difference < 1e-4
    session = onnxruntime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == ["pixels", "before", "motion", "state"]
    upscaler = weights.load("video-tiny")
    engine = Engine(upscaler, EngineOptions(device="cpu", dtype="fp32"))
    estimator, spec = MotionEstimator(), ColorSpec(layout="rgb", depth=16, shift=(0, 0))
    before, state = None, np.zeros((1, upscaler.state_channels, 40, 56), np.float32)
    remembered = 0.0
    for number in range(10):
        frame = torch.from_numpy(picture(56, 40, number / 5))
        deep = (frame.to(torch.int32) * 257).to(torch.uint16)  # as the engine is given it
        planes = tuple(plane[None].contiguous() for plane in deep.unbind(2))
        motion = estimator.next(planes, spec).pixels(0)
        pixels = (frame.permute(2, 0, 1)[None].float() / 255).numpy()
        given = {
            "pixels": pixels,
            "before": pixels if before is None else before,
            "motion": motion.numpy(),
            "state": state,
        }
        enlarged, state = session.run(["enlarged", "next_state"], given)
        ours = engine.follow(torch.from_numpy(pixels))
        assert float((torch.from_numpy(enlarged).clamp(0, 1) - ours).abs().max()) < 2e-3
        with torch.inference_mode():
            alone = upscaler.module(torch.from_numpy(pixels))
        remembered = max(remembered, float((torch.from_numpy(enlarged) - alone).abs().max()))
        before = pixels
    assert remembered > 0.01  # the state is of use: without it frames come out otherwise


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


@pytest.mark.parametrize(
    "kind", [pytest.param("onnx", marks=pytest.mark.extended), "torchscript", "safetensors"]
)
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


@pytest.mark.parametrize("kind", ["torchscript", "safetensors"])
def test_what_half_precision_cannot_hold_is_not_written(kind: Any, tmp_path: Path) -> None:
    stored = weights.find("tiny")
    state = {key: value.float() for key, value in stored.state.items()}
    body = next(key for key in state if key.endswith("weight") and state[key].dim() == 4)
    state[body] *= 1e9
    wild, target = tmp_path / "wild.safetensors", tmp_path / f"kept{SUFFIXES[kind]}"
    weights.save_stored(wild, replace(stored, state=state))
    target.write_text("precious")
    with pytest.raises(WeightsError):
        export(str(wild), kind, target, dtype="fp16", overwrite=True)
    assert target.read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 2


def test_what_cannot_be_exported_says_so(tmp_path: Path) -> None:
    for kind, dtype in (("coreml", "fp32"), ("onnx", "int8")):
        with pytest.raises(OptionsError, match="cannot export"):
            export("tiny", kind, dtype=dtype)  # pyright: ignore[reportArgumentType]  # on purpose
    (tmp_path / "there.onnx").write_bytes(b"precious")
    with pytest.raises(OptionsError, match="exists already"):
        export("tiny", "onnx", tmp_path / "there.onnx")
    assert (tmp_path / "there.onnx").read_bytes() == b"precious"

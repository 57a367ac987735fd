"""Networks for other programs: ONNX, TorchScript, or plain weights. Checked before they are there.

What is written takes (n, 3, h, w) float32 RGB 0..1 of any size as ``pixels`` and gives (n, 3,
h * scale, w * scale) float32 as ``enlarged``, whatever precision it computes in. Tiling, colour and
batches are the other program's work.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from vsr.errors import MissingExtra, OptionsError, WeightsError
from vsr.models.arch import Upscaler
from vsr.system import replace_file
from vsr.weights.store import find, load, save_stored

Format = Literal["onnx", "torchscript", "safetensors"]
DTYPES = {"fp32": torch.float32, "fp16": torch.float16}
SUFFIXES: dict[str, str] = {"onnx": ".onnx", "torchscript": ".pt", "safetensors": ".safetensors"}
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2}
"""The most that a value 0..1 may differ: sums are ordered otherwise; fp16 keeps 11 bits of each."""
SIZES = ((24, 20), (17, 31), (40, 64))


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written; ``difference`` is the largest from ours, ``None`` where nothing could run
    it here."""

    path: Path
    format: str
    difference: float | None


class _Whole(nn.Module):
    """The network with float32 on both sides."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, 3, h, w) to (n, 3, h * scale, w * scale), float32."""
        return self.module(pixels).float()


def export(
    name: str,
    kind: Format,
    out: Path | None = None,
    *,
    dtype: str = "fp32",
    overwrite: bool = False,
) -> Exported:
    """Write a model, by name or path, for another program; without ``out``, as ``NAME.onnx``.

    Raises :class:`MissingExtra` where ONNX is not installed, :class:`WeightsError` where the
    network cannot be written so, or does not compute the same.
    """
    if kind not in get_args(Format) or dtype not in DTYPES:
        raise OptionsError(
            f"cannot export as {kind} in {dtype}",
            hint=f"one of {', '.join(SUFFIXES)}; fp32 or fp16",
        )
    path = out or Path(Path(name).stem + SUFFIXES[kind])
    if path.exists() and not overwrite:
        raise OptionsError(f"{path} exists already", hint="--overwrite replaces it")
    if kind == "safetensors":
        stored = find(name)
        state = {
            key: value.to(DTYPES[dtype]) if value.is_floating_point() else value
            for key, value in stored.state.items()
        }
        save_stored(path, replace(stored, state=state), overwrite=overwrite)
        return Exported(path, kind, _worst(load(path), load(name).module, dtype))
    upscaler = load(name)
    module = _Whole(upscaler.module.to(DTYPES[dtype])).eval().requires_grad_(False)
    part = path.with_name(path.name + ".part")
    try:
        run = (_onnx if kind == "onnx" else _torchscript)(module, part, _facts(upscaler, dtype))
        difference = None if run is None else _worst(run, module, dtype)
        replace_file(part, path)
    except OSError as error:
        raise WeightsError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return Exported(path, kind, difference)


def _facts(upscaler: Upscaler, dtype: str) -> dict[str, str]:
    """What another program should know, and the card."""
    facts = {"name": upscaler.name, "arch": upscaler.arch, "scale": str(upscaler.scale)}
    facts |= {"halo": str(upscaler.halo), "multiple_of": str(upscaler.multiple_of), "dtype": dtype}
    return {**upscaler.card, **facts}


def _onnx(module: nn.Module, path: Path, facts: dict[str, str]) -> Callable[..., Any] | None:
    if any(importlib.util.find_spec(package) is None for package in ("onnx", "onnxscript")):
        raise MissingExtra(
            "ONNX files need the packages onnx and onnxscript", hint="pip install 'vsr[onnx]'"
        )
    dims = {0: torch.export.Dim("n"), 2: torch.export.Dim("h"), 3: torch.export.Dim("w")}
    # Its notes are about its own insides.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                module,
                (torch.rand(1, 3, *SIZES[0]),),
                dynamo=True,
                verbose=False,
                input_names=["pixels"],
                output_names=["enlarged"],
                dynamic_shapes=(dims,),
            )
    except torch.onnx.OnnxExporterError as error:
        raise WeightsError(
            f"this network cannot be written as ONNX: {str(error).splitlines()[0]}",
            hint="try --format torchscript",
        ) from error
    program.model.metadata_props.update(facts)
    program.save(str(path))
    if importlib.util.find_spec("onnxruntime") is None:
        return None
    runtime: Any = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])

    def run(pixels: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"pixels": pixels.numpy()})[0])

    return run


def _torchscript(module: nn.Module, path: Path, facts: dict[str, str]) -> Callable[..., Any]:
    jit: Any = torch.jit
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated, and what other programs still read
            traced = jit.trace(module, torch.rand(1, 3, *SIZES[0]), check_trace=False)
            traced.save(str(path), _extra_files={"vsr.json": json.dumps(facts)})
            return jit.load(str(path))
    except RuntimeError as error:
        raise WeightsError(
            f"this network cannot be written as TorchScript: {str(error).splitlines()[0]}"
        ) from error


@torch.no_grad()
def _worst(run: Callable[..., Any] | Upscaler, module: nn.Module, dtype: str) -> float:
    """The largest difference from ours at three sizes. Raises where it is too large."""
    compute = run.module if isinstance(run, Upscaler) else run
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for count, (height, width) in enumerate(SIZES, 1):
        pixels = torch.rand(count, 3, height, width, generator=generator)
        made, ours = compute(pixels).float(), module(pixels).float()
        if made.shape != ours.shape:
            raise WeightsError(f"what was exported gives {tuple(made.shape)} for {width}x{height}")
        worst = max(worst, float((made - ours).abs().max() / ours.abs().max().clamp(min=1)))
    if not worst <= TOLERANCE[dtype]:
        raise WeightsError(
            f"what was exported differs from ours by {worst:.2g}, more than {TOLERANCE[dtype]:g}",
            hint="please report it; fp32 is the safest",
        )
    return worst

"""Networks for other programs: ONNX, TorchScript, or plain weights. Checked before they are there.

What is written takes (n, 3, h, w) float32 RGB 0..1 of any size as ``pixels`` and gives (n, 3,
h * scale, w * scale) float32 as ``enlarged``, whatever precision it computes in. Tiling, colour and
batches are the other program's work. Recurrent networks also take ``before``, the frame before;
``motion``, (n, 2, h, w) in pixels, x then y, from each pixel to its place there; and ``state``, (n,
state_channels, h, w), which is the ``next_state`` that came with the frame before. At the first
frame, and after a cut, ``before`` is the frame itself, and motion and state are zeros.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import math
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Generator, Tensor, nn

from vsr.errors import MissingExtra, OptionsError, WeightsError
from vsr.models.arch import Upscaler
from vsr.models.recurrent import Recurrent, warp_previous
from vsr.system import part_beside, replace_file
from vsr.weights.store import find, load, save_stored

Format = Literal["onnx", "torchscript", "safetensors"]
DTYPES = {"fp32": torch.float32, "fp16": torch.float16}
SUFFIXES: dict[str, str] = {"onnx": ".onnx", "torchscript": ".pt", "safetensors": ".safetensors"}
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2}
"""The most that a value 0..1 may differ: sums are ordered otherwise; fp16 keeps 11 bits of each."""
SIZES = ((24, 20), (17, 31), (40, 64))
FRAMES = 10  # in a row, of recurrent networks
Inputs = dict[str, Tensor]
Run = Callable[[Inputs], list[Tensor]]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written for another program."""

    path: Path
    """The file."""
    format: str
    """onnx, torchscript or safetensors."""
    difference: float | None
    """The largest from what ours gives, divided by its largest value where that is above 1;
    ``None`` where nothing could run it here."""


class _Whole(nn.Module):
    """The network with float32 on both sides."""

    outputs = ("enlarged",)

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, 3, h, w) to (n, 3, h * scale, w * scale), float32."""
        return self.module(pixels).float()

    def example(self, count: int, size: tuple[int, int], generator: Generator) -> Inputs:
        """Random inputs of one size, by name."""
        return {"pixels": torch.rand(count, 3, *size, generator=generator)}

    def following(self, inputs: Inputs, made: Sequence[Tensor], generator: Generator) -> Inputs:
        """Nothing follows."""
        del inputs, made, generator
        return {}


class _Step(nn.Module):
    """One step of a recurrent network, the same way: the motion is applied inside."""

    outputs = ("enlarged", "next_state")

    def __init__(self, module: Recurrent) -> None:
        super().__init__()
        self.module = module

    def forward(
        self, pixels: Tensor, before: Tensor, motion: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See the file's beginning."""
        known, moved = warp_previous(before, state, motion)
        cells, state = self.module.step(pixels, known, moved)
        return cells.shuffled().float(), state.float()

    def example(self, count: int, size: tuple[int, int], generator: Generator) -> Inputs:
        """Those of a first frame. Tensors of their own: of one given twice, tracing makes one."""
        pixels = torch.rand(count, 3, *size, generator=generator)
        return {
            "pixels": pixels,
            "before": pixels.clone(),
            "motion": torch.zeros(count, 2, *size),
            "state": torch.zeros(count, self.module.state_channels, *size),
        }

    def following(self, inputs: Inputs, made: Sequence[Tensor], generator: Generator) -> Inputs:
        """Those of a frame behind ``inputs``, of which ``made`` came; anything may move."""
        pixels, motion = inputs["pixels"], inputs["motion"]
        return {
            "pixels": torch.rand(pixels.shape, generator=generator),
            "before": pixels,
            "motion": 6 * torch.rand(motion.shape, generator=generator) - 3,
            "state": made[1],
        }


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
    if os.path.exists(path) and not overwrite:
        raise OptionsError(f"{path} exists already", hint="--overwrite replaces it")
    if kind == "safetensors":
        stored = find(name)
        state = {
            key: value.to(DTYPES[dtype]) if value.is_floating_point() else value
            for key, value in stored.state.items()
        }
        save_stored(path, replace(stored, state=state), overwrite=overwrite)
        written, ours = (_Whole(load(str(one)).module) for one in (path, name))
        return Exported(path, kind, _worst(_called(written), ours, dtype))
    upscaler = load(name)
    network = upscaler.module.to(DTYPES[dtype])
    module = _Step(network) if isinstance(network, Recurrent) else _Whole(network)
    module.eval().requires_grad_(False)
    try:
        with part_beside(path) as part:
            run = (_onnx if kind == "onnx" else _torchscript)(module, part, _facts(upscaler, dtype))
            difference = None if run is None else _worst(run, module, dtype)
            replace_file(part, path)
    except OSError as error:
        raise WeightsError(
            f"cannot write {path}: {error.strerror or error}",
            hint="is there room, and may its folder be written to?",
        ) from error
    return Exported(path, kind, difference)


def _facts(upscaler: Upscaler, dtype: str) -> dict[str, str]:
    """What another program should know, and the card."""
    facts = {"name": upscaler.name, "arch": upscaler.arch, "scale": str(upscaler.scale)}
    facts |= {"halo": str(upscaler.halo), "multiple_of": str(upscaler.multiple_of), "dtype": dtype}
    return {**upscaler.card, **facts}


def _called(module: Callable[..., Any]) -> Run:
    """A module as a function of inputs by name."""

    def run(inputs: Inputs) -> list[Tensor]:
        made = module(**inputs)
        return list(made) if isinstance(made, tuple) else [made]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]

    return run


def _onnx(module: _Whole | _Step, path: Path, facts: dict[str, str]) -> Run | None:
    if any(importlib.util.find_spec(package) is None for package in ("onnx", "onnxscript")):
        raise MissingExtra(
            "ONNX files need the packages onnx and onnxscript", hint="pip install 'vsr[onnx]'"
        )
    inputs = module.example(1, SIZES[0], Generator().manual_seed(0))
    dims = {0: torch.export.Dim("n"), 2: torch.export.Dim("h"), 3: torch.export.Dim("w")}
    # Its notes are about its own insides.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                module,
                tuple(inputs.values()),
                dynamo=True,
                verbose=False,
                input_names=list(inputs),
                output_names=list(module.outputs),
                dynamic_shapes=(dims,) * len(inputs),
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

    def run(inputs: Inputs) -> list[Tensor]:
        given = {name: value.numpy() for name, value in inputs.items()}
        return [torch.from_numpy(made) for made in session.run(list(module.outputs), given)]

    return run


def _torchscript(module: _Whole | _Step, path: Path, facts: dict[str, str]) -> Run:
    jit: Any = torch.jit
    inputs = module.example(1, SIZES[0], Generator().manual_seed(0))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated, and what other programs still read
            traced = jit.trace(module, tuple(inputs.values()), check_trace=False)
            traced.save(str(path), _extra_files={"vsr.json": json.dumps(facts)})
            return _called(jit.load(str(path)))
    except RuntimeError as error:
        raise WeightsError(
            f"this network cannot be written as TorchScript: {str(error).splitlines()[0]}"
        ) from error


@torch.no_grad()
def _worst(run: Run, module: _Whole | _Step, dtype: str) -> float:
    """The largest difference from ours at three sizes, of ten frames in a row where they follow.

    Raises where it is too large.
    """
    generator = Generator().manual_seed(0)
    ours = _called(module)
    worst = 0.0
    for count, size in enumerate(SIZES, 1):
        inputs = wanted = module.example(count, size, generator)
        for _ in range(FRAMES):
            made, mine = run(inputs), ours(wanted)
            for one, two in zip(made, mine, strict=True):
                if one.shape != two.shape:
                    raise WeightsError(
                        f"what was exported gives {tuple(one.shape)} for {size[1]}x{size[0]}"
                    )
                far = float((one.float() - two.float()).abs().max() / two.abs().max().clamp(min=1))
                worst = max(worst, math.inf if math.isnan(far) else far)
            after = generator.get_state()
            wanted = module.following(wanted, mine, generator)
            generator.set_state(after)
            inputs = module.following(inputs, made, generator)
            if not wanted:
                break
    if not worst <= TOLERANCE[dtype]:
        raise WeightsError(
            f"what was exported differs from ours by {worst:.2g}, more than {TOLERANCE[dtype]:g}",
            hint="please report it; fp32 is the safest",
        )
    return worst

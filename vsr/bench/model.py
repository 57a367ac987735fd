"""The speed of a network alone, on windows that lie ready on the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from vsr.bench.clock import medians
from vsr.bench.usual import textbook
from vsr.errors import OptionsError
from vsr.events import ignore
from vsr.geometry import Size
from vsr.infer.engine import Engine
from vsr.models.shapes import multiply_adds
from vsr.options import EngineOptions
from vsr.weights import load

CEILING_SIDE = {"cpu": 2048, "cuda": 8192, "mps": 4096}


@dataclass(frozen=True, slots=True)
class ModelSpeed:
    """One network at one size. ``share`` is of what a large matrix product reaches in its type.

    ``textbook_seconds`` is for the same module written down plainly, in the same type and memory
    order, where the shipped one is written otherwise. Seconds are for a batch.
    """

    model: str
    size: Size
    batch: int
    device: str
    dtype: str
    seconds: float
    textbook_seconds: float | None
    frames_per_second: float
    tflops: float
    ceiling_tflops: float
    share: float


def bench_model(
    name: str, sizes: list[Size], *, batches: list[int], options: EngineOptions, repeats: int
) -> list[ModelSpeed]:
    """Measure one model at every size and batch. The work counted is that of the textbook module:
    what is saved by writing it otherwise shows as speed."""
    upscaler = load(name)
    engine = Engine(upscaler, options, ignore)
    place = engine.placement
    plain = textbook(upscaler.module)
    other = None if plain is None else _placed(plain, engine)
    ceiling = matrix_product(place.device, place.dtype)
    operations = 2 * multiply_adds(plain or upscaler.module)  # for each input pixel
    rows: list[ModelSpeed] = []
    for size in sizes:
        for batch in batches:
            windows = torch.rand(batch, 3, size.height, size.width, device=place.device)
            actions = {"network": lambda w=windows: engine.network(w)}
            if other is not None:
                actions["textbook"] = lambda w=windows, m=other: _run(m, w)
            seconds = medians(actions, repeats, place.device)
            speed = batch * size.pixels * operations / seconds["network"] / 1e12
            rows.append(
                ModelSpeed(
                    model=name,
                    size=size,
                    batch=batch,
                    device=str(place.device),
                    dtype=place.dtype_name,
                    seconds=seconds["network"],
                    textbook_seconds=seconds.get("textbook"),
                    frames_per_second=batch / seconds["network"],
                    tflops=speed,
                    ceiling_tflops=ceiling,
                    share=speed / ceiling,
                )
            )
    return rows


def matrix_product(device: torch.device, dtype: torch.dtype) -> float:
    """TFLOP/s of a large square matrix product: what the machine can do at best."""
    if dtype == torch.float16 and device.type == "cpu":
        raise OptionsError("no CPU multiplies fp16 quickly", hint="--dtype bf16 or fp32")
    side = CEILING_SIDE[device.type]
    left, right = (torch.rand(side, side, device=device, dtype=dtype) for _ in range(2))
    seconds = medians({"product": lambda: left @ right}, 7, device)["product"]
    return 2 * side**3 / seconds / 1e12


def _placed(module: nn.Module, engine: Engine) -> nn.Module:
    place = engine.placement
    module = module.to(place.device, place.dtype)
    return module.to(memory_format=torch.channels_last).eval()  # pyright: ignore[reportCallIssue, reportUnknownVariableType]


@torch.inference_mode()
def _run(module: nn.Module, windows: torch.Tensor) -> torch.Tensor:
    return module(windows.contiguous(memory_format=torch.channels_last)).float()

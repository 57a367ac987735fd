"""The speed of a network alone, on windows that lie ready on the device."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from vsr.bench.clock import medians
from vsr.bench.usual import textbook
from vsr.errors import OptionsError
from vsr.events import ignore
from vsr.geometry import Size
from vsr.infer.engine import Engine
from vsr.infer.tiles import TilePlan, plan
from vsr.models.arch import Upscaler
from vsr.models.shapes import multiply_adds
from vsr.options import EngineOptions
from vsr.weights import load

CEILING_SIDE = {"cpu": 2048, "cuda": 8192, "mps": 4096}


@dataclass(frozen=True, slots=True)
class ModelSpeed:
    """One network at one size. ``share`` is of what a large matrix product reaches in its type.

    ``textbook_seconds`` is for the same module written down plainly, in the same type and memory
    order, where the shipped one is written otherwise and memory holds both. Seconds are for a batch
    of pictures, whole or in ``tile``, whose overlap is not counted as work.
    """

    model: str
    size: Size
    batch: int
    tile: Size
    device: str
    dtype: str
    seconds: float
    textbook_seconds: float | None
    frames_per_second: float
    tflops: float
    ceiling_tflops: float
    share: float


def bench_model(
    name: str,
    sizes: list[Size],
    *,
    batches: list[int],
    tiles: list[int | None],
    options: EngineOptions,
    repeats: int,
) -> list[ModelSpeed]:
    """Measure one model at every size, batch and side of a tile, ``None`` for whole pictures.

    The work counted is that of the textbook module: what is saved by writing it otherwise shows as
    speed. The ceiling has its turn in every round, so that a machine's slow minutes slow both.
    """
    upscaler = load(name)
    engine = Engine(upscaler, options, ignore)
    place = engine.placement
    plain = textbook(upscaler.module)
    other = None if plain is None else _placed(plain, engine)
    operations = 2 * multiply_adds(plain or upscaler.module)  # for each input pixel
    product, product_operations = matrix_product(place.device, place.dtype)
    rows: list[ModelSpeed] = []
    for size, batch, tile in itertools.product(sizes, batches, tiles):
        windows = torch.rand(batch, 3, size.height, size.width, device=place.device)
        tiling = _tiling(upscaler, size, tile)
        actions: dict[str, Callable[[], object]] = {
            "network": partial(_tiled, engine, windows, tiling),
            "ceiling": product,
        }
        if other is not None and tile is None and _fits(partial(_run, other, windows)):
            actions["textbook"] = partial(_run, other, windows)
        seconds = medians(actions, repeats, place.device)
        speed = batch * size.pixels * operations / seconds["network"] / 1e12
        ceiling = product_operations / seconds["ceiling"] / 1e12
        rows.append(
            ModelSpeed(
                model=name,
                size=size,
                batch=batch,
                tile=tiling.window,
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


def matrix_product(device: torch.device, dtype: torch.dtype) -> tuple[Callable[[], object], int]:
    """A large square matrix product, what the machine can do at best, and its operations.

    As long as a network takes, or a moment's rest of the machine's neighbours would raise it.
    """
    if dtype == torch.float16 and device.type == "cpu":
        raise OptionsError("no CPU multiplies fp16 quickly", hint="--dtype bf16 or fp32")
    side, times = CEILING_SIDE[device.type], 4
    left, right = (torch.rand(side, side, device=device, dtype=dtype) for _ in range(2))

    def products() -> None:
        for _ in range(times):
            torch.matmul(left, right)

    return products, times * 2 * side**3


def _tiling(upscaler: Upscaler, size: Size, tile: int | None) -> TilePlan:
    side = max(size.width, size.height) if tile is None else tile
    return plan(size, Size(side, side), upscaler.overlap(None, 0), upscaler.multiple_of)


def _tiled(engine: Engine, pictures: Tensor, tiling: TilePlan) -> None:
    exact = engine.upscaler.is_exact(tiling.overlap, 0)
    for tile in tiling.tiles:
        box, kept = tile.window, tile.kept.moved(-tile.window.x, -tile.window.y)
        window = pictures[..., box.y : box.bottom, box.x : box.right]
        engine.network(window, kept if exact and tile.kept != box else None)


def _fits(action: Callable[[], object]) -> bool:
    try:
        action()
    except torch.OutOfMemoryError:
        return False
    return True


def _placed(module: nn.Module, engine: Engine) -> nn.Module:
    place = engine.placement
    module = module.to(place.device, place.dtype)
    return module.to(memory_format=torch.channels_last).eval()  # pyright: ignore[reportCallIssue, reportUnknownVariableType]


@torch.inference_mode()
def _run(module: nn.Module, windows: Tensor) -> Tensor:
    return module(windows.contiguous(memory_format=torch.channels_last)).float()

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
from vsr.errors import OptionsError, OutOfMemory
from vsr.events import ignore
from vsr.geometry import Size
from vsr.infer import device as devices
from vsr.infer.engine import Engine
from vsr.infer.tiles import TilePlan, plan
from vsr.models.arch import Upscaler
from vsr.models.profiling import multiply_adds
from vsr.options import EngineOptions
from vsr.weights import load

CEILING_SIDE = {"cpu": 2048, "cuda": 8192, "mps": 4096}


@dataclass(frozen=True, slots=True)
class ModelSpeed:
    """The speed of one network at one size, batch and side of a tile.

    Seconds are for a batch of pictures, in tiles whose overlap is not counted as work.
    """

    model: str
    """The upscaler's name or path, as it was asked for."""
    size: Size
    """Size of a picture, in source pixels."""
    batch: int
    """Pictures that go through the network at once."""
    tile: Size
    """Size of a window, in source pixels; where one window holds the picture, of the whole of
    it."""
    device: str
    """The torch device, such as "cuda:0"."""
    dtype: str
    """The precision: fp16, bf16 or fp32."""
    seconds: float
    """The median for one batch."""
    textbook_seconds: float | None
    """The same for the module written down plainly, in the same type and memory order; ``None``
    where the shipped one is written so, in tiles, and where memory does not suffice."""
    frames_per_second: float
    """Pictures a second."""
    tflops: float
    """10**12 operations a second, of those that the textbook module takes: two for a
    multiply-add."""
    ceiling_tflops: float
    """The same of a large matrix product in this precision."""
    share: float
    """Share that the network reaches of that product's operations a second."""


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
    tilings = [_tiling(upscaler, size, tile) for size in sizes for tile in tiles]
    rows: list[ModelSpeed] = []
    for tiling, batch in itertools.product(tilings, batches):
        size = tiling.size
        windows = torch.rand(batch, 3, size.height, size.width, device=place.device)
        actions: dict[str, Callable[[], object]] = {
            "network": partial(in_tiles, engine, windows, tiling),
            "ceiling": product,
        }
        if not _fits(actions["network"], place.device):
            raise OutOfMemory(
                f"{name} runs out of memory with {batch} of {size} in tiles of {tiling.window}",
                hint="a smaller --size, --batch or --tile",
            )
        if other is not None and len(tiling.tiles) == 1:
            plainly = partial(_run, other, windows)
            if _fits(plainly, place.device):
                actions["textbook"] = plainly
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
    """Large square matrix products, what the machine can do at best, and their operations.

    Several: in less than a tenth of a second a processor may be quicker than it can remain.
    """
    if dtype == torch.float16 and device.type == "cpu":
        raise OptionsError("no CPU multiplies fp16 quickly", hint="--dtype bf16 or fp32")
    side, times = CEILING_SIDE[device.type], 4
    left, right = (torch.rand(side, side, device=device, dtype=dtype) for _ in range(2))

    def products() -> None:
        for _ in range(times):
            torch.matmul(left, right)

    return products, times * 2 * side**3


def in_tiles(engine: Engine, pictures: Tensor, tiling: TilePlan) -> None:
    """The network on every tile of (n, 3, h, w) pictures, which lie on its device."""
    exact = engine.upscaler.is_exact(tiling.overlap, 0)
    for tile in tiling.tiles:
        box = tile.window
        window = pictures[..., box.y : box.bottom, box.x : box.right]
        engine.network(window, tile.kept_in_window if exact else None)


def _tiling(upscaler: Upscaler, size: Size, tile: int | None) -> TilePlan:
    side = max(size.width, size.height) if tile is None else tile
    return plan(size, Size(side, side), upscaler.overlap(None, 0), upscaler.multiple_of)


def _fits(action: Callable[[], object], device: torch.device) -> bool:
    """Whether memory suffices; always yes on a CPU, where nothing is worth a run to find out."""
    if device.type == "cpu":
        return True
    try:
        action()
        return True
    except RuntimeError as error:
        if not devices.is_out_of_memory(error):
            raise
    devices.release(device)  # the exception held the tensors
    return False


def _placed(module: nn.Module, engine: Engine) -> nn.Module:
    place = engine.placement
    module = module.to(place.device, place.dtype)
    return module.to(memory_format=torch.channels_last).eval()  # pyright: ignore[reportCallIssue, reportUnknownVariableType]


@torch.inference_mode()
def _run(module: nn.Module, windows: Tensor) -> Tensor:
    return module(windows.contiguous(memory_format=torch.channels_last)).float()

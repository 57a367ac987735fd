"""Choose tile and batch from the options or a memory budget; shrink them when memory runs out."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree  # pyright: ignore[reportPrivateUsage]  # no public name for it
from torch.utils._python_dispatch import TorchDispatchMode

from vsr.errors import OutOfMemory
from vsr.geometry import Size
from vsr.infer import device as devices
from vsr.infer.footprint import Footprint
from vsr.infer.tiles import TilePlan, least_tile, plan
from vsr.models.arch import Upscaler
from vsr.models.profiling import on_meta_device
from vsr.options import EngineOptions

SMALL_SIDE = 16
"""Pixels. Windows as small as that go one by one on a CPU: its convolutions sum in another order
for several, and the last bit would depend on how many there are."""


def peak_bytes(function: Callable[[Tensor], object], example: Tensor) -> int:
    """Returns the most bytes alive at once while ``function(example)`` runs, without its input."""
    meter = _PeakMemoryMode()
    with torch.no_grad(), meter:
        function(example)
    return meter.peak


def largest_tensor(function: Callable[[Tensor], object], example: Tensor) -> int:
    """Elements of the largest tensor that ``function(example)`` makes on its way."""
    meter = _PeakMemoryMode()
    with torch.no_grad(), meter:
        function(example)
    return meter.largest


class _PeakMemoryMode(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self.largest = 0
        self._holders: Counter[int] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        before = {self._key(leaf) for leaf in _tensors((args, kwargs))}
        for tensor in _tensors(result):
            key = self._key(tensor)
            if key in before and not self._holders[key]:
                continue  # a view of the input or of a weight
            size = tensor.untyped_storage().nbytes()
            self.largest = max(self.largest, tensor.numel())
            if not self._holders[key]:
                self.live += size
                self.peak = max(self.peak, self.live)
            self._holders[key] += 1
            weakref.finalize(tensor, self._dropped, key, size)
        return result

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing here is compiled, and keeping out of it is a second of imports

    def _dropped(self, key: int, size: int) -> None:
        self._holders[key] -= 1
        if not self._holders[key]:
            self.live -= size

    @staticmethod
    def _key(tensor: Tensor) -> int:
        return tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage]  # identity


def _tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in _pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]


SAFETY = 1.4  # a convolution's scratch memory is not counted
MEASURED = (64, 192)  # sides in pixels of the windows that a GPU's memory is measured with
COUNTED = 32  # of the one whose tensors are counted elsewhere
MAX_ELEMENTS = (1 << 31) - 1
"""Of a tensor on a GPU: kernels for larger ones count in 64 bits, and are slow or wrong."""


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """The network's peak memory, as a line over the pixels of a window."""

    window: float
    """Bytes for each window, however large it is."""
    pixel: float
    """Bytes for each source pixel of a window."""
    elements: float = 0.0
    """Elements of its largest tensor for each source pixel; 0 where they do not matter."""

    def of(self, size: Size, tile: int) -> float:
        """Bytes for a window of at most ``tile`` pixels a side in a picture of ``size``."""
        return self.window + self.pixel * min(size.width, tile) * min(size.height, tile)


def measure_memory(
    module: nn.Module, device: torch.device, dtype: torch.dtype, upscaler: Upscaler
) -> MemoryNeed:
    """Measure on a GPU with two sizes of window; elsewhere count tensor by tensor.

    A network with a bounded receptive field takes as much for each pixel of a small window as of a
    large one, and running it there is quicker than the imports of torch's meta device. Others are
    counted on shapes alone.
    """
    # The float result and its colour conversion come on top: about five floats a channel.
    conversion_bytes = 3 * 4 * 5 * upscaler.scale**2
    if device.type != "cuda":
        side = COUNTED if upscaler.bounded else MEASURED[0]

        def count(network: nn.Module, where: torch.device) -> int:
            return peak_bytes(network, torch.zeros(1, 3, side, side, device=where))

        peak = count(module, device) if upscaler.bounded else on_meta_device(module, count)
        return MemoryNeed(0.0, SAFETY * peak / side**2 + conversion_bytes)
    peaks: list[int] = []
    windows = [
        torch.zeros(1, 3, side, side, device=device, dtype=dtype).contiguous(
            memory_format=torch.channels_last
        )
        for side in MEASURED
    ]
    # The first run also takes what libraries take once, which is no window's.
    elements, _ = (largest_tensor(module, window) for window in windows)
    for window in windows:
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        with torch.no_grad():
            module(window)
        torch.cuda.synchronize(device)
        peaks.append(torch.cuda.max_memory_allocated(device) - before)
    small, large = (side**2 for side in MEASURED)
    slope = max(0.0, (peaks[1] - peaks[0]) / (large - small))
    # Bytes are left over where the larger window came by a plan that takes less a pixel.
    window = max(0.0, *(peak - slope * side**2 for peak, side in zip(peaks, MEASURED, strict=True)))
    return MemoryNeed(window, 1.1 * slope + conversion_bytes, elements / small)


def state_bytes(features: int, dtype: torch.dtype, size: Size) -> int:
    """Bytes of a recurrent network's state: the old, the warped and the new one."""
    return 3 * features * dtype.itemsize * size.pixels


class Sizes:
    """Chooses an engine's tile and batch. Call ``use_network`` first, and when the network
    changes."""

    def __init__(self, options: EngineOptions, device: torch.device, upscaler: Upscaler) -> None:
        self._device, self._upscaler = device, upscaler
        self._tile, self._batch = options.tile, options.batch
        self._budget = devices.budget(
            device, options.memory, generous=upscaler.prefers_one_tile, share=options.share
        )
        self._need: MemoryNeed | None = None
        self._module: nn.Module | None = None
        self._dtype = torch.float32
        self._multiple = upscaler.multiple_of
        self.latest: tuple[TilePlan, int] | None = None

    def use_network(self, module: nn.Module, dtype: torch.dtype) -> None:
        """Choose for this network from now on; its memory is measured when first needed."""
        self._module, self._dtype, self._need = module, dtype, None

    def settle(self, tile: int | None, batch: int | None) -> None:
        """Use this tile and batch from now on, as if they had been asked for; None to choose."""
        self._tile, self._batch = tile, batch

    def choose(self, footprint: Footprint, low: Size, frames: int) -> tuple[TilePlan, int]:
        """Returns the tiles and the batch for ``frames`` frames of the size ``low``, by the options
        or the budget."""
        budget = self._budget - state_bytes(self._upscaler.state_channels, self._dtype, low)
        overlap, multiple = footprint.overlap, footprint.multiple
        self._multiple = multiple
        least = least_tile(overlap, multiple)
        tile = self._tile
        if tile is None:
            tile = max(low.width, low.height)
            while tile > least and not self._fits(low, tile, budget):
                tile = max(least, tile * 3 // 4)
        tiles = plan(low, Size(tile, tile), overlap, multiple)  # raises where a tile is too small
        batch = self._batch
        if batch is None:
            fits = int(budget // max(1.0, self._need_of().of(tiles.window, tile)))
            fits = min(fits, self._most_pixels // tiles.window.pixels)
            useful = devices.useful_batch(self._device, tiles.window.pixels)
            batch = max(1, min(frames * len(tiles.tiles), fits, useful))
        sides = tiles.window.width, tiles.window.height
        if self._device.type == "cpu" and min(sides) <= SMALL_SIDE:
            batch = 1
        self.latest = tiles, batch
        return tiles, batch

    def shrink(self) -> tuple[Size, int]:
        """Go to the next smaller batch or tile; returns both.

        Raises :class:`OutOfMemory` below the smallest.
        """
        if self.latest is None:
            raise OutOfMemory(
                f"memory ran out on {self._device}: the enlarged frames alone do not fit",
                hint="close other programs, use --device cpu, or ask for a smaller --height",
            )
        tiles, batch = self.latest
        side = max(tiles.window.width, tiles.window.height)
        if batch > 1:
            self._batch = batch // 2
        elif side // 2 >= least_tile(tiles.overlap, self._multiple):
            self._batch, self._tile = 1, side // 2
        else:
            raise OutOfMemory(
                f"memory ran out on {self._device} even with tiles of {side} px",
                hint="close other programs, use --device cpu, --dtype fp16 or a smaller --overlap",
            )
        self.latest = None  # memory that runs out before new ones are chosen is not theirs
        window = Size(self._tile or tiles.window.width, self._tile or tiles.window.height)
        return window, self._batch or 1

    def _fits(self, low: Size, tile: int, budget: int) -> bool:
        """Whether a window of at most ``tile`` pixels a side can be run."""
        pixels = min(low.width, tile) * min(low.height, tile)
        return pixels <= self._most_pixels and self._need_of().of(low, tile) <= budget

    @property
    def _most_pixels(self) -> int:
        """Of all windows that run at once, lest a tensor have too many elements for a GPU."""
        elements = self._need_of().elements
        return int(MAX_ELEMENTS // elements) if elements else 1 << 62

    def _need_of(self) -> MemoryNeed:
        if self._need is None:
            assert self._module is not None
            self._need = measure_memory(self._module, self._device, self._dtype, self._upscaler)
        return self._need

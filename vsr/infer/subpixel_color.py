"""Convert colour before the pixel shuffle: from a sub-pixel output straight to integer planes.

The conversion is linear up to the rounding. A cell's luma is a small matrix product of its
channels, its chroma two convolutions over the cells around it. So values pass through memory a few
times instead of forty, and the shuffle moves bytes instead of floats. On x86 CPUs through oneDNN,
whose sums do not depend on how many pixels are computed at once; on CUDA GPUs by torch's plain
convolutions. :func:`vsr.color.from_rgb` is the general way; both agree within rounding.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from vsr.chroma import DOWN_SUPPORT, chroma_down, mirrored, sited_on_luma
from vsr.color import ColorSpec, luma_and_chroma
from vsr.geometry import Box
from vsr.infer.device import CPU, arithmetic
from vsr.infer.fusing import convolved
from vsr.models.subpixel import SubpixelOutput

_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True, slots=True)
class CellContext:
    """How many cells are given as context only, on each side."""

    left: int
    """Columns of cells at the left."""
    top: int
    """Rows of cells at the top."""
    right: int
    """Columns of cells at the right."""
    bottom: int
    """Rows of cells at the bottom."""


class SubpixelColor:
    """Converts cells of ``side`` by ``side`` pixels to planes of a spec, its matrix resolved."""

    def __init__(
        self, spec: ColorSpec, side: int, device: torch.device = CPU, *, plain: bool = False
    ) -> None:
        """``plain`` is for torch's own convolutions and indices, on a CPU too."""
        self._side, self._dtype, self._device = side, spec.dtype, device
        plain = plain or device.type != "cpu"
        self._convolved = functional.conv2d if plain else convolved
        self._mirror = _mirror_at_once if plain else _mirror
        self._peak = float((1 << spec.depth) - 1)
        self._on = sited_on_luma(spec.siting)
        wide, high = spec.shift
        self.support = tuple(DOWN_SUPPORT // side if shift else 0 for shift in spec.shift)
        across, down = (_filter(spec, side, axis, self.support[axis]) for axis in (0, 1))
        luma, chroma, offsets = _matrix(spec)
        pixels, columns, rows = (torch.eye(n) for n in (side**2, side, side >> high))
        # Out of (channel, row, column) of a cell: pixels; chroma's rows, each column for itself;
        # then chroma's columns.
        kernel = torch.einsum("c,pq->pcq", luma, pixels).flatten(1, 2)
        self._luma = kernel[..., None, None]
        kernel = torch.einsum("uc,yap,xr->uyxcpra", chroma, down, columns)
        self._down = kernel.flatten(3, 5).flatten(0, 2)[..., None]
        kernel = torch.einsum("uv,yz,xbr->uyxvzrb", torch.eye(2), rows, across)
        self._across = kernel.flatten(3, 5).flatten(0, 2)[:, :, None]
        self._luma_offset = offsets[0].repeat(side**2) + 0.5
        self._small = (side >> high, side >> wide)  # chroma samples of a cell
        self._chroma_offset = offsets[1:].repeat_interleave(self._across.shape[0] // 2) + 0.5
        for name in ("_luma", "_down", "_across", "_luma_offset", "_chroma_offset"):
            setattr(self, name, getattr(self, name).to(device))

    @staticmethod
    def supports(spec: ColorSpec, side: int, device: torch.device) -> bool:
        """Whether the device is one whose sums were tested, and a cell is whole chroma samples."""
        x86 = platform.machine().lower() in ("x86_64", "amd64")
        tested = x86 and torch.backends.mkldnn.is_available()
        return (
            (device.type == "cuda" or (device.type == "cpu" and tested))
            and spec.layout == "yuv"
            and not spec.alpha
            and max(spec.shift) <= 1
            and side in (2, 4)
        )

    def convert(self, cells: SubpixelOutput, around: CellContext) -> tuple[Tensor, ...]:
        """Convert (n, 3 * side**2, h, w) to integer planes of the cells inside of ``around``.

        The filters read ``reach`` cells, across and down, on either side; where fewer are given,
        the picture ends there and is mirrored.
        """
        wide, x, y = self._extended(cells, around)
        with arithmetic(self._device):
            luma = self._convolved(wide, self._luma, self._luma_offset)
            chroma = self._convolved(wide, self._down)
            chroma = self._convolved(chroma, self._across, self._chroma_offset)
        u, v = self._laid_out(chroma, self._small).unbind(1)
        whole = luma[..., y.start : y.stop, x.start : x.stop]
        return self._laid_out(whole, (self._side, self._side)).squeeze(1), u, v

    def _extended(self, cells: SubpixelOutput, around: CellContext) -> tuple[Tensor, range, range]:
        """The sum with as many cells around as the filters see, and where those wanted are."""
        count, channels, height, width = cells.parts[0].shape
        (x, y), side = self.support, self._side
        left, right = x - around.left, x - around.right  # cells that are missing
        top, bottom = y - around.top, y - around.bottom
        columns, rows = left + width + right, top + height + bottom
        lines = torch.empty(count, rows, columns, channels, device=self._device)
        wide = lines.permute(0, 3, 1, 2)
        given = wide[..., top : top + height, left : left + width]
        *others, last = cells.parts
        given.copy_(last)  # a sum of two types would be twice as long
        for part in others:
            given.add_(part)
        pixels = lines.view(count, rows, columns, -1, side, side)
        across = pixels[:, top : top + height].permute(0, 1, 3, 4, 2, 5)
        self._mirror(across, left, width, right, on=self._on[0])
        self._mirror(pixels.permute(0, 2, 3, 5, 1, 4), top, height, bottom, on=self._on[1])
        return wide, range(x, columns - x), range(y, rows - y)

    def _laid_out(self, values: Tensor, cell: tuple[int, int]) -> Tensor:
        """Round (n, c * rows * columns, h, w) and shuffle it to (n, c, h * rows, w * columns).

        Half a code value was added before, so that truncation rounds.
        """
        codes = values.clamp_(0, self._peak + 0.5).to(self._dtype).permute(0, 2, 3, 1)
        codes = codes.contiguous()  # as oneDNN leaves it; other libraries may not
        rows, columns = cell
        lines = codes.view(_WORDS[columns * codes.element_size()])  # a cell's line is one number
        count, height, width, _ = lines.shape
        grid = lines.view(count, height, width, -1, rows).permute(0, 3, 1, 4, 2)
        planes = lines.new_empty(grid.shape).copy_(grid).view(self._dtype)
        return planes.view(count, -1, height * rows, width * columns)


def cut(
    cells: SubpixelOutput, window: Box, computed: Box, pasted: Box, reach: tuple[int, ...]
) -> tuple[SubpixelOutput, CellContext]:
    """Cut out the cells of the pasted box, with up to ``reach`` cells of context around them.

    ``window`` is in network pixels and the others in target pixels, which are the same here; the
    pasted box begins and ends with whole cells. Returns the cells, and how many are context.
    """
    side, (x, y) = cells.side, reach
    around = CellContext(
        left=min(x, (pasted.x - computed.x) // side),
        top=min(y, (pasted.y - computed.y) // side),
        right=min(x, (computed.right - pasted.right) // side),
        bottom=min(y, (computed.bottom - pasted.bottom) // side),
    )
    left, top = (pasted.x - window.x) // side, (pasted.y - window.y) // side
    rows = slice(top - around.top, top + pasted.height // side + around.bottom)
    columns = slice(left - around.left, left + pasted.width // side + around.right)
    return SubpixelOutput(tuple(part[..., rows, columns] for part in cells.parts), side), around


@lru_cache(8)
@torch.inference_mode(False)
def subpixel_color(spec: ColorSpec, side: int, device: torch.device = CPU) -> SubpixelColor:
    """Returns the converter for a spec; the last eight are kept."""
    return SubpixelColor(spec, side, device)


def _filter(spec: ColorSpec, side: int, axis: int, reach: int) -> Tensor:
    """The chroma filter across (0) or down (1): (samples of a cell, cells read, side)."""
    shift = spec.shift[axis]
    cells = 2 * reach + 7  # the middle one is far from the borders
    impulses = torch.eye(cells * side, dtype=torch.float64)
    along = (0, shift)  # the same filter down the columns
    siting = spec.siting if axis else (3 if sited_on_luma(spec.siting)[0] else 2)
    made = chroma_down(impulses[None], along, siting)[0]  # (samples, pixels)
    samples, middle = side >> shift, cells // 2
    taps = made[middle * samples : (middle + 1) * samples].reshape(samples, cells, side)
    return taps[:, middle - reach : middle + reach + 1].float()


def _matrix(spec: ColorSpec) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of luma (3,) and chroma (2, 3) for R, G and B, and the planes' offsets (3,)."""
    red, green, blue = torch.eye(3, 4, dtype=torch.float64)[:, None, None]  # the last is black
    luma, (u, v) = luma_and_chroma([red, green, blue], replace(spec, shift=(0, 0)))
    made = torch.stack([luma, u, v]).view(3, 4)
    offsets = made[:, 3]
    matrix = (made[:, :3] - offsets[:, None]).float()
    return matrix[0], matrix[1:], offsets.float()


def _mirror(line: Tensor, before: int, length: int, after: int, *, on: bool) -> None:
    """Mirror (..., cells, side) into the cells before and after the ``length`` given ones."""
    side = line.shape[-1]
    for start, count in ((-before, before), (length, after)):
        if count:
            ends = (start * side, (start + count) * side)
            places = mirrored(length * side, ends, on, on, torch.device("cpu"))
            for place, seen in enumerate(map(int, places), (before + start) * side):
                cell, pixel = divmod(seen + before * side, side)
                line[..., place // side, place % side] = line[..., cell, pixel]


def _mirror_at_once(line: Tensor, before: int, length: int, after: int, *, on: bool) -> None:
    """The same in one step for each end: on a GPU every place of its own would be a launch."""
    side = line.shape[-1]
    for start, count in ((-before, before), (length, after)):
        if count:
            seen, filled = _mirrored_places(side, before, length, start, count, on, line.device)
            line[..., filled // side, filled % side] = line[..., seen // side, seen % side]


@lru_cache(64)
@torch.inference_mode(False)
def _mirrored_places(
    side: int, before: int, length: int, start: int, count: int, on: bool, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Where to take from, and where to put, in pixels of a line with all its cells."""
    ends = (start * side, (start + count) * side)
    seen = mirrored(length * side, ends, on, on, device) + before * side
    return seen, torch.arange(*ends, device=device) + before * side

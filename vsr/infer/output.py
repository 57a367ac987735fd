"""Paste enlarged tiles into the target's planes, integer or float, on the device.

Maps kept parts of tiles to the target's pixels, resamples when the target is not the network's own
enlargement, converts colour with enough context for its filters, and pastes or cross-fades.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vsr.chroma import DOWN_SUPPORT
from vsr.color import ColorSpec, from_rgb
from vsr.geometry import Box, Size
from vsr.infer.resample import Taps, resample, support, taps
from vsr.infer.subpixel_color import SubpixelColor, cut, subpixel_color
from vsr.infer.tiles import TilePlan
from vsr.models.subpixel import SubpixelOutput

STRIP_PIXELS = 1 << 18


@dataclass(frozen=True, slots=True)
class Part:
    """One tile: what is made of it, where it is pasted, and how wide it is cross-faded."""

    computed: Box
    """What is converted to planes, in target pixels: the pasted box and the filters' context."""
    pasted: Box
    """What is written to the canvas, in target pixels."""
    fade_x: int
    """Columns at the left edge that are cross-faded, in target pixels."""
    fade_y: int
    """Rows at the top edge that are cross-faded, in target pixels."""
    window: Box
    """What the network makes, in network pixels of the whole frame."""
    wanted: Box
    """The same box in source pixels, from the corner of the tile's window."""


class Output(ABC):
    """The enlarged frames: planes of size ``high`` for source frames of size ``low``.

    Subclasses say what the planes are.
    """

    context = 0  # target pixels that the conversion reads around a pixel
    align = 1  # edges of parts lie on multiples of so many target pixels

    def __init__(self, low: Size, high: Size, scale: int) -> None:
        self.low, self.high, self.scale = low, high, scale
        self.canvas: tuple[Tensor, ...] = ()
        self.parts: list[Part] = []
        self._taps: dict[tuple[int, int, int, int, int, int], Taps] = {}

    @property
    def margin(self) -> int:
        """Source pixels around a kept part, beyond the halo, that its result depends on."""
        sides = ((self.low.width, self.high.width), (self.low.height, self.high.height))
        return max(self._margin_of(low, high) for low, high in sides)

    def _margin_of(self, low: int, high: int) -> int:
        large = low * self.scale
        if large == high and self.scale % self.align == 0:  # edges need not be moved
            return -(-self.context // self.scale)
        around = support(large, high) + (self.context + self.align) * large / high
        return math.ceil(around / self.scale)

    def prepare(self, tiles: TilePlan, *, exact: bool, can_crop: bool) -> None:
        """Map every tile to target pixels.

        With ``exact`` tiles kept parts are pasted side by side; otherwise whole windows are
        cross-faded. ``can_crop`` tells whether the network returns only the wanted part of a
        window.
        """
        self.parts = []
        margin = self.margin
        boxes = [tile.window for tile in tiles.tiles]
        for tile in tiles.tiles:
            window = tile.window
            wanted = window.moved(-window.x, -window.y)  # all of it
            if exact:
                wanted = tile.wanted(margin) if can_crop else wanted
                pasted = self._in_target(tile.kept)
                computed, fade_x, fade_y = pasted.grown(self.context, self.high.box), 0, 0
            else:
                computed = pasted = self._in_target(window)
                fade_x = self._shared(window.x, [box.right for box in boxes if box.x < window.x], 0)
                fade_y = self._shared(
                    window.y, [box.bottom for box in boxes if box.y < window.y], 1
                )
            large = wanted.moved(window.x, window.y).scaled(self.scale)
            self.parts.append(Part(computed, pasted, fade_x, fade_y, large, wanted))

    def accepts_subpixel(self, side: int) -> bool:
        """Whether ``paste`` takes sub-pixel outputs of cells with that side."""
        del side
        return False

    def paste(self, tile: int, frames: slice, enlarged: Tensor | SubpixelOutput) -> None:
        """Paste the network's result for one tile of consecutive frames."""
        for strip in self._strips(self.parts[tile]):
            self._paste_part(strip, frames, enlarged)

    def _strips(self, part: Part) -> list[Part]:
        """Split a part into bands that fit a CPU's cache; not on a GPU, nor if it is faded."""
        pasted, computed = part.pasted, part.computed
        height = max(16, STRIP_PIXELS // computed.width // 16 * 16)
        if self.canvas[0].device.type != "cpu" or part.fade_x or part.fade_y:
            return [part]
        strips: list[Part] = []
        for top in range(pasted.y, pasted.bottom, height):
            bottom = min(pasted.bottom, top + height)
            above = max(computed.y, top - self.context)
            below = min(computed.bottom, bottom + self.context)
            strips.append(
                replace(
                    part,
                    pasted=replace(pasted, y=top, height=bottom - top),
                    computed=replace(computed, y=above, height=below - above),
                )
            )
        return strips

    def _paste_part(self, part: Part, frames: slice, enlarged: Tensor | SubpixelOutput) -> None:
        planes, made = self.made(enlarged, part)
        for canvas, plane in zip(self.canvas, planes, strict=True):
            shrink_x = -(-self.high.width // canvas.shape[-1])
            shrink_y = -(-self.high.height // canvas.shape[-2])
            x = slice(part.pasted.x // shrink_x, -(-part.pasted.right // shrink_x))
            y = slice(part.pasted.y // shrink_y, -(-part.pasted.bottom // shrink_y))
            from_x = x.start - made.x // shrink_x
            from_y = y.start - made.y // shrink_y
            fresh = plane[
                ..., from_y : from_y + y.stop - y.start, from_x : from_x + x.stop - x.start
            ]
            place = canvas[frames, ..., y, x]
            if part.fade_x or part.fade_y:
                fresh = _faded(place, fresh, part.fade_x // shrink_x, part.fade_y // shrink_y)
            place.copy_(fresh)

    @abstractmethod
    def convert(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Convert (n, c, h, w) float RGB to planes of the canvas's kind."""

    def made(self, enlarged: Tensor | SubpixelOutput, part: Part) -> tuple[tuple[Tensor, ...], Box]:
        """Returns a part's planes, and the box in target pixels that they cover."""
        pixels = enlarged.shuffled() if isinstance(enlarged, SubpixelOutput) else enlarged
        return self.convert(self._fitted(pixels, part)), part.computed

    def _fitted(self, enlarged: Tensor, part: Part) -> Tensor:
        """The ``computed`` box of a part, cut out of the enlarged window or resampled from it."""
        computed, window = part.computed, part.window
        if self.high == self.low.scaled(self.scale):
            x, y = computed.x - window.x, computed.y - window.y
            return enlarged[..., y : y + computed.height, x : x + computed.width]
        # Only the rows that this band needs: the others would be multiplied by zero.
        ratio = self.low.height * self.scale / self.high.height
        reach = support(self.low.height * self.scale, self.high.height)
        top = max(window.y, math.floor(computed.y * ratio) - reach)
        bottom = min(window.bottom, math.ceil(computed.bottom * ratio) + reach)
        rows = self._line(
            self.low.height, self.high.height, computed.y, computed.bottom, top, bottom
        )
        columns = self._line(
            self.low.width, self.high.width, computed.x, computed.right, window.x, window.right
        )
        return resample(enlarged[..., top - window.y : bottom - window.y, :], rows, columns)

    def _line(self, low: int, high: int, *places: int) -> Taps:
        start, end, given, given_end = places
        key = (low, high, start, end, given, given_end)
        if key not in self._taps:
            device = self.canvas[0].device
            source = low * self.scale
            self._taps[key] = taps(source, high, (start, end), (given, given_end), device)
        return self._taps[key]

    def _in_target(self, box: Box) -> Box:
        left, right = (self._edge(x, self.low.width, self.high.width) for x in (box.x, box.right))
        top, bottom = (
            self._edge(y, self.low.height, self.high.height) for y in (box.y, box.bottom)
        )
        return Box(left, top, right - left, bottom - top)

    def _edge(self, place: int, low: int, high: int) -> int:
        return high if place == low else place * high // low // self.align * self.align

    def _shared(self, start: int, ends: list[int], axis: int) -> int:
        low, high = (
            (self.low.width, self.high.width) if axis == 0 else (self.low.height, self.high.height)
        )
        return self._edge(max(ends), low, high) - self._edge(start, low, high) if ends else 0


class FloatOutput(Output):
    """Float RGB(A), as the network makes it."""

    def __init__(
        self, shape: torch.Size, low: Size, high: Size, scale: int, device: torch.device
    ) -> None:
        super().__init__(low, high, scale)
        self.canvas = (torch.zeros(*shape, high.height, high.width, device=device),)

    def convert(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Returns the pixels as they are."""
        return (pixels,)


class PlaneOutput(Output):
    """Integer planes of a :class:`ColorSpec`."""

    def __init__(
        self, frames: int, low: Size, high: Size, scale: int, spec: ColorSpec, device: torch.device
    ) -> None:
        super().__init__(low, high, scale)
        self.spec = spec
        self.canvas = tuple(
            torch.empty(frames, plane.height, plane.width, dtype=spec.dtype, device=device)
            for plane in spec.plane_sizes(high)
        )
        self.align = max(spec.multiple)
        self.context = DOWN_SUPPORT * (self.align - 1)

    def convert(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Convert to the spec's code values."""
        return from_rgb(pixels, self.spec)

    def accepts_subpixel(self, side: int) -> bool:
        """Whether nothing is resampled, and colour can be converted before the pixel shuffle."""
        if side != self.scale or not SubpixelColor.supports(self.spec, side, self.canvas[0].device):
            return False
        return self.high == self.low.scaled(side)

    def made(self, enlarged: Tensor | SubpixelOutput, part: Part) -> tuple[tuple[Tensor, ...], Box]:
        """As in the base class; of a sub-pixel output, the planes cover exactly the pasted box."""
        if not isinstance(enlarged, SubpixelOutput):
            return super().made(enlarged, part)
        color = subpixel_color(self.spec, enlarged.side, self.canvas[0].device)
        given = cut(enlarged, part.window, part.computed, part.pasted, color.support)
        return color.convert(*given), part.pasted


def _faded(old: Tensor, new: Tensor, width: int, height: int) -> Tensor:
    """Cross-fade: the weight of ``new`` rises from 0 to 1 over its first columns and rows."""
    across = _ramp(new.shape[-1], width, new.device)
    down = _ramp(new.shape[-2], height, new.device)
    weight = down[:, None] * across[None, :]
    mixed = torch.lerp(old.to(torch.float32), new.to(torch.float32), weight)
    return mixed if new.is_floating_point() else mixed.round_().to(new.dtype)


def _ramp(length: int, rise: int, device: torch.device) -> Tensor:
    places = torch.arange(length, dtype=torch.float32, device=device)
    return ((places + 0.5) / rise).clamp_(max=1) if rise else torch.ones(length, device=device)

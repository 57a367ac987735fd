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

from vsr.color import from_rgb
from vsr.geometry import Box
from vsr.infer.footprint import Conversion, Footprint
from vsr.infer.resample import Taps, resample, support, taps
from vsr.infer.subpixel_color import SubpixelColor, cut, subpixel_color
from vsr.infer.tiles import TilePlan
from vsr.models.subpixel import SubpixelOutput

STRIP_PIXELS = 1 << 18
"""Target pixels of a strip."""


@dataclass(frozen=True, slots=True)
class Part:
    """What becomes of one tile, in target pixels."""

    pasted: Box
    """What is written to the canvas."""
    computed: Box
    """What is converted to planes: the pasted box and the filters' context."""
    fade_x: int
    """Columns at the left edge that are cross-faded."""
    fade_y: int
    """Rows at the top edge that are cross-faded."""


class Output(ABC):
    """The enlarged frames of a conversion. Subclasses say what their planes are."""

    def __init__(self, conversion: Conversion, footprint: Footprint, scale: int) -> None:
        self.low, self.high, self.scale = conversion.low, conversion.high, scale
        self.footprint = footprint
        self.canvas: tuple[Tensor, ...] = ()
        self.parts: list[Part | None] = []
        self.wanted_boxes: list[Box] = []
        """For each part, the box of the frame that the network must return, in source pixels."""
        self._taps: dict[tuple[int, int, int, int, int, int], Taps] = {}

    def prepare(self, tiles: TilePlan, *, can_crop: bool) -> None:
        """Map every tile to target pixels.

        Kept parts of exact tiles are pasted side by side; else whole windows are cross-faded.
        ``can_crop`` tells whether the network can return only a part of a window.
        """
        self.parts, self.wanted_boxes = [], []
        footprint = self.footprint
        boxes = [tile.window for tile in tiles.tiles]
        for tile in tiles.tiles:
            window = tile.window
            crops = footprint.exact and can_crop
            self.wanted_boxes.append(tile.kept.grown(footprint.margin, window) if crops else window)
            pasted = self._in_target(tile.kept if footprint.exact else window)
            if pasted is None:  # of a target far smaller than the source
                self.parts.append(None)
                continue
            if footprint.exact:
                computed, fade_x, fade_y = (
                    pasted.grown(footprint.conversion_support_target, self.high.box),
                    0,
                    0,
                )
            else:
                computed = pasted
                fade_x = self._shared(window.x, [box.right for box in boxes if box.x < window.x], 0)
                fade_y = self._shared(
                    window.y, [box.bottom for box in boxes if box.y < window.y], 1
                )
            self.parts.append(Part(pasted, computed, fade_x, fade_y))

    def accepts_subpixel(self, side: int) -> bool:
        """Whether ``paste`` takes sub-pixel outputs of cells with that side."""
        del side
        return False

    def paste(self, tile: int, frames: slice, enlarged: Tensor | SubpixelOutput) -> None:
        """Paste the network's result for one tile of consecutive frames."""
        part = self.parts[tile]
        for strip in () if part is None else self._strips(part):
            self._paste_part(strip, self.wanted_boxes[tile].scaled(self.scale), frames, enlarged)

    def _strips(self, part: Part) -> list[Part]:
        """Split a part into strips that fit a CPU's cache; not on a GPU, nor if it is faded."""
        pasted, computed = part.pasted, part.computed
        height = max(16, STRIP_PIXELS // computed.width // 16 * 16)
        if self.canvas[0].device.type != "cpu" or part.fade_x or part.fade_y:
            return [part]
        strips: list[Part] = []
        for top in range(pasted.y, pasted.bottom, height):
            bottom = min(pasted.bottom, top + height)
            above = max(computed.y, top - self.footprint.conversion_support_target)
            below = min(computed.bottom, bottom + self.footprint.conversion_support_target)
            strips.append(
                replace(
                    part,
                    pasted=replace(pasted, y=top, height=bottom - top),
                    computed=replace(computed, y=above, height=below - above),
                )
            )
        return strips

    def _paste_part(
        self, part: Part, given: Box, frames: slice, enlarged: Tensor | SubpixelOutput
    ) -> None:
        planes, made = self.made(enlarged, given, part)
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

    def made(
        self, enlarged: Tensor | SubpixelOutput, given: Box, part: Part
    ) -> tuple[tuple[Tensor, ...], Box]:
        """Returns a part's planes, and the box in target pixels that they cover.

        ``given`` is what ``enlarged`` covers, in network pixels.
        """
        pixels = enlarged.shuffled() if isinstance(enlarged, SubpixelOutput) else enlarged
        return self.convert(self._fitted(pixels, given, part.computed)), part.computed

    def _fitted(self, enlarged: Tensor, window: Box, computed: Box) -> Tensor:
        """The ``computed`` box, in target pixels, of the network pixels of ``window``: cut out of
        them, or resampled from them."""
        if self.high == self.low.scaled(self.scale):
            x, y = computed.x - window.x, computed.y - window.y
            return enlarged[..., y : y + computed.height, x : x + computed.width]
        # Only the rows that this strip needs: the others would be multiplied by zero.
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

    def _in_target(self, box: Box) -> Box | None:
        """What becomes of a box, in target pixels; ``None`` where its edges fall together."""
        left, right = (self._edge(x, self.low.width, self.high.width) for x in (box.x, box.right))
        top, bottom = (
            self._edge(y, self.low.height, self.high.height) for y in (box.y, box.bottom)
        )
        if left == right or top == bottom:
            return None
        return Box(left, top, right - left, bottom - top)

    def _edge(self, place: int, low: int, high: int) -> int:
        align = self.footprint.align_target
        return high if place == low else place * high // low // align * align

    def _shared(self, start: int, ends: list[int], axis: int) -> int:
        low, high = (
            (self.low.width, self.high.width) if axis == 0 else (self.low.height, self.high.height)
        )
        return self._edge(max(ends), low, high) - self._edge(start, low, high) if ends else 0


class FloatOutput(Output):
    """Float RGB(A), as the network makes it: (n, channels, H, W) in one plane."""

    def __init__(
        self,
        conversion: Conversion,
        footprint: Footprint,
        scale: int,
        shape: torch.Size,
        device: torch.device,
    ) -> None:
        super().__init__(conversion, footprint, scale)
        self.canvas = (torch.zeros(*shape, self.high.height, self.high.width, device=device),)

    def convert(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Returns the pixels as they are."""
        return (pixels,)


class PlaneOutput(Output):
    """Integer planes of the target's :class:`ColorSpec`, each (n, h, w)."""

    def __init__(
        self,
        conversion: Conversion,
        footprint: Footprint,
        scale: int,
        frames: int,
        device: torch.device,
    ) -> None:
        super().__init__(conversion, footprint, scale)
        self.spec = spec = conversion.target
        self.canvas = tuple(
            torch.empty(frames, plane.height, plane.width, dtype=spec.dtype, device=device)
            for plane in spec.plane_sizes(self.high)
        )

    def convert(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Convert to the spec's code values."""
        return from_rgb(pixels, self.spec)

    def accepts_subpixel(self, side: int) -> bool:
        """Whether nothing is resampled, and colour can be converted before the pixel shuffle."""
        if side != self.scale or not SubpixelColor.supports(self.spec, side, self.canvas[0].device):
            return False
        return self.high == self.low.scaled(side)

    def made(
        self, enlarged: Tensor | SubpixelOutput, given: Box, part: Part
    ) -> tuple[tuple[Tensor, ...], Box]:
        """As in the base class; of a sub-pixel output, the planes cover exactly the pasted box."""
        if not isinstance(enlarged, SubpixelOutput):
            return super().made(enlarged, given, part)
        color = subpixel_color(self.spec, enlarged.side, self.canvas[0].device)
        cells = cut(enlarged, given, part.computed, part.pasted, color.support)
        return color.convert(*cells), part.pasted


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

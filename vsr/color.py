"""Convert planes of code values to RGB and back, on any device.

Matrix, range, primaries, transfer and siting are the code points of ITU-T H.273 / ISO 23091-2, as
FFmpeg numbers them. RGB is never clamped on the way in, so that planes -> RGB -> planes is the
identity even for code values outside of the nominal range; it is clamped once, to integers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from vsr.chroma import chroma_down, chroma_reach, chroma_up
from vsr.geometry import Box, Size

Layout = Literal["yuv", "gray", "rgb"]

UNSPECIFIED = 2
BT709, FCC, BT470BG, SMPTE170M, SMPTE240M, YCGCO, BT2020_NCL, BT2020_CL = 1, 4, 5, 6, 7, 8, 9, 10
FULL_RANGE = 2
PQ, HLG = 16, 18

# Kr and Kb of Y = Kr R + (1 - Kr - Kb) G + Kb B (H.273 table 4). BT.2020's constant-luminance
# variant is read as the other one: only its tag is rare, the round trip is the same.
_LUMA = {
    BT709: (0.2126, 0.0722),
    FCC: (0.30, 0.11),
    BT470BG: (0.299, 0.114),
    SMPTE170M: (0.299, 0.114),
    SMPTE240M: (0.212, 0.087),
    BT2020_NCL: (0.2627, 0.0593),
    BT2020_CL: (0.2627, 0.0593),
}


@dataclass(frozen=True, slots=True)
class ColorSpec:
    """How the planes of a picture are to be read."""

    layout: Layout = "yuv"
    """Which planes there are: Y, U and V; Y alone; or R, G and B."""
    depth: int = 8
    """Bits of a code value, 8 to 16."""
    shift: tuple[int, int] = (1, 1)
    """Log2 of the chroma subsampling, horizontal and vertical: (1, 1) is 4:2:0."""
    alpha: bool = False
    """Whether a plane of alpha follows, of the size of the first plane."""
    matrix: int = UNSPECIFIED
    """H.273's matrix coefficients, such as 1 for BT.709; 2 unspecified."""
    range: int = 0
    """FFmpeg's colour range: 0 unspecified (read as limited), 1 limited, 2 full. RGB always is
    full."""
    primaries: int = UNSPECIFIED
    """H.273's colour primaries, such as 9 for BT.2020; 2 unspecified. They are never converted."""
    transfer: int = UNSPECIFIED
    """H.273's transfer characteristics, such as 16 for PQ; 2 unspecified. Never converted."""
    siting: int = 0
    """FFmpeg's chroma location: 0 unspecified (read as left), 1 left, 2 centre, 3 top left, 4 top,
    5 bottom left, 6 bottom."""

    @property
    def dtype(self) -> torch.dtype:
        """The type of the planes: uint8, or uint16 above 8 bit."""
        return torch.uint8 if self.depth <= 8 else torch.uint16

    @property
    def full(self) -> bool:
        """Whether code values use the full range. RGB always does."""
        return self.range == FULL_RANGE or self.layout == "rgb"

    @property
    def hdr(self) -> bool:
        """Whether the transfer is PQ (SMPTE 2084) or HLG (ARIB B67)."""
        return self.transfer in (PQ, HLG)

    @property
    def multiple(self) -> tuple[int, int]:
        """Width and height that chroma samples cover: sizes in video must be multiples of it."""
        return (1 << self.shift[0], 1 << self.shift[1]) if self.layout == "yuv" else (1, 1)

    def resolved(self, lines: int) -> ColorSpec:
        """This spec with an unspecified matrix read by the usual rule: BT.709 from 720 lines."""
        if self.layout != "yuv" or self.matrix in _LUMA or self.matrix == YCGCO:
            return self
        return replace(self, matrix=BT709 if lines >= 720 else SMPTE170M)

    def plane_sizes(self, size: Size) -> tuple[Size, ...]:
        """The size of each plane of a picture of ``size``."""
        if self.layout == "rgb":
            return (size,) * (4 if self.alpha else 3)
        chroma = Size(_shrunk(size.width, self.shift[0]), _shrunk(size.height, self.shift[1]))
        planes = (size,) if self.layout == "gray" else (size, chroma, chroma)
        return (*planes, size) if self.alpha else planes


def _shrunk(length: int, shift: int) -> int:
    return -(-length // (1 << shift))


def to_rgb(planes: tuple[Tensor, ...], spec: ColorSpec) -> Tensor:
    """Planes to RGB.

    ``planes`` are (n, h, w) integers as :meth:`ColorSpec.plane_sizes` has them; matrix resolved.
    Returns (n, 3, h, w) float32, nominally 0..1 and not clamped; with alpha (n, 4, h, w).
    """
    peak = float((1 << spec.depth) - 1)
    if spec.layout == "rgb":
        return torch.stack([plane.to(torch.float32) for plane in planes], dim=1) / peak
    luma = planes[0].to(torch.float32)
    offset, luma_span, chroma_span = _spans(spec)
    luma = (luma - offset) / luma_span
    if spec.layout == "gray":
        rgb = luma.unsqueeze(1).expand(-1, 3, -1, -1)
    else:
        height, width = luma.shape[-2:]
        middle = float(1 << (spec.depth - 1))
        u, v = (
            chroma_up(
                (plane.to(torch.float32) - middle) / chroma_span,
                spec.shift,
                spec.siting,
                height=height,
                width=width,
            )
            for plane in planes[1:3]
        )
        rgb = torch.stack(_yuv_to_rgb(luma, u, v, spec.matrix), dim=1)
    if spec.alpha:
        rgb = torch.cat([rgb, planes[-1].to(torch.float32).unsqueeze(1) / peak], dim=1)
    return rgb


def part_to_rgb(planes: tuple[Tensor, ...], spec: ColorSpec, box: Box) -> Tensor:
    """Convert a box only: the same as that box of :func:`to_rgb`'s result, to the bit."""
    height, width = planes[0].shape[-2:]
    wide, high = spec.multiple
    left, right = _around(box.x, box.right, width, wide)
    top, bottom = _around(box.y, box.bottom, height, high)
    cut: list[Tensor] = []
    for plane in planes:
        columns = 1 if plane.shape[-1] == width else wide
        rows = 1 if plane.shape[-2] == height else high
        across = slice(left // columns, -(-right // columns))
        cut.append(plane[..., top // rows : -(-bottom // rows), across])
    rgb = to_rgb(tuple(cut), spec)
    return rgb[..., box.y - top : box.bottom - top, box.x - left : box.right - left]


def _around(start: int, end: int, length: int, multiple: int) -> tuple[int, int]:
    """Extend [start, end) by what the chroma filter reads around it, to whole chroma samples."""
    reach = -(-chroma_reach(multiple) // multiple) * multiple
    first = max(0, start // multiple * multiple - reach)
    return first, min(length, -(-end // multiple) * multiple + reach)


def from_rgb(rgb: Tensor, spec: ColorSpec) -> tuple[Tensor, ...]:
    """RGB to planes: the inverse of :func:`to_rgb`, rounded and clamped to ``spec.depth`` bits.

    ``rgb`` is (n, 3, h, w) or (n, 4, h, w) of any floating type, 0..1. A spec with alpha takes a
    missing fourth channel as opaque. A gray spec takes luma by the matrix, BT.709 if unspecified.
    """
    rgb = rgb.to(torch.float32)
    peak = float((1 << spec.depth) - 1)
    channels = [rgb[:, index] for index in range(rgb.shape[1])]
    if spec.layout == "rgb":
        values = [channel * peak for channel in channels[:3]]
    else:
        luma, chroma = luma_and_chroma(channels[:3], spec)
        values = [luma, *chroma]
    if spec.alpha:
        opaque = torch.ones_like(channels[0]) if len(channels) < 4 else channels[3]
        values.append(opaque * peak)
    return tuple(value.add_(0.5).clamp_(0, peak + 0.5).to(spec.dtype) for value in values)


def _spans(spec: ColorSpec) -> tuple[float, float, float]:
    """Offset of black, span of luma, span of chroma, in code values (H.273 section 8.3)."""
    if spec.full:
        peak = float((1 << spec.depth) - 1)
        return 0.0, peak, peak
    step = float(1 << (spec.depth - 8))
    return 16 * step, 219 * step, 224 * step


def _yuv_to_rgb(y: Tensor, u: Tensor, v: Tensor, matrix: int) -> tuple[Tensor, Tensor, Tensor]:
    if matrix == YCGCO:  # U is Cg, V is Co
        rest = y - u
        return rest + v, y + u, rest - v
    kr, kb = _LUMA[matrix]
    red = y + v * (2 * (1 - kr))
    blue = y + u * (2 * (1 - kb))
    return red, (y - kr * red - kb * blue) / (1 - kr - kb), blue


def luma_and_chroma(rgb: list[Tensor], spec: ColorSpec) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Luma and the chroma of a spec, if any, as code values, in fresh tensors.

    Code values from the first sum on, chroma's factors at its own size: fewer passes over planes of
    the enlarged size.
    """
    red, green, blue = rgb
    offset, span, chroma_span = _spans(spec)
    kr, kb = _LUMA.get(spec.matrix, _LUMA[BT709])
    shares = (1 / 4, 1 / 2, 1 / 4) if spec.matrix == YCGCO else (kr, 1 - kr - kb, kb)
    luma = (red * (shares[0] * span)).add_(green, alpha=shares[1] * span)
    luma.add_(blue, alpha=shares[2] * span)
    if spec.layout == "gray":
        return luma.add_(offset), ()
    if spec.matrix == YCGCO:  # U is Cg, V is Co
        pairs = ((luma, green, -span), (red, blue, -1.0))
        scales = (-chroma_span / span, chroma_span / 2)
    else:
        pairs = ((luma, blue, -span), (luma, red, -span))
        scales = tuple(-chroma_span / (2 * (1 - share) * span) for share in (kb, kr))
    both = luma.new_empty(2, *luma.shape)
    for difference, (first, second, weight) in zip(both, pairs, strict=True):
        torch.add(first, second, alpha=weight, out=difference)
    small = chroma_down(both.flatten(0, 1), spec.shift, spec.siting).chunk(2)
    middle = float(1 << (spec.depth - 1))
    u, v = (plane.mul_(scale).add_(middle) for plane, scale in zip(small, scales, strict=True))
    return luma.add_(offset), (u, v)

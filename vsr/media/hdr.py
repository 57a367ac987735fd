"""HDR10 static metadata: read from a decoded frame, and formatted as encoder options."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
from av.sidedata.sidedata import SideData, Type

Point = tuple[Fraction, Fraction]


@dataclass(frozen=True, slots=True)
class Hdr:
    """SMPTE ST 2086 mastering display and CTA-861.3 light levels; parts may be missing.

    ``primaries`` are red, green, blue in CIE 1931 xy; ``luminance`` is the darkest and the
    brightest in cd/m2; ``max_cll`` and ``max_fall`` are in cd/m2.
    """

    primaries: tuple[Point, Point, Point] | None
    white: Point | None
    luminance: tuple[Fraction, Fraction] | None
    max_cll: int | None
    max_fall: int | None


def side_data(frame: av.VideoFrame) -> dict[Type, bytes]:
    """A frame's side data by kind. PyAV's container iterates its items, not their names."""
    items = cast("list[SideData]", list(frame.side_data.keys()))
    return {item.type: bytes(item) for item in items}


def read_hdr(frame: av.VideoFrame) -> Hdr | None:
    """Returns a decoded frame's HDR10 metadata, or ``None``."""
    found = side_data(frame)
    display = found.get(Type.MASTERING_DISPLAY_METADATA)
    light = found.get(Type.CONTENT_LIGHT_LEVEL)
    primaries = white = luminance = None
    if display is not None:
        # AVMasteringDisplayMetadata of libavutil: ten rationals, then two flags.
        numbers = struct.unpack("<20i2i", display[:88])
        values = [
            Fraction(top, bottom or 1)
            for top, bottom in zip(numbers[:20:2], numbers[1:20:2], strict=True)
        ]
        if numbers[20]:
            points = [(values[at], values[at + 1]) for at in range(0, 8, 2)]
            primaries, white = (points[0], points[1], points[2]), points[3]
        if numbers[21]:
            luminance = values[8], values[9]
    cll, fall = struct.unpack("<2I", light[:8]) if light is not None else (None, None)
    return Hdr(primaries, white, luminance, cll, fall) if found.keys() & _KINDS else None


def x265_params(hdr: Hdr) -> list[str]:
    """For ``x265-params``: chromaticity in 1/50000, luminance in 1/10000 cd/m2."""
    params = ["hdr10=1", "repeat-headers=1"]
    if hdr.primaries and hdr.white and hdr.luminance:
        red, green, blue = hdr.primaries
        points = zip(("G", "B", "R", "WP"), (green, blue, red, hdr.white), strict=True)
        text = "".join(f"{name}({_units(x)},{_units(y)})" for name, (x, y) in points)
        low, high = (round(value * 10000) for value in hdr.luminance)
        params.append(f"master-display={text}L({high},{low})")
    if hdr.max_cll is not None:
        params.append(f"max-cll={hdr.max_cll},{hdr.max_fall or 0}")
    return params


def svtav1_params(hdr: Hdr) -> list[str]:
    """For ``svtav1-params``: plain decimals."""
    params: list[str] = []
    if hdr.primaries and hdr.white and hdr.luminance:
        red, green, blue = hdr.primaries
        points = zip(("G", "B", "R", "WP"), (green, blue, red, hdr.white), strict=True)
        text = "".join(f"{name}({float(x):.5f},{float(y):.5f})" for name, (x, y) in points)
        low, high = hdr.luminance
        params.append(f"mastering-display={text}L({float(high):.4f},{float(low):.4f})")
    if hdr.max_cll is not None:
        params.append(f"content-light={hdr.max_cll},{hdr.max_fall or 0}")
    return params


def _units(value: Fraction) -> int:
    return round(value * 50000)


_KINDS = {Type.MASTERING_DISPLAY_METADATA, Type.CONTENT_LIGHT_LEVEL}

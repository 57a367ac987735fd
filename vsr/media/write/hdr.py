"""HDR10 static metadata: read from a decoded frame, and formatted as encoder options."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from av.sidedata.sidedata import Type

Point = tuple[Fraction, Fraction]
BRIGHTEST = 10000  # cd/m2: the most that PQ can say
MAX_LIGHT = 65535  # cd/m2: CTA-861.3 has 16 bits
_SENSELESS = "HDR10 metadata that makes no sense"


@dataclass(frozen=True, slots=True)
class Hdr:
    """SMPTE ST 2086 mastering display and CTA-861.3 light levels; parts may be missing."""

    primaries: tuple[Point, Point, Point] | None
    """Red, green and blue of the mastering display in CIE 1931 xy; ``None`` where unknown."""
    white: Point | None
    """Its white point in CIE 1931 xy; ``None`` where unknown."""
    luminance: tuple[Fraction, Fraction] | None
    """Its darkest and its brightest luminance in cd/m2; ``None`` where unknown."""
    max_cll: int | None
    """Light level of the brightest pixel of all frames in cd/m2; ``None`` where unknown."""
    max_fall: int | None
    """Mean light level of the brightest frame in cd/m2; ``None`` where unknown."""


def read_hdr(found: Mapping[Type, bytes]) -> tuple[Hdr | None, tuple[str, ...]]:
    """What a decoded frame's side data says, and what of it makes no sense, for people."""
    display, lost = _display(found.get(Type.MASTERING_DISPLAY_METADATA))
    light = found.get(Type.CONTENT_LIGHT_LEVEL, b"")
    cll, fall = struct.unpack("<2I", light[:8]) if len(light) >= 8 else (None, None)
    if max(cll or 0, fall or 0) > MAX_LIGHT:
        cll = fall = None
        lost += (f"{_SENSELESS} (light levels)",)
    if display is None and cll is None:
        return None, lost
    return Hdr(*(display or (None, None, None)), cll, fall), lost


Display = tuple[tuple[Point, Point, Point] | None, Point | None, tuple[Fraction, Fraction] | None]


def _display(data: bytes | None) -> tuple[Display | None, tuple[str, ...]]:
    """Primaries, white and luminance of an ``AVMasteringDisplayMetadata`` of libavutil."""
    if data is None or len(data) < 88:
        return None, ()
    numbers = struct.unpack("<20i2i", data[:88])  # ten rationals, then two flags
    values = [
        Fraction(top, bottom or 1)
        for top, bottom in zip(numbers[:20:2], numbers[1:20:2], strict=True)
    ]
    primaries = white = luminance = None
    if numbers[20]:
        points = [(values[at], values[at + 1]) for at in range(0, 8, 2)]
        primaries, white = (points[0], points[1], points[2]), points[3]
    if numbers[21]:
        luminance = values[8], values[9]
    sensible = all(0 <= value <= 1 for value in values[:8]) or not numbers[20]
    sensible &= 0 <= values[8] < values[9] <= BRIGHTEST or not numbers[21]
    if not sensible:
        return None, (f"{_SENSELESS} (mastering display)",)
    return (primaries, white, luminance), ()


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

"""Read the size that a picture file's header claims, before anything is decoded."""

from __future__ import annotations

import struct

from vsr.errors import OptionsError
from vsr.geometry import Size

# Frame headers of JPEG: all of C0 to CF but the tables C4 (DHT), C8 (JPG) and CC (DAC).
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def claimed_size(data: bytes) -> Size | None:
    """Returns the size in a PNG, JPEG, WebP or TIFF header; ``None`` for other or broken files."""
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            return Size(*struct.unpack_from(">II", data, 16)) if data[12:16] == b"IHDR" else None
        if data[:3] == b"\xff\xd8\xff":
            return _jpeg(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
        if data[:4] in (b"II*\0", b"MM\0*"):
            return _tiff(data)
    except (struct.error, IndexError, OptionsError):  # it ends early, or a side is zero
        pass
    return None


def _jpeg(data: bytes) -> Size | None:
    at = 2
    while (at := data.find(b"\xff", at)) >= 0:
        marker = data[at + 1]
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return Size(width, height)
        if marker in (0xD9, 0xDA):  # the end, or pixels: a frame header comes before
            return None
        alone = marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8
        at += 1 if alone else 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _webp(data: bytes) -> Size | None:
    kind = data[12:16]
    if kind == b"VP8X":  # 24 bits each, less one
        sides = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return Size(*sides)
    if kind == b"VP8L":  # 14 bits each, less one, behind the signature
        bits = struct.unpack_from("<I", data, 21)[0]
        return Size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return Size(width & 0x3FFF, height & 0x3FFF)
    return None


def _tiff(data: bytes) -> Size | None:
    order = "<" if data[:1] == b"I" else ">"
    at = struct.unpack_from(f"{order}I", data, 4)[0]
    found: dict[int, int] = {}
    for number in range(struct.unpack_from(f"{order}H", data, at)[0]):
        entry = at + 2 + 12 * number
        tag, kind = struct.unpack_from(f"{order}HH", data, entry)
        if tag in (256, 257):  # ImageWidth, ImageLength: 16 or 32 bits
            form = {3: "H", 4: "I"}.get(kind)
            found[tag] = struct.unpack_from(f"{order}{form}", data, entry + 8)[0] if form else 0
    return Size(found[256], found[257]) if len(found) == 2 else None

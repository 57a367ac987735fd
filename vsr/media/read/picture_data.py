"""What a picture file says beside its pixels: ICC profile, orientation, further pictures."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

MOST_ICC_BYTES = 255 * 65519  # what JPEG's segments hold; 8 MB is a large profile
_PNG, _EXIF, _XMP = b"\x89PNG\r\n\x1a\n", b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_TIFF = b"II*\0", b"MM\0*"
MOST_PAGES = 10_000  # of a TIFF file, that are counted
_ICC = b"ICC_PROFILE\0"  # ICC.1:2022, B.4: its sequence number and their count follow
_TIFF_ORIENTATION, _TIFF_XMP, _TIFF_EXIF, _TIFF_ICC = 274, 700, 34665, 34675
_SRGB_GAMMA = range(45000, 46000)  # 1/2.2 in 100000ths, and as some round it


@dataclass(frozen=True, slots=True)
class PictureData:
    """What a PNG, JPEG, WebP or TIFF file holds beside the pixels of its first picture."""

    icc: bytes = field(default=b"", repr=False)
    """Its ICC profile; empty without one."""
    orientation: int = 1
    """How it is to be turned, 1 to 8, by Exif (and TIFF 6.0, section 8): 1 is not at all."""
    pictures: int = 1
    """How many pictures or pages the file has."""
    others: tuple[str, ...] = ()
    """What else it holds that no target will, for people."""


def picture_data(data: bytes) -> PictureData:
    """Read it from a file's bytes; what is broken counts as not there."""
    view = memoryview(data)
    try:
        if data[:8] == _PNG:
            return _png(view)
        if data[:3] == b"\xff\xd8\xff":
            return _jpeg(view)
        if data[:4] == b"RIFF":
            return _webp(view)
        return _tiff(view) if data[:4] in _TIFF else PictureData()
    except (struct.error, IndexError):  # it ends early
        return PictureData()


def icc_space(icc: bytes) -> str:
    """What colour space an ICC profile is for: ``RGB``, ``GRAY``, ``CMYK``, ...

    Empty where it is not a profile (ICC.1:2022, table 17).
    """
    sound = len(icc) >= 128 and icc[36:40] == b"acsp" and len(icc) <= MOST_ICC_BYTES
    return icc[16:20].decode("ascii", "replace").strip() if sound else ""


def turned(pixels: npt.NDArray[np.generic], orientation: int) -> npt.NDArray[np.generic]:
    """Pixels (h, w, ...) as they are to be shown, by the orientation that was noted of them."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    rows = slice(None, None, -1 if orientation in (3, 4, 7, 8) else 1)
    columns = slice(None, None, -1 if orientation in (2, 3, 6, 7) else 1)
    return pixels[rows, columns]


def with_icc(data: bytes, icc: bytes) -> bytes:
    """A PNG, JPEG, WebP or TIFF file that has no ICC profile, with this one."""
    if data[:8] == _PNG:
        return _png_with_icc(data, icc)
    if data[:3] == b"\xff\xd8\xff":
        return _jpeg_with_icc(data, icc)
    if data[:4] == b"RIFF":
        return _webp_with_icc(data, icc)
    return _tiff_with_icc(data, icc)


def _png_chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def _png(data: memoryview) -> PictureData:
    chunks: dict[bytes, memoryview] = {}
    others: list[str] = []
    for kind, body in _png_chunks(data):
        chunks.setdefault(kind, body)
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            others.append("XMP metadata" if bytes(body[:17]) == b"XML:com.adobe.xmp" else "text")
    icc = b""
    if b"iCCP" in chunks:  # a name, 0, the method 0, and what is deflated
        body = bytes(chunks[b"iCCP"])
        try:
            icc = zlib.decompressobj().decompress(body[body.index(b"\0") + 2 :], MOST_ICC_BYTES)
        except (zlib.error, ValueError):
            others.append("ICC profile (it is broken)")
    elif b"cICP" in chunks:
        others.append("colour of its cICP chunk")
    elif b"gAMA" in chunks and b"sRGB" not in chunks:
        gamma = struct.unpack_from(">I", chunks[b"gAMA"])[0]
        others += [] if gamma in _SRGB_GAMMA else ["gamma of its gAMA chunk"]
    orientation = 1
    if b"eXIf" in chunks:
        others.append("Exif metadata")
        orientation = _orientation(chunks[b"eXIf"])
    count = struct.unpack_from(">I", chunks[b"acTL"])[0] if b"acTL" in chunks else 1
    return PictureData(icc, orientation, max(1, count), _once(others))


def _png_with_icc(data: bytes, icc: bytes) -> bytes:
    body = b"ICC profile\0\0" + zlib.compress(icc)
    parts = [data[:8]]
    for kind, content in _png_chunks(memoryview(data)):
        if kind not in (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP"):  # they say otherwise
            parts.append(_png_chunk(kind, bytes(content)))
        if kind == b"IHDR":
            parts.append(_png_chunk(b"iCCP", body))
    return b"".join(parts)


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _jpeg_segments(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Marker and content of every segment before the pixels."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] not in (0xD9, 0xDA):
        marker = data[at + 1]
        if marker in (0x01, 0xFF) or 0xD0 <= marker <= 0xD8:  # alone, or what fills
            at += 1 if marker == 0xFF else 2
            continue
        length = struct.unpack_from(">H", data, at + 2)[0]
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + length


def _jpeg(data: memoryview) -> PictureData:
    parts: dict[int, bytes] = {}
    others: list[str] = []
    orientation, count = 1, 0
    for marker, view in _jpeg_segments(data):
        body = bytes(view)
        if marker == 0xE2 and body.startswith(_ICC) and len(body) > 14:
            count = body[13]
            parts[body[12]] = body[14:]
        elif marker == 0xE1 and body.startswith(_EXIF):
            others.append("Exif metadata")
            orientation = _orientation(view[6:])
        elif marker == 0xE1 and body.startswith(_XMP):
            others.append("XMP metadata")
        elif marker == 0xE2 and body.startswith(b"MPF\0"):
            others.append("further pictures (MPF: views, or what makes it HDR)")
        elif marker == 0xED and body.startswith(b"Photoshop 3.0\0"):
            others.append("IPTC metadata")
        elif marker == 0xFE:
            others.append("text")
    whole = count and sorted(parts) == list(range(1, count + 1))
    if parts and not whole:
        others.append("ICC profile (it is broken)")
    icc = b"".join(parts[number] for number in sorted(parts)) if whole else b""
    return PictureData(icc, orientation, 1, _once(others))


def _jpeg_with_icc(data: bytes, icc: bytes) -> bytes:
    at = 2
    if data[2:4] == b"\xff\xe0":  # JFIF's segment comes first
        at += 2 + struct.unpack_from(">H", data, 4)[0]
    pieces = [icc[low : low + 65519] for low in range(0, len(icc), 65519)]
    made = [
        b"\xff\xe2"
        + struct.pack(">H", 2 + 14 + len(piece))
        + _ICC
        + bytes((number, len(pieces)))
        + piece
        for number, piece in enumerate(pieces, start=1)
    ]
    return data[:at] + b"".join(made) + data[at:]


def _webp_chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _webp(data: memoryview) -> PictureData:
    icc, orientation, count = b"", 1, 0
    others: list[str] = []
    for kind, body in _webp_chunks(data):
        if kind == b"ICCP":
            icc = bytes(body)
        elif kind == b"EXIF":
            others.append("Exif metadata")
            orientation = _orientation(body[6:] if bytes(body[:6]) == _EXIF else body)
        elif kind == b"XMP ":
            others.append("XMP metadata")
        count += kind == b"ANMF"
    return PictureData(icc, orientation, max(1, count), _once(others))


def _webp_with_icc(data: bytes, icc: bytes) -> bytes:
    """Its extended form (RFC 9649, section 2.7), where the profile comes first."""
    chunks = [(kind, bytes(body)) for kind, body in _webp_chunks(memoryview(data))]
    kind, body = chunks[0]
    if kind == b"VP8X":
        head = bytes((body[0] | 0x20,)) + body[1:]
        chunks = chunks[1:]
    elif kind == b"VP8L":
        bits = struct.unpack_from("<I", body, 1)[0]
        sides = bits & 0x3FFF, bits >> 14 & 0x3FFF
        head = _vp8x(0x20 | (0x10 if bits >> 28 & 1 else 0), *sides)
    else:
        width, height = struct.unpack_from("<HH", body, 6)
        head = _vp8x(0x20, (width & 0x3FFF) - 1, (height & 0x3FFF) - 1)
    chunks = [(b"VP8X", head), (b"ICCP", icc), *chunks]
    packed = b"".join(
        kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
        for kind, body in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(packed)) + b"WEBP" + packed


def _vp8x(flags: int, width: int, height: int) -> bytes:
    """Sides are less one."""
    return struct.pack("<I", flags) + width.to_bytes(3, "little") + height.to_bytes(3, "little")


def _directory(data: memoryview, at: int) -> tuple[dict[int, tuple[int, int, int]], str, int]:
    """Type, count and place of the value by tag; the byte order; where the next directory is."""
    order = "<" if data[0] == 0x49 else ">"
    number = struct.unpack_from(f"{order}H", data, at)[0]
    tags: dict[int, tuple[int, int, int]] = {}
    for entry in range(at + 2, at + 2 + 12 * number, 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, entry)
        tags[tag] = kind, count, entry + 8
    return tags, order, _next_directory(data, order, at)


def _next_directory(data: memoryview, order: str, at: int) -> int:
    number = struct.unpack_from(f"{order}H", data, at)[0]
    return struct.unpack_from(f"{order}I", data, at + 2 + 12 * number)[0]


def _first_directory(data: memoryview) -> int:
    return struct.unpack_from("<I" if data[0] == 0x49 else ">I", data, 4)[0]


def _orientation(data: memoryview) -> int:
    """What Exif data, which are a TIFF file's, say of it; 1 where that makes no sense."""
    try:
        tags, order, _ = _directory(data, _first_directory(data))
        value = struct.unpack_from(f"{order}H", data, tags[_TIFF_ORIENTATION][2])[0]
    except (struct.error, KeyError, IndexError):
        return 1
    return value if 1 <= value <= 8 else 1


def _tiff(data: memoryview) -> PictureData:
    at = _first_directory(data)
    tags, order, after = _directory(data, at)
    icc = b""
    if _TIFF_ICC in tags:
        _, count, place = tags[_TIFF_ICC]
        start = struct.unpack_from(f"{order}I", data, place)[0]
        icc = bytes(data[start : start + count])
    others = [
        name
        for tag, name in ((_TIFF_EXIF, "Exif metadata"), (_TIFF_XMP, "XMP metadata"))
        if tag in tags
    ]
    seen = {at}
    while after and after not in seen and len(seen) < MOST_PAGES:
        seen.add(after)
        try:
            after = _next_directory(data, order, after)
        except struct.error:
            break
    return PictureData(icc, _orientation(data), len(seen), tuple(others))


def _tiff_with_icc(data: bytes, icc: bytes) -> bytes:
    """The first directory is written anew behind all else, with one tag more."""
    view = memoryview(data)
    at = _first_directory(view)
    tags, order, after = _directory(view, at)
    entries = {tag: data[place - 8 : place + 4] for tag, (_, _, place) in tags.items()}
    padded = data + b"\0" * (len(data) % 2)
    entries[_TIFF_ICC] = struct.pack(f"{order}HHII", _TIFF_ICC, 7, len(icc), len(padded))
    padded += icc + b"\0" * (len(icc) % 2)
    made = struct.pack(f"{order}H", len(entries)) + b"".join(
        entries[tag] for tag in sorted(entries)
    )
    made += struct.pack(f"{order}I", after)
    return padded[:4] + struct.pack(f"{order}I", len(padded)) + padded[8:] + made


def _once(names: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))

"""Where the parts of a file lie: boxes, elements and chunks with their sizes. Bytes only."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_BOXES = {
    b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"moof", b"traf", b"mvex",
    b"dinf",
}  # fmt: skip
_MASTERS = {
    0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE, 0xE0, 0xE1, 0x114D9B74, 0x4DBB,
    0x1549A966, 0x1C53BB6B, 0xBB, 0xB7, 0xA0, 0x1254C367, 0x7373, 0x6D80, 0x55B0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes ``start`` to ``end``; its size is kept in ``size_bytes`` bytes at ``size_at``."""

    start: int
    end: int
    size_at: int
    size_bytes: int


def parts_of(data: bytes) -> list[Part]:
    """The parts of an MP4, Matroska, AVI, PNG, WebP, transport stream or safetensors file."""
    if data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"styp"):
        return list(_boxes(data, 0, len(data)))
    if data[:4] == b"\x1a\x45\xdf\xa3":
        return list(_elements(data, 0, len(data)))
    if data[:4] == b"RIFF":
        return list(_chunks(data, 12, len(data)))
    if data[:4] == b"\x89PNG":
        return list(_png(data))
    if data[:1] == b"\x47" and data[188:189] == b"\x47":
        return [Part(at, at + 188, at + 1, 2) for at in range(0, len(data) - 187, 188)]
    if data[8:9] == b"{" and len(data) > 8:
        return [Part(0, 8 + int.from_bytes(data[:8], "little"), 0, 8)]
    # Start codes of MPEG streams and of raw H.264; a size may follow them.
    places = [at for at in range(len(data) - 6) if data[at : at + 3] == b"\0\0\1"]
    return [Part(at, end, at + 4, 2) for at, end in pairwise([*places, len(data)])]


def _boxes(data: bytes, at: int, end: int) -> Iterator[Part]:
    while at + 8 <= end:
        size = int.from_bytes(data[at : at + 4], "big")
        if not 8 <= size <= end - at:
            return
        yield Part(at, at + size, at, 4)
        if data[at + 4 : at + 8] in _BOXES:
            yield from _boxes(data, at + 8, at + size)
        elif data[at + 4 : at + 8] == b"stsd":
            yield from _boxes(data, at + 16, at + size)
        at += size


def _elements(data: bytes, at: int, end: int) -> Iterator[Part]:
    while at < end and data[at]:
        name_bytes = 9 - data[at].bit_length()
        size_at = at + name_bytes
        if size_at >= end or not data[size_at]:
            return
        size_bytes = 9 - data[size_at].bit_length()
        size = int.from_bytes(data[size_at : size_at + size_bytes], "big")
        size &= (1 << 7 * size_bytes) - 1
        inside = size_at + size_bytes
        last = min(end, inside + size)  # an unknown size is all ones: to the end
        yield Part(at, last, size_at, size_bytes)
        if int.from_bytes(data[at:size_at], "big") in _MASTERS:
            yield from _elements(data, inside, last)
        at = last


def _chunks(data: bytes, at: int, end: int) -> Iterator[Part]:
    while at + 8 <= end:
        size = struct.unpack_from("<I", data, at + 4)[0]
        last = min(end, at + 8 + size + size % 2)
        yield Part(at, last, at + 4, 4)
        if data[at : at + 4] == b"LIST":
            yield from _chunks(data, at + 12, last)
        at = last


def _png(data: bytes) -> Iterator[Part]:
    at = 8
    while at + 12 <= len(data):
        last = at + 12 + struct.unpack_from(">I", data, at)[0]
        if last > len(data):
            return
        yield Part(at, last, at, 4)
        at = last

"""Real files, made on the spot, with side data of kinds that PyAV's enumeration does not know."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av

from tests.conftest import picture

BASE = Fraction(1, 12800)
STEP = 512


def multiview(path: Path, frames: int = 6) -> Path:
    """HEVC whose parameter sets announce a second view, as phones' spatial video does.

    FFmpeg decodes the base view, and gives each frame the number of its view. The second view's
    pictures are not there: a decoder of the base view passes over them anyway.
    """
    settings = {"preset": "ultrafast", "x265-params": "log-level=none:bframes=0:repeat-headers=1"}
    units = _units("libx265", (64, 64), frames, settings)
    made = [
        [_two_views(unit, 64, 64) if (unit[0] >> 1) & 63 == 32 else unit for unit in access]
        for access in units
    ]
    return _muxed(path, made, "hevc")


def enhanced(path: Path, frames: int = 6) -> Path:
    """H.264 with LCEVC enhancement data: user data registered by V-Nova (ITU-T T.35, UK 0x0050)."""
    payload = b"\xb4\x00\x50\x00" + b"\x11" * 20
    message = b"\x06\x04" + bytes([len(payload)]) + payload + b"\x80"
    made: list[list[bytes]] = []
    for access in _units("libx264", (64, 48), frames, {"preset": "ultrafast"}):
        first = next(at for at, unit in enumerate(access) if unit[0] & 31 in (1, 5))
        made.append([*access[:first], message, *access[first:]])
    return _muxed(path, made, "h264")


def profiled(path: Path, frames: int = 4) -> Path:
    """A video of PNG pictures (QuickTime) that hold an ICC profile, whose name FFmpeg notes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    with av.open(str(path), "w") as output:
        stream = output.add_stream("png", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        output.start_encoding()
        for place in range(frames):
            lines = b"".join(b"\0" + line.tobytes() for line in picture(64, 48, place / 3))
            parts = (
                (b"IHDR", struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0)),
                (b"iCCP", b"a profile\0\0" + zlib.compress(bytes(200))),
                (b"IDAT", zlib.compress(lines)),
                (b"IEND", b""),
            )
            data = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)
            packet = av.Packet(data)
            packet.pts = packet.dts = place * 40
            packet.time_base, packet.stream = Fraction(1, 1000), stream
            output.mux(packet)
    return path


def _units(
    encoder: str, size: tuple[int, int], frames: int, options: dict[str, str]
) -> list[list[bytes]]:
    """The NAL units of every access unit of a moving picture, without start codes."""
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    (context.width, context.height), context.pix_fmt = size, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = {"bf": "0", **options}
    encode = cast("Callable[[av.VideoFrame | None], list[bytes]]", context.encode)
    packets: list[bytes] = []
    for place in range(frames):
        frame = av.VideoFrame.from_ndarray(picture(*size, place / 3), format="rgb24")
        frame = frame.reformat(format="yuv420p")
        frame.pts, frame.time_base = place, Fraction(1, 25)
        packets += map(bytes, encode(frame))
    packets += map(bytes, encode(None))
    return [[u for u in re.split(rb"\x00?\x00\x00\x01", data) if u] for data in packets]


def _muxed(path: Path, units: list[list[bytes]], kind: str) -> Path:
    raw = path.with_suffix(".raw")
    raw.write_bytes(b"".join(b"\0\0\0\1" + unit for access in units for unit in access))
    with av.open(str(raw), format=kind) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for place, packet in enumerate(source.demux(source.streams.video[0])):
            if packet.size:
                packet.pts = packet.dts = place * STEP
                packet.time_base, packet.duration, packet.stream = BASE, STEP, stream
                output.mux(packet)
    raw.unlink()
    return path


def _two_views(unit: bytes, width: int, height: int) -> bytes:
    """A video parameter set (H.265, 7.3.2.1 and F.7.3.2.1) of two views, from one of one view."""
    plain = unit.replace(b"\0\0\3", b"\0\0")
    profile = plain[6:18]  # general profile, tier and level
    bits = "000011" + _u(1, 6) + "0001" + _u(0xFFFF, 16)  # two layers, one sub-layer
    bits += "".join(_u(byte, 8) for byte in profile)
    bits += "1" + _ue(4, 0, 0) + _u(1, 6) + _ue(1) + "1101"  # two layer sets; an extension
    bits += "1" * (-len(bits) % 8)
    bits += _u(profile[-1], 8) + "0" + _u(0x4000, 16)  # scalability by views alone
    bits += "00001" + _u(1, 4) + "01"  # views 0 and 1
    bits += "1001" + _ue(1, 0) + "0001"  # the second depends on the first
    bits += _ue(0) + _u(width, 16) + _u(height, 16) + "101000000000"  # 4:2:0, 8 bit
    bits += "100" + _ue(4, 4, 0, 0, 0) + "110" + _ue(0) + "001"
    bits += "0" * (-len(bits) % 8)
    data = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    return unit[:2] + re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\x00\x00\x03", data)


def _u(value: int, bits: int) -> str:
    return format(value, f"0{bits}b")


def _ue(*values: int) -> str:
    """Exponential Golomb codes (H.265, 9.2)."""
    codes = (format(value + 1, "b") for value in values)
    return "".join("0" * (len(code) - 1) + code for code in codes)

"""MP4 files whose edit lists hide their first frames, as cameras and cutters write them."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.stream import Stream

from tests.conftest import picture

BASE, STEP = Fraction(1, 15360), 512  # 30 frames a second
REORDERED = 2  # frames: what x264's B-frames put before the first time, in media time


def hiding(
    path: Path,
    *,
    frames: int = 20,
    hidden: Fraction | int = 8,
    fragmented: bool = False,
    sound: bool = False,
) -> Path:
    """A video of which the first ``hidden`` frames' time, and as much sound, is not shown.

    In a fragmented file FFmpeg gives hidden frames times below zero, and no other sign.
    """
    flags = "frag_keyframe+empty_moov+default_base_moof+delay_moov" if fragmented else "faststart"
    with av.open(str(path), "w", options={"movflags": flags}) as output:
        video = output.add_stream("libx264", rate=30, options={"preset": "ultrafast", "bf": "2"})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt, video.time_base = 64, 48, "yuv420p", BASE
        audio = output.add_stream("aac", rate=48000, layout="mono") if sound else None
        for place in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(64, 48, place / 3), format="rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = place * STEP, BASE
            output.mux(video.encode(frame))
        if audio is not None:
            wave = np.sin(np.arange(48000 * frames // 30) / 30).astype(np.float32)[None] / 4
            tone = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            tone.sample_rate, tone.pts = 48000, 0
            encoded = cast("list[av.Packet[Stream]]", audio.encode(tone))  # pyright: ignore
            output.mux(encoded + cast("list[av.Packet[Stream]]", audio.encode(None)))  # pyright: ignore
        output.mux(video.encode(None))
    times = [round((REORDERED + hidden) * STEP), 1024 + round(hidden * 1600)]
    path.write_bytes(_with_edits(path.read_bytes(), times))
    return path


def _with_edits(data: bytes, times: list[int]) -> bytes:
    """The file with one edit a track, which begins at so much of its media time."""
    start, end = next((at, stop) for kind, at, stop in _boxes(data, 0) if kind == b"moov")
    left = iter(times)
    moov = b""
    for kind, at, stop in _boxes(data[:end], start + 8):
        if kind != b"trak":
            moov += data[at:stop]
            continue
        edit = _box(b"elst", struct.pack(">IIIiI", 0, 1, 0, next(left), 1 << 16))
        parts = [(k, data[a:s]) for k, a, s in _boxes(data[:stop], at + 8) if k != b"edts"]
        track = b"".join(p + _box(b"edts", edit) * (k == b"tkhd") for k, p in parts)
        moov += _box(b"trak", track)
    grown = len(moov) + 8 - (end - start)
    made = bytearray(data[:start] + _box(b"moov", moov) + data[end:])
    _show_the_rest(made)
    at = 0
    while (at := made.find(b"stco", at + 1)) > 0:  # chunks lie behind, and moved
        for place in range(int.from_bytes(made[at + 8 : at + 12], "big")):
            here = at + 12 + 4 * place
            moved = int.from_bytes(made[here : here + 4], "big") + grown
            made[here : here + 4] = moved.to_bytes(4, "big")
    return bytes(made)


def _show_the_rest(data: bytearray) -> None:
    """Give edits of unfragmented tracks the rest of the movie's duration; 0 is for fragments."""
    head = data.index(b"mvhd")
    scale, duration = struct.unpack_from(">II", data, head + 16)
    edits = [found.start() for found in re.finditer(b"elst", data)]
    tracks = ((BASE.denominator, REORDERED * STEP), (48000, 1024))
    for at, (rate, early) in zip(edits, tracks, strict=False):
        hidden = struct.unpack_from(">i", data, at + 16)[0] - early
        if duration:
            struct.pack_into(">I", data, at + 12, duration - hidden * scale // rate)


def _boxes(data: bytes, at: int) -> Iterator[tuple[bytes, int, int]]:
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], at, at + size
        at += size


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data) + 8) + kind + data

"""Files that players take as they are: late, trimmed or repeated by edits, with two videos."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import vsr
from tests.conftest import picture, times_of
from vsr.events import Event, Warned
from vsr.media.read.probe import probe

FAST = vsr.UpscaleOptions(model="nearest", preset="ultrafast")
BASE, STEP = Fraction(1, 12800), 512
RATE = 48000
Packets = list[Any]  # of av.packet.Packet


def video(output: Any, times: Sequence[int], base: Fraction = BASE, **options: str) -> Packets:
    stream = output.add_stream("libx264", rate=25, options=options)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    stream.time_base = stream.codec_context.time_base = base
    made: Packets = []
    for place, time in enumerate(times):
        frame = av.VideoFrame.from_ndarray(picture(64, 48, place / 3), format="rgb24")
        frame = frame.reformat(format="yuv420p")
        frame.pts, frame.time_base = time, base
        made += stream.encode(frame)
    return made + stream.encode(None)


def tones(output: Any, pitches: Sequence[int]) -> Packets:
    """A second of each pitch."""
    stream = output.add_stream("pcm_s16le", rate=RATE, layout="mono")
    place = np.arange(RATE)
    waves = [9000 * np.sin(2 * np.pi * pitch * place / RATE) for pitch in pitches]
    sound = np.concatenate(waves).astype(np.int16)[None]
    made: Packets = []
    for at in range(0, sound.shape[1], 1024):
        frame = av.AudioFrame.from_ndarray(sound[:, at : at + 1024], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
        made += stream.encode(frame)
    return made + stream.encode(None)


def written(path: Path, output: Any, packets: Packets) -> Path:
    for packet in sorted(packets, key=lambda packet: float((packet.dts or 0) * packet.time_base)):
        output.mux_one(packet)
    output.close()
    return path


def with_edits(path: Path, edits: Sequence[Sequence[tuple[int, int]]]) -> Path:
    """Give each track its edits: milliseconds, and where they begin in its own time."""
    parts = list(_boxes(path.read_bytes()))
    left = iter(edits)
    assert parts[-1][0] == b"moov"  # behind the media, whose places do not change
    tracks = b""
    for kind, data in _boxes(parts.pop()[1]):
        if kind == b"trak":
            entries = [struct.pack(">IiI", length, at, 1 << 16) for length, at in next(left)]
            count = struct.pack(">II", 0, len(entries))
            edit = _box(b"edts", _box(b"elst", count + b"".join(entries)))
            inner = [(name, data) for name, data in _boxes(data) if name != b"edts"]
            data = b"".join(_box(*part) + edit * (part[0] == b"tkhd") for part in inner)
        tracks += _box(kind, data)
    path.write_bytes(b"".join(_box(*part) for part in parts) + _box(b"moov", tracks))
    return path


def _boxes(data: bytes) -> Iterable[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + size]
        at += size


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data) + 8) + kind + data


@pytest.mark.parametrize("suffix", ["mkv", "webm", "mp4"])
def test_a_file_that_begins_late_is_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"in.{suffix}"
    output = av.open(str(path), "w", options={"avoid_negative_ts": "disabled"})
    base = Fraction(1, 1000)
    if suffix == "webm":
        stream: Any = output.add_stream("libvpx", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 64, 48, "yuv420p", base
        made: Packets = []
        for place in range(50):
            frame = av.VideoFrame.from_ndarray(picture(64, 48, place / 3), format="rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = 10000 + place * 40, base
            made += stream.encode(frame)
        written(path, output, made + stream.encode(None))
    else:
        written(path, output, video(output, [10000 + place * 40 for place in range(50)], base))
    info = probe(path)
    assert info.start_seconds == pytest.approx(10)
    assert info.duration_seconds == pytest.approx(2, abs=0.05)
    report = vsr.upscale(path, tmp_path / "out.mkv", FAST)
    assert report.frames == 50
    assert not report.warnings


def test_a_file_that_is_trimmed_at_its_end_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "in.mov"
    output = av.open(str(path), "w")
    made = video(output, [place * STEP for place in range(100)], bf="0", g="100")
    written(path, output, [*made, *tones(output, [300, 600, 900, 1200])])
    with_edits(path, [[(2000, 0)], [(2000, 0)]])
    target = tmp_path / "out.mkv"
    report = vsr.upscale(path, target, FAST)
    assert report.frames == 50
    assert not report.warnings
    sound = heard(target)
    assert len(sound) == pytest.approx(2 * RATE, abs=2048)


def heard(path: Path) -> np.ndarray:
    """The samples as they are played, silence in the gaps."""
    played = np.zeros(9 * RATE, np.int16)
    end = 0
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            at = round(float((frame.pts or 0) * (frame.time_base or 0)) * RATE)
            samples = frame.to_ndarray().reshape(-1)
            played[at : at + len(samples)] = samples
            end = at + len(samples)
    return played[:end]


def pitch(sound: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(sound)))) * RATE / len(sound)


def test_what_lies_between_two_edits_is_not_heard(tmp_path: Path) -> None:
    path = tmp_path / "in.mov"
    output = av.open(str(path), "w")
    made = video(output, [place * STEP for place in range(100)], bf="0", g="10")
    written(path, output, [*made, *tones(output, [300, 600, 600, 900])])
    second = 12800
    with_edits(path, [[(1000, 0), (1000, 3 * second)], [(1000, 0), (1000, 3 * RATE)]])
    target = tmp_path / "out.mkv"
    assert vsr.upscale(path, target, FAST).frames == 50
    sound = heard(target)
    assert len(sound) == pytest.approx(2 * RATE, abs=2048)
    assert pitch(sound[4000:44000]) == pytest.approx(300, abs=30)
    assert pitch(sound[52000:92000]) == pytest.approx(900, abs=30)


@pytest.mark.parametrize("rate", [2, 15, 24])
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_a_second_video_with_reordered_frames_keeps_its_times(
    tmp_path: Path, rate: int, suffix: str
) -> None:
    """Matroska tells no decoding times."""
    path = tmp_path / "in.mkv"
    output = av.open(str(path), "w")
    base = Fraction(1, 1000)
    first = video(output, [place * 40 for place in range(75)], base)
    times = [round(place * 1000 / rate) for place in range(3 * rate)]
    written(path, output, [*first, *video(output, times, base)])
    with av.open(str(path)) as container:
        before = [packet.pts for packet in container.demux(container.streams[1]) if packet.size]
    target = tmp_path / f"out.{suffix}"
    assert vsr.upscale(path, target, FAST).frames == 75
    with av.open(str(target)) as container:
        packets = [packet for packet in container.demux(container.streams[1]) if packet.size]
        after = [packet.pts * packet.time_base for packet in packets if packet.pts is not None]
    assert after == [Fraction(time or 0, 1000) for time in before]
    assert times_of(target, 1) == [Fraction(time, 1000) for time in times]


@pytest.mark.parametrize("tags", [{"track": "1"}, {"title": "Film", "mood": "blue"}])
def test_a_cover_is_kept_beside_any_tag(tmp_path: Path, tags: dict[str, str]) -> None:
    """FFmpeg's MP4 holds a cover or Apple's list of keys, not both: the tag is named as lost."""
    path = tmp_path / "in.mkv"
    output = av.open(str(path), "w")
    shown = io.BytesIO()
    with av.open(shown, "w", format="mjpeg") as jpeg:
        still: Any = jpeg.add_stream("mjpeg", rate=1)
        still.width, still.height, still.pix_fmt = 64, 48, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(picture(64, 48, 0), format="rgb24")
        for packet in still.encode(frame.reformat(format="yuvj420p")) + still.encode(None):
            jpeg.mux(packet)
    output.add_attachment("cover.jpg", "image/jpeg", shown.getvalue())
    output.metadata.update(tags)
    written(path, output, video(output, [place * STEP for place in range(6)]))
    events: list[Event] = []
    target = tmp_path / "out.mp4"
    vsr.upscale(path, target, FAST, events.append)
    with av.open(str(target)) as container:
        assert [stream.type for stream in container.streams] == ["video", "video"]
        kept = {key: text for key, text in container.metadata.items() if key in tags}
    told = " ".join(event.message for event in events if isinstance(event, Warned))
    assert {key for key in tags if f"not in the target: tag {key.upper()}" not in told} == set(kept)
    assert "mood" not in kept

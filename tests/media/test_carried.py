"""A target is held against its source: every carried packet, and the place where the video ends."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import vsr
from tests.conftest import MakeClip, packets_of
from vsr.errors import MediaError, VerificationFailed
from vsr.events import Advanced, Event
from vsr.jobs.video import run as running
from vsr.media.streams import mux
from vsr.media.streams.packets import TimedPacket

FAST = vsr.UpscaleOptions(model="nearest", preset="ultrafast")
FRAMES = {"time_base": Fraction(1, 25), "step": 1}  # whole frames, as AVI and MPEG-2 count
Spoil = Callable[[Iterator[TimedPacket]], Iterator[TimedPacket]]


def loses_the_end(packets: Iterator[TimedPacket]) -> Iterator[TimedPacket]:
    yield from list(packets)[:-5]


def loses_one(packets: Iterator[TimedPacket]) -> Iterator[TimedPacket]:
    every = list(packets)
    yield from every[:7] + every[8:]


def changes_a_bit(packets: Iterator[TimedPacket]) -> Iterator[TimedPacket]:
    for number, timed in enumerate(packets):
        if number == 9:
            payload = bytearray(bytes(timed.packet))
            payload[len(payload) // 2] ^= 4
            timed.packet.update(bytes(payload))
        yield timed


def comes_late(packets: Iterator[TimedPacket]) -> Iterator[TimedPacket]:
    every = list(packets)
    for timed in every:
        if timed is every[-1]:
            for name in ("pts", "dts"):
                setattr(timed.packet, name, getattr(timed.packet, name) + 4800)
        yield timed


@pytest.mark.parametrize("spoil", [loses_the_end, loses_one, changes_a_bit, comes_late])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_sound_that_is_not_the_source_s_is_found_and_the_segments_stay(
    spoil: Spoil,
    suffix: str,
    make_clip: MakeClip,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, target = make_clip(frames=25, sound=True), tmp_path / f"out.{suffix}"
    real = mux.carried_packets

    def spoilt(*args: Any, **more: Any) -> Iterator[TimedPacket]:
        return spoil(real(*args, **more))

    with monkeypatch.context() as patch:
        patch.setattr(mux, "carried_packets", spoilt)
        with pytest.raises(VerificationFailed, match=r"#1 audio") as caught:
            vsr.upscale(source, target, FAST)
    assert "finished segments are kept" in (caught.value.hint or "")
    assert not target.exists()
    vsr.upscale(source, target, FAST)
    assert packets_of(target, "audio") == packets_of(source, "audio")
    assert {path.name for path in tmp_path.iterdir()} == {source.name, target.name}


@pytest.mark.parametrize("target", ["out.mkv", "out.mp4", "out.mov"])
@pytest.mark.parametrize(
    ("container", "codec"),
    [("ts", "aac"), ("mkv", "pcm_s16le"), ("avi", "mp3"), ("mkv", "libopus"), ("mov", "pcm_s16be")],
)
def test_sound_that_a_container_writes_in_another_form_is_still_the_source_s(
    container: str, codec: str, target: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    """Headers of each packet go (AAC of a transport stream), samples get other packets (PCM)."""
    codec_of_video = "mpeg2video" if container == "ts" else "mpeg4"
    silent = make_clip("silent.mkv", frames=25, codec=codec_of_video, **FRAMES)
    source = tmp_path / f"in.{container}"
    with av.open(str(silent)) as read, av.open(str(source), "w") as made:
        video = made.add_stream_from_template(read.streams.video[0])
        sound = made.add_stream(codec, rate=48000)
        assert isinstance(sound, av.AudioStream)
        sound.layout = "mono"
        for packet in read.demux(read.streams.video[0]):
            if packet.size:
                packet.stream = video
                made.mux(packet)
        wave = (np.sin(np.arange(48000) / 30) * 8000).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48000, 0
        resampler = av.AudioResampler(format=sound.codec_context.format, layout="mono", rate=48000)
        for part in resampler.resample(frame):
            made.mux(sound.encode(part))
        made.mux(sound.encode(None))
    report = vsr.upscale(source, tmp_path / target, FAST)
    if not report.dropped:
        got = b"".join(b"".join(stream) for stream in packets_of(tmp_path / target, "audio"))
        assert got


def test_full_verification_decodes_what_was_written(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes of a frame that were lost on the disk: every packet is there, one does not decode."""
    source, target = make_clip(frames=25), tmp_path / "out.mkv"
    real = running.join

    def join(*args: Any, **more: Any) -> Counter[int]:
        retimed = real(*args, **more)
        part: Path = args[5]
        (payloads,) = packets_of(part, "video")
        lost = payloads[12][len(payloads[12]) // 4 :]
        data = part.read_bytes()
        assert data.count(lost) == 1
        part.write_bytes(data.replace(lost, b"\xff" * len(lost)))
        return retimed

    options = replace(FAST, encoder_options=(("g", "1"),))
    with monkeypatch.context() as patch:
        patch.setattr(running, "join", join)
        with pytest.raises(VerificationFailed, match=r"decode"):
            vsr.upscale(source, target, replace(options, verify="full"))
        assert not target.exists()
        vsr.upscale(source, target, options)  # what packets alone cannot show
    assert vsr.upscale(source, target, replace(options, overwrite=True, verify="full")).frames == 25


@pytest.fixture
def cut_off(make_clip: MakeClip, tmp_path: Path) -> Callable[[str], Path]:
    """A file whose index or header stands at its head, and whose last third is missing."""

    def make(suffix: str) -> Path:
        codec = "mpeg4" if suffix == "avi" else "libx264"
        whole = make_clip(f"whole.{suffix}", frames=75, codec=codec, options={"g": "5"}, **FRAMES)
        path = tmp_path / f"in.{suffix}"
        flags = {"movflags": "+faststart"} if suffix in ("mp4", "mov") else {}
        with av.open(str(whole)) as read, av.open(str(path), "w", options=flags) as made:
            stream = made.add_stream_from_template(read.streams.video[0])
            for packet in read.demux(read.streams.video[0]):
                if packet.size:
                    packet.stream = stream
                    made.mux(packet)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        whole.unlink()
        return path

    return make


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "flv"])
def test_a_video_that_ends_long_before_it_says_is_finished_on_request_only(
    suffix: str, cut_off: Callable[[str], Path], tmp_path: Path
) -> None:
    source, target = cut_off(suffix), tmp_path / "out.mkv"
    with pytest.raises(MediaError, match=r"can be read up to [12]\.\d\d s, and says") as caught:
        vsr.upscale(source, target, FAST)
    assert "--accept-truncated" in (caught.value.hint or "")
    assert "finished segments are kept" in (caught.value.hint or "")
    assert not target.exists()
    accepted = vsr.UpscaleOptions(model="nearest", preset="ultrafast", accept_truncated=True)
    events: list[Event] = []
    report = vsr.upscale(source, target, accepted, events.append)
    assert not any(isinstance(event, Advanced) for event in events)  # nothing is made twice
    assert 25 <= report.frames < 75
    assert re.search(r"the file says (2\.[89]|3\.0)\d s", " ".join(report.warnings))


def test_a_stretch_that_is_whole_needs_no_word(
    cut_off: Callable[[str], Path], tmp_path: Path
) -> None:
    stretch = vsr.UpscaleOptions(model="nearest", preset="ultrafast", end=1.0)
    assert vsr.upscale(cut_off("mp4"), tmp_path / "out.mp4", stretch).frames == 25


def test_sound_may_last_longer_than_the_video(make_clip: MakeClip, tmp_path: Path) -> None:
    short, long = make_clip("short.mp4", frames=10), make_clip("long.mp4", frames=75, sound=True)
    for suffix in ("mp4", "mkv"):
        source = tmp_path / f"in.{suffix}"
        with (
            av.open(str(short)) as pictures,
            av.open(str(long)) as sound,
            av.open(str(source), "w") as made,
        ):
            streams = [
                made.add_stream_from_template(read)
                for read in (pictures.streams.video[0], sound.streams.audio[0])
            ]
            for stream, container, kind in zip(
                streams, (pictures, sound), ("video", "audio"), strict=True
            ):
                for packet in container.demux(**{kind: 0}):
                    if packet.size:
                        packet.stream = stream
                        made.mux(packet)
        report = vsr.upscale(source, tmp_path / f"out.{suffix}", FAST)
        assert report.frames == 10
        assert not report.warnings


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "prores", "ffv1"])
def test_full_verification_accepts_what_every_encoder_writes(
    codec: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    options = vsr.UpscaleOptions(model="nearest", codec=codec, verify="full")  # pyright: ignore[reportArgumentType]
    assert vsr.upscale(make_clip(frames=30), tmp_path / "out.mkv", options).frames == 30

"""Frames that an edit list hides stay out of the target; times below zero lose no frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import vsr
from tests.conftest import MakeClip, times_of
from tests.media.edit_lists import hiding
from vsr import api
from vsr.errors import MediaError, VerificationFailed
from vsr.events import Event, SegmentDone, Started
from vsr.jobs.video import plan as planning
from vsr.jobs.video import run as running
from vsr.jobs.video import source as reading
from vsr.media.read.index import frame_times
from vsr.media.read.reader import Reader

FAST: dict[str, Any] = {"model": "nearest", "device": "cpu", "codec": "ffv1"}
FRAME = Fraction(1, 30)


def options(**changed: Any) -> vsr.UpscaleOptions:
    return vsr.UpscaleOptions(**{**FAST, **changed})


def lumas(path: Path, *, every: int = 1) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        frames = container.decode(container.streams.video[0])
        grays = [cast("NDArray[np.uint8]", frame.to_ndarray(format="gray")) for frame in frames]
    return [gray[::every, ::every] for gray in grays]


def exact(container: str) -> Fraction:
    return Fraction(0) if container == "mp4" else Fraction(1, 2000)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("fragmented", [False, True])
@pytest.mark.parametrize("sound", [False, True])
def test_the_shown_frames_are_in_the_target_and_no_other(
    tmp_path: Path, suffix: str, fragmented: bool, sound: bool
) -> None:
    """Lossless: each frame can be told from its neighbours, and is the source's, enlarged."""
    source = hiding(tmp_path / "in.mp4", fragmented=fragmented, sound=sound)
    before = lumas(source)
    assert len(before) == (20 if fragmented else 12)  # FFmpeg shows hidden ones of fragments
    told: list[Event] = []
    target = tmp_path / f"out.{suffix}"
    report = vsr.upscale(source, target, options(), told.append)
    assert report.frames == 12
    assert next(event.frames for event in told if isinstance(event, Started)) == 12
    times = times_of(target)
    assert len(times) == 12
    for place, time in enumerate(times):
        assert abs(time - place * FRAME) <= exact(suffix)
    for was, now in zip(before[-12:], lumas(target, every=4), strict=True):
        assert np.array_equal(was, now)
    assert vsr.probe(source).start_seconds == 0
    if sound:
        heard = _sound_times(target)
        assert max(heard) == pytest.approx(max(_sound_times(source)), abs=0.002)
        assert min(heard) >= (-0.13 if suffix == "mkv" else -0.022)  # one packet is heard in part


def _sound_times(path: Path) -> list[float]:
    """Of packets that are heard."""
    with av.open(str(path)) as container:
        packets = container.demux(container.streams.audio[0])
        return [
            float(p.pts * p.time_base) for p in packets if p.pts is not None and not p.is_discard
        ]


def test_a_frame_that_is_hidden_in_part_is_shown_from_zero_on(tmp_path: Path) -> None:
    source = hiding(tmp_path / "in.mp4", hidden=Fraction(17, 2), fragmented=True)
    info = vsr.probe(source)
    read = [time for clip in Reader(info) for time in clip.pts]
    assert read == [0, *(256 + 512 * place for place in range(11))]
    assert frame_times(info) == tuple(read)
    report = vsr.upscale(source, tmp_path / "out.mp4", options())
    assert report.frames == 12
    assert times_of(tmp_path / "out.mp4") == [time * info.time_base for time in read]


@pytest.mark.parametrize("devices", [None, "cpu:2"])
@pytest.mark.parametrize("fragmented", [False, True])
def test_interrupted_and_by_several_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, devices: str | None, fragmented: bool
) -> None:
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", Fraction(4, 30))
    source = hiding(tmp_path / "in.mp4", fragmented=fragmented)
    info = vsr.probe(source)
    assert frame_times(info) == tuple(512 * place for place in range(12))
    chosen = options() if devices is None else options(devices=devices, device="auto")

    def interrupt(event: Event) -> None:
        if isinstance(event, SegmentDone):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vsr.upscale(source, tmp_path / "out.mp4", chosen, interrupt)
    report = vsr.upscale(source, tmp_path / "out.mp4", chosen)
    assert report.frames == 12
    assert not report.warnings
    assert times_of(tmp_path / "out.mp4") == [place * FRAME for place in range(12)]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_clock_that_wrapped_loses_no_frame(
    make_clip: MakeClip, tmp_path: Path, suffix: str
) -> None:
    """FFmpeg counts back below zero from where a transport stream's 33 bits begin anew."""
    plain = make_clip(frames=20)
    source = tmp_path / "in.ts"
    with (
        av.open(str(plain)) as read,
        av.open(str(source), "w", options={"avoid_negative_ts": "disabled"}) as output,
    ):
        stream = output.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.size and packet.pts is not None and packet.dts is not None:
                packet.pts, packet.dts = packet.pts - 512 * 45, packet.dts - 512 * 45
                packet.stream = stream
                output.mux(packet)
    assert min(times_of(source)) < 0
    report = vsr.upscale(source, tmp_path / f"out.{suffix}", options())
    assert report.frames == 20
    assert "all are moved to begin at 0" in report.warnings[0]
    for place, time in enumerate(times_of(tmp_path / f"out.{suffix}")):
        assert abs(time - place * Fraction(1, 25)) <= exact(suffix)
    part = vsr.upscale(source, tmp_path / f"part.{suffix}", options(start=0.4))
    assert part.frames == 10


def test_an_edit_list_that_hides_all_is_said(tmp_path: Path) -> None:
    source = hiding(tmp_path / "in.mp4", hidden=30, fragmented=True)
    with pytest.raises(MediaError, match="hides all"):
        vsr.upscale(source, tmp_path / "out.mp4", options())


def test_hidden_packets_do_not_count_as_frames_of_a_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target that would show fewer frames than were made fails, and keeps what was made."""

    def nothing(*_: Any, **__: Any) -> Fraction:
        return Fraction(0)

    monkeypatch.setattr(reading, "_begin", nothing)
    monkeypatch.setattr("vsr.media.read.probe.MediaInfo.hides_early", False)
    source = hiding(tmp_path / "in.mp4", fragmented=True)
    target = tmp_path / "out.mp4"
    with pytest.raises(VerificationFailed) as caught:
        vsr.upscale(source, target, options())
    assert "1 finished segments are kept" in (caught.value.hint or "")
    assert not target.exists()
    monkeypatch.setattr(running, "verify", nothing)
    resumed: list[bool] = []

    def note(event: Event) -> None:
        if isinstance(event, SegmentDone):
            resumed.append(event.resumed)

    api.upscale(source, target, options(), note)
    assert resumed == [True]

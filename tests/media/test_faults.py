"""Streams that go wrong in the middle: each is finished truthfully, or one clear error."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

import vsr
import vsr.api
from tests.conftest import MakeClip, times_of
from vsr.errors import MediaError, OptionsError, StorageError
from vsr.events import Advanced, Event
from vsr.jobs.extraction import extract
from vsr.jobs.job import plan_job
from vsr.jobs.video import plan as planning
from vsr.media.extract.selection import ExtractOptions
from vsr.media.read.reader import Reader

FAST = vsr.UpscaleOptions(model="nearest", preset="ultrafast")
OFTEN = {"g": "4", "bf": "0", "preset": "ultrafast"}  # a keyframe every four frames


@pytest.fixture
def joined(make_clip: MakeClip, tmp_path: Path) -> Callable[..., Path]:
    """Two clips one after the other in one file, as recorders and `cat` leave them."""

    def join(suffix: str, **second: object) -> Path:
        base = {"time_base": Fraction(1, 90000), "step": 3600, "options": OFTEN}
        parts = [
            make_clip(f"{place}.{suffix}", **{**base, **more})
            for place, more in enumerate(({}, second))
        ]
        path = tmp_path / f"joined.{suffix}"
        path.write_bytes(b"".join(part.read_bytes() for part in parts))
        return path

    return join


@pytest.mark.parametrize("suffix", ["ts", "h264"])
def test_another_size_in_the_middle_is_one_error_that_says_when(
    suffix: str, joined: Callable[..., Path], tmp_path: Path
) -> None:
    target = tmp_path / "out.mkv"
    source = joined(suffix, size=(96, 64))
    with pytest.raises(MediaError, match=r"changes size at 0.480 s, from 64x48 to 96x64") as caught:
        vsr.upscale(source, target, FAST)
    assert "--end 0.480" in (caught.value.hint or "")
    assert {path.name for path in tmp_path.iterdir() if "out" in path.name} == set()
    if suffix == "ts":  # the way out that the hint names
        first = vsr.UpscaleOptions(model="nearest", preset="ultrafast", end=0.48)
        assert vsr.upscale(source, target, first).frames == 12


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv444p"])
def test_another_pixel_format_in_the_middle_is_converted_and_told(
    pix_fmt: str, joined: Callable[..., Path], tmp_path: Path
) -> None:
    report = vsr.upscale(joined("ts", pix_fmt=pix_fmt), tmp_path / "out.mkv", FAST)
    assert report.frames == 24
    assert any("12 frames changed pixel format" in warning for warning in report.warnings)
    with av.open(str(tmp_path / "out.mkv")) as made:
        frames = [frame.to_ndarray(format="gray") for frame in made.decode(video=0)]
    # The two halves show the same pictures: nothing was torn or shifted by the conversion.
    for first, second in zip(frames[:12], frames[12:], strict=True):
        assert np.abs(first.astype(int) - second).mean() < 4


@pytest.mark.parametrize("target", ["out.mkv", "out.mp4"])
def test_times_that_begin_anew_go_on_without_a_gap(
    target: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    """Picture and sound alike: half a second, twice."""
    one = make_clip("one.ts", sound=True, options=OFTEN)
    source = tmp_path / "twice.ts"
    source.write_bytes(one.read_bytes() * 2)
    report = vsr.upscale(source, tmp_path / target, FAST)
    assert any("times fell back" in warning for warning in report.warnings)
    times = times_of(tmp_path / target)
    assert len(times) == 24
    assert all(abs(b - a - Fraction(1, 25)) < Fraction(1, 500) for a, b in pairwise(times))
    with av.open(str(tmp_path / target)) as made:
        stamps = [p.pts * p.time_base for p in made.demux(audio=0) if p.size and p.pts is not None]
    assert stamps[-1] - stamps[0] > Fraction(4, 5)
    steps = [second - first for first, second in pairwise(stamps)]
    assert max(steps) < Fraction(1, 10)
    assert min(steps) > 0


def test_a_missing_first_keyframe_costs_the_frames_that_need_it_and_no_more(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    whole = make_clip("whole.mkv", frames=16, options=OFTEN)
    source = tmp_path / "late.mkv"
    with av.open(str(whole)) as read, av.open(str(source), "w") as output:
        stream = output.add_stream_from_template(read.streams.video[0])
        packets = [packet for packet in read.demux(video=0) if packet.size]
        for packet in packets[2:]:
            packet.stream = stream
            output.mux(packet)
    report = vsr.upscale(source, tmp_path / "out.mkv", FAST)
    assert report.frames == 12
    assert times_of(tmp_path / "out.mkv") == times_of(whole)[4:]


def test_damage_in_the_middle_is_counted_and_the_rest_is_there(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    source = make_clip("whole.mp4", frames=24, options=OFTEN)
    data = bytearray(source.read_bytes())
    middle = data.index(b"mdat") + len(data) // 4
    data[middle : middle + 600] = b"\x55" * 600
    source.write_bytes(data)
    report = vsr.upscale(source, tmp_path / "out.mkv", FAST)
    assert 20 <= report.frames <= 24
    assert len(times_of(tmp_path / "out.mkv")) == report.frames
    assert report.damaged
    assert any("damaged" in warning for warning in report.warnings)


@pytest.mark.parametrize("fault", ["truncated", "replaced", "grown"])
def test_a_source_that_changes_while_it_is_read_leaves_no_target(
    fault: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    source = make_clip(frames=100, sound=True)
    other = make_clip("other.mp4", frames=100, size=(64, 48), sound=True)
    target, once = tmp_path / "out.mp4", threading.Event()

    def strike(event: Event) -> None:
        if not isinstance(event, Advanced) or once.is_set():
            return
        once.set()
        if fault == "truncated":
            os.truncate(source, source.stat().st_size // 2)
        elif fault == "replaced":
            os.replace(other, source)
        else:
            with source.open("ab") as file:
                file.write(b"more")

    with pytest.raises(MediaError) as caught:
        vsr.upscale(source, target, FAST, strike)
    if fault == "grown":
        assert "changed while it was read" in caught.value.message
    assert not target.exists()


def test_frames_of_a_folder_that_change_leave_no_target(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for place in range(40):
        cv2.imwrite(str(folder / f"{place:03d}.png"), np.full((48, 64, 3), place, np.uint8))

    def strike(event: Event) -> None:
        if isinstance(event, Advanced):
            cv2.imwrite(str(folder / "000.png"), np.full((48, 64, 3), 99, np.uint8))

    with pytest.raises(MediaError, match="changed while it was read"):
        vsr.upscale(folder, folder / "out.mkv", FAST, strike)
    assert not (folder / "out.mkv").exists()
    assert vsr.upscale(folder, folder / "out.mkv", FAST).frames == 40


def test_a_source_that_stops_answering_is_an_error_that_keeps_the_segments(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that never comes back, in the middle of the film."""
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", Fraction(4, 25))
    source, target = make_clip(frames=40, options={"g": "4"}), tmp_path / "out.mp4"
    vsr.upscale(source, tmp_path / "calm.mp4", FAST)
    answers = threading.Event()
    real = Reader._packets  # pyright: ignore[reportPrivateUsage]  # where a read blocks

    def packets(reader: Reader, *args: Any) -> Iterator[Any]:
        for number, packet in enumerate(real(reader, *args)):
            if number == 30:
                with reader.timer.reading():
                    answers.wait(60)
            yield packet

    with monkeypatch.context() as patch:
        patch.setattr(Reader, "_packets", packets)
        with pytest.raises(StorageError, match="does not answer") as caught:
            vsr.upscale(source, target, replace(FAST, stall=2.0))
    answers.set()
    assert "finished segments are kept" in (caught.value.hint or "")
    assert not target.exists()
    events: list[Event] = []
    vsr.upscale(source, target, FAST, events.append)
    assert sum(event.frames for event in events if isinstance(event, Advanced)) < 40
    assert target.read_bytes() == (tmp_path / "calm.mp4").read_bytes()


class _Blocked:
    """Makes reads of a source block from the first, or from a later one, until it is released."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch, self.answers = patch, threading.Event()

    def packets(self, number: int) -> None:
        real = Reader._packets  # pyright: ignore[reportPrivateUsage]  # where a read blocks

        def packets(reader: Reader, *args: Any) -> Iterator[Any]:
            for place, packet in enumerate(real(reader, *args)):
                if place == number:
                    with reader.timer.reading():
                        self.answers.wait(60)
                yield packet

        self._patch.setattr(Reader, "_packets", packets)

    def pictures(self, number: int) -> None:
        real = Path.read_bytes

        def read(path: Path) -> bytes:
            if path.name == f"{number:03d}.png":
                self.answers.wait(60)
            return real(path)

        self._patch.setattr(Path, "read_bytes", read)

    def folders(self) -> None:
        real = os.walk

        def walk(*args: Any, **options: Any) -> Iterator[Any]:
            self.answers.wait(60)
            yield from real(*args, **options)

        self._patch.setattr(os, "walk", walk)

    def first_byte(self) -> None:
        real = Path.open

        def open_it(path: Path, *args: Any, **options: Any) -> Any:
            if options.get("buffering") == 0:
                self.answers.wait(60)
            return real(path, *args, **options)  # pyright: ignore[reportUnknownVariableType]

        self._patch.setattr(Path, "open", open_it)


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Blocked]:
    with monkeypatch.context() as patch:
        reads = _Blocked(patch)
        yield reads
        reads.answers.set()


@pytest.mark.parametrize("number", [0, 20])
def test_a_source_that_stops_answering_leaves_no_folder_of_frames(
    make_clip: MakeClip, tmp_path: Path, blocked: _Blocked, number: int
) -> None:
    source = make_clip(frames=40)
    before = sorted(tmp_path.iterdir())
    blocked.packets(number)
    with pytest.raises(StorageError, match="does not answer"):
        vsr.upscale(source, tmp_path / "frames", replace(FAST, stall=0.5))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("number", [0, 3])
def test_a_folder_of_pictures_that_stops_answering_leaves_none(
    tmp_path: Path, blocked: _Blocked, number: int
) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    for place in range(5):
        cv2.imwrite(str(folder / f"{place:03d}.png"), np.full((48, 64, 3), place, np.uint8))
    blocked.pictures(number)
    with pytest.raises(StorageError, match="does not answer"):
        vsr.upscale(folder, tmp_path / "large", replace(FAST, stall=0.5))
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("number", [0, 20])
def test_an_extraction_ends_where_the_source_stops_answering(
    make_clip: MakeClip, tmp_path: Path, blocked: _Blocked, number: int
) -> None:
    source = make_clip(frames=40)
    blocked.packets(number)
    with pytest.raises(StorageError, match="does not answer"):
        extract(ExtractOptions((source,), tmp_path / "frames", stall=0.5))


def test_a_description_ends_where_the_source_does_not_answer(
    make_clip: MakeClip, blocked: _Blocked
) -> None:
    source = make_clip()
    info = vsr.probe(source)
    blocked.first_byte()
    with pytest.raises(StorageError, match="does not answer"):
        vsr.probe(source, stall=0.5)
    with pytest.raises(StorageError, match="does not answer"):
        vsr.api.survey(info, stall=0.5)


@pytest.mark.parametrize("number", [0, 20])
def test_a_dry_run_ends_where_the_source_stops_answering(
    make_clip: MakeClip,
    tmp_path: Path,
    blocked: _Blocked,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    options = replace(FAST, stall=0.5)
    job = plan_job(make_clip(frames=40), tmp_path / "out.mp4", options, vsr.load("nearest"))
    engine = vsr.Engine(vsr.load("nearest"))
    blocked.packets(number)
    with pytest.raises(StorageError, match="does not answer"):
        job.forecast(engine)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_batch_ends_where_a_folder_stops_answering(tmp_path: Path, blocked: _Blocked) -> None:
    (tmp_path / "films").mkdir()
    blocked.folders()
    with pytest.raises(StorageError, match="does not answer"):
        vsr.upscale_batch([tmp_path / "films"], tmp_path / "large", replace(FAST, stall=0.5))
    assert not (tmp_path / "large").exists()


def test_a_negative_wait_is_refused(make_clip: MakeClip, tmp_path: Path) -> None:
    source = make_clip()
    with pytest.raises(OptionsError, match="stall"):
        vsr.probe(source, stall=-1.0)
    with pytest.raises(OptionsError, match="stall"):
        ExtractOptions((source,), tmp_path / "frames", stall=-1.0)

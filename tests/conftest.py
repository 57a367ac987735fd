"""Small real files made on the spot, and the folder of natural media that CI has."""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
import torch
from av.error import InvalidDataError

from tests import fork_server
from vsr.jobs.workers import process as worker_process
from vsr.system import scheduling_kept

# Shells start what runs in the background with Ctrl-C ignored, and so would everything it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
MakeClip = Callable[..., Path]
if sys.platform == "win32":
    # They kill, fork, starve and time processes by what only Unix has.
    collect_ignore = [
        "faults", "jobs/test_cluster.py", "jobs/test_crashes.py", "jobs/test_executors.py",
        "jobs/test_memory.py", "test_untrusted.py", "training/test_ranks.py",
    ]  # fmt: skip


def pytest_collection_finish() -> None:
    """Modules and thousands of tests stay: no collection of garbage needs to visit them."""
    with suppress(ImportError):  # its plugins look for objects, which a freeze hides
        importlib.import_module("hypothesis")
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of natural media: clips/, tricky/. Named by VSR_MEDIA."""
    place = os.environ.get("VSR_MEDIA")
    if not place:
        pytest.skip("VSR_MEDIA is not set: no natural media here")
    return Path(place) / "media"


@pytest.fixture(scope="session")
def samples() -> Path:
    """The project's own sample clips."""
    return Path(__file__).parent.parent / "samples"


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Small tensors are faster on one thread, and encoders have their own."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def quick_ends(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of tests that are not extended are spared the second half of their end."""
    is_extended = request.node.get_closest_marker("extended") is not None
    monkeypatch.setattr(fork_server, "QUICK_ENDS", not is_extended)


@pytest.fixture(autouse=True)
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of runs in this process are forks of one that has imported everything.

    Each would need two seconds to import it. Those of commands start as they do for users.
    """
    if sys.platform != "win32":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["vsr.api", "vsr.jobs.workers.process"])
        monkeypatch.setattr(worker_process, "_SPAWN", context)


@pytest.fixture(autouse=True)
def usual_scheduling() -> Generator[None]:
    """An SVT-AV1 that a test opens itself, as root, puts the process before all others."""
    with scheduling_kept():
        yield


def picture(width: int, height: int, shade: float) -> np.ndarray:
    """A textured RGB frame that moves with ``shade``."""
    y, x = np.mgrid[0:height, 0:width]
    waves = np.sin(x / 7 + shade) + np.cos(y / 5 - shade / 2) + np.sin((x + y) / 3)
    red = 128 + 40 * waves
    return np.clip(np.stack([red, 255 - red, red // 2 + 60], axis=2), 0, 255).astype(np.uint8)


def decodable(packets: list[Any]) -> list[Any]:
    """Packets of which none is decoded behind its time, as x265 says at random of one frame."""
    for packet in packets:
        if packet.dts is not None and packet.pts is not None:
            packet.dts = min(packet.dts, packet.pts)
    return packets


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """Write a small video: ``pts`` in ``time_base``, with sound where ``sound`` is asked for."""

    def make(
        name: str = "in.mp4",
        *,
        size: tuple[int, int] = (64, 48),
        pts: list[int] | None = None,
        frames: int = 12,
        time_base: Fraction = Fraction(1, 12800),
        step: int = 512,
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        tags: tuple[int, int, int, int] | None = None,
        options: dict[str, str] | None = None,
        sound: bool = False,
        sample_aspect: Fraction | None = None,
        rotation: int = 0,
    ) -> Path:
        path = tmp_path / name
        times = pts if pts is not None else [place * step for place in range(frames)]
        with av.open(str(path), "w") as container:
            video = container.add_stream(codec, rate=25, options=options or {})
            assert isinstance(video, av.VideoStream)
            video.width, video.height = size
            video.pix_fmt = pix_fmt
            video.time_base = time_base
            context = video.codec_context
            context.time_base = time_base
            if sample_aspect is not None:
                context.sample_aspect_ratio = sample_aspect
            if tags is not None:
                context.colorspace, context.color_range = tags[0], tags[1]
                context.color_primaries, context.color_trc = tags[2], tags[3]
            if rotation:
                video.set_display_rotation(rotation)
            audio = container.add_stream("aac", rate=48000) if sound else None
            if audio is not None:
                assert isinstance(audio, av.AudioStream)
                audio.layout = "stereo"
            for place, time in enumerate(times):
                frame = av.VideoFrame.from_ndarray(picture(*size, place / 3), format="rgb24")
                frame = frame.reformat(format=pix_fmt)
                frame.pts, frame.time_base = time, time_base
                container.mux(decodable(cast("list[Any]", video.encode(frame))))
            container.mux(decodable(cast("list[Any]", video.encode(None))))
            if audio is not None:
                seconds = float((times[-1] + step) * time_base)
                wave = np.sin(np.arange(int(seconds * 48000)) / 30).astype(np.float32) / 4
                sound_frame = av.AudioFrame.from_ndarray(
                    np.stack([wave, -wave]), format="fltp", layout="stereo"
                )
                sound_frame.sample_rate = 48000
                sound_frame.pts = 0
                container.mux(audio.encode(sound_frame))
                container.mux(audio.encode(None))
        return path

    return make


def times_of(path: Path, index: int | None = None) -> list[Fraction]:
    """Presentation times of every decoded frame of the (or a) video stream, in seconds."""
    times: list[Fraction] = []
    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        if index is not None:
            stream = cast(av.VideoStream, container.streams[index])
        base = stream.time_base or Fraction(1)
        for packet in container.demux(stream):
            try:
                times += [frame.pts * base for frame in packet.decode() if frame.pts is not None]
            except InvalidDataError:
                continue
    return times


def packets_of(path: Path, kind: str) -> list[list[bytes]]:
    """The payloads of every stream of one kind."""
    with av.open(str(path), metadata_errors="replace") as container:
        found: dict[int, list[bytes]] = {s.index: [] for s in container.streams if s.type == kind}
        for packet in container.demux():
            if packet.size and packet.stream_index in found:
                found[packet.stream_index].append(bytes(packet))
    return list(found.values())


def tags_of(path: Path) -> tuple[int, int, int, int]:
    """Matrix, range, primaries and transfer as the decoder reports them."""
    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        next(container.decode(stream))
        context = stream.codec_context
        return (
            int(context.colorspace),
            int(context.color_range),
            int(context.color_primaries),
            int(context.color_trc),
        )

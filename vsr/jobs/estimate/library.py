"""What a whole library would take on so many workers: time, storage, money. It makes no video."""

from __future__ import annotations

import heapq
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from vsr.batch_options import BatchOptions
from vsr.choice import Chosen
from vsr.errors import OptionsError
from vsr.events import Event, EventSink, Forecast, Planned, ignore
from vsr.jobs.batch.queue import upscale_many
from vsr.jobs.video.plan import SEGMENT_SECONDS
from vsr.options import UpscaleOptions


@dataclass(frozen=True, slots=True)
class VideoWork:
    """One file's work."""

    frames: int
    """Frames to make."""
    segment_frames: int
    """Frames of each segment but the last, which may have fewer."""
    frame_seconds: float
    """Seconds that one worker takes for a frame."""
    serial_seconds: float
    """Seconds of work that no other worker can take part in."""

    @property
    def segments(self) -> list[int]:
        """Frames of each segment."""
        whole, rest = divmod(self.frames, self.segment_frames)
        return [self.segment_frames] * whole + ([rest] if rest else [])


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a real machine adds."""

    start_seconds: float = 3.0
    """Seconds until workers can begin."""
    spread: float = 0.1
    """Standard deviation of a segment's time, as a share of it."""
    stragglers: float = 0.01
    """Share of segments, 0..1, that take longer: another program, or a process that died and whose
    segment was made again."""
    straggling: float = 3.0
    """How many times as long those take."""
    one_queue: bool = True
    """Whether workers begin the next file while one is joined, as a folder's are made; a command
    for each file does not."""
    seed: int = 0
    """Seed of the random numbers."""


@dataclass(frozen=True, slots=True)
class SimulationResult:
    """A library on some workers, played through."""

    workers: int
    """How many workers there were."""
    seconds: float
    """Wall time until the last file is saved."""
    work_seconds: float
    """What all workers together worked."""
    serial_seconds: float
    """What one process alone worked for all files."""

    @property
    def utilisation(self) -> float:
        """The share of the time that the workers had work, 0..1."""
        return self.work_seconds / max(1e-9, self.workers * self.seconds)


def simulate(
    videos: Sequence[VideoWork], workers: int, conditions: Conditions | None = None
) -> SimulationResult:
    """The library's time on so many workers."""
    given = conditions or Conditions()
    dice = random.Random(given.seed)
    free = [given.start_seconds] * workers  # when each worker is free again: a heap
    alone = worked = 0.0  # when the process that joins is free again
    for video in videos:
        if not given.one_queue:  # nobody begins before the file before is saved
            free = [max(alone, given.start_seconds)] * workers
        end = alone
        for frames in video.segments:
            seconds = frames * video.frame_seconds * max(0.1, dice.gauss(1.0, given.spread))
            seconds *= given.straggling if dice.random() < given.stragglers else 1.0
            worked += seconds
            done = free[0] + seconds
            heapq.heapreplace(free, done)
            end = max(end, done)
        alone = max(alone, end) + video.serial_seconds
    total = sum(video.serial_seconds for video in videos)
    return SimulationResult(workers, alone, worked, total)


# What one process does alone for each file: probing, the pass over the packets, joining, verifying.
# Measured, see docs/guide/scale.md.
SERIAL_SECONDS = 0.05
SERIAL_FRAME_SECONDS = 0.00006
SERIAL_BYTES_PER_SECOND = 100e6


@dataclass(frozen=True, slots=True)
class WorkerScenario:
    """The library on so many workers."""

    workers: int
    """How many workers."""
    seconds: float
    """Wall time until the last file is saved."""
    speedup: float
    """How many times as fast as one worker."""
    utilisation: float
    """Share of the time that the workers have work, 0..1."""
    cost: float | None
    """The price of all workers for that time, in the unit of the price given; ``None`` without
    one."""


@dataclass(frozen=True, slots=True)
class LibraryPlan:
    """A library's size, and what it takes."""

    files: int
    """Videos that can be planned."""
    left_out: int
    """Other files: pictures, videos of unknown length, and what cannot be planned."""
    frames: int
    """Frames of all videos."""
    hours: float
    """Playing time of all videos in hours."""
    source_bytes: int
    """Bytes of all sources."""
    target_bytes: int
    """Estimated bytes of all targets."""
    work_bytes: int
    """Bytes that are needed beside the targets, for the one file that needs most."""
    scenarios: tuple[WorkerScenario, ...]
    """The library on each number of workers that was asked for."""


def plan_library(
    sources: Sequence[Path],
    chosen: Callable[[Path], Chosen],
    options: UpscaleOptions,
    batch: BatchOptions,
    workers: Sequence[int],
    price_per_hour: float | None = None,
    on_event: EventSink = ignore,
    conditions: Conditions | None = None,
) -> LibraryPlan:
    """Probe every file, measure the speed once for each kind of them here, and play it through.

    A file that cannot be planned is left out and counted. Raises a :class:`VsrError` where there is
    nothing to plan.
    """
    for count in workers:
        if not 1 <= count <= 100000:
            raise OptionsError(f"workers must be from 1 to 100000, got {count}")
    if price_per_hour is not None and not 0 <= price_per_hour < float("inf"):
        raise OptionsError(f"price-per-hour must not be negative, got {price_per_hour:g}")
    estimate: list[Forecast] = []

    def listen(event: Event) -> None:
        if isinstance(event, Planned):
            estimate.append(event.forecast)
        on_event(event)

    options = replace(options, force=True)  # whether the disk here has room is not the question
    with tempfile.TemporaryDirectory(prefix="vsr-") as folder:
        nowhere = Path(folder) / "large"
        report = upscale_many(
            sources, nowhere, chosen, options, batch, listen, lambda: False, dry=True
        )
    videos = [
        (forecast, video) for forecast in estimate if (video := _work_of(forecast)) is not None
    ]
    if not videos:
        raise OptionsError(
            "there is no video to plan with", hint="vsr upscale FOLDER OUT --dry-run says why"
        )
    return _planned(videos, len(report.outcomes), workers, price_per_hour, conditions)


def _work_of(estimate: Forecast) -> VideoWork | None:
    """A forecast as work; ``None`` for a picture, and for a video of unknown length."""
    if estimate.frames is None or estimate.frame_rate is None or not estimate.frames_per_second:
        return None
    return VideoWork(
        frames=estimate.frames,
        segment_frames=max(1, round(SEGMENT_SECONDS * Fraction(estimate.frame_rate))),
        frame_seconds=1 / estimate.frames_per_second,
        serial_seconds=serial_seconds(estimate.frames, estimate.target_bytes or 0),
    )


def serial_seconds(frames: int, target_bytes: float) -> float:
    """What of a file's time cannot be shared."""
    return SERIAL_SECONDS + SERIAL_FRAME_SECONDS * frames + target_bytes / SERIAL_BYTES_PER_SECOND


def _planned(
    videos: Sequence[tuple[Forecast, VideoWork]],
    files: int,
    workers: Sequence[int],
    price: float | None,
    conditions: Conditions | None,
) -> LibraryPlan:
    work = [video for _, video in videos]
    one_worker = simulate(work, 1, conditions).seconds
    scenarios: list[WorkerScenario] = []
    for count in workers:
        simulated = simulate(work, count, conditions)
        cost = None if price is None else count * simulated.seconds / 3600 * price
        scenarios.append(
            WorkerScenario(
                count,
                simulated.seconds,
                one_worker / simulated.seconds,
                simulated.utilisation,
                cost,
            )
        )
    made = [estimate.target_bytes or 0 for estimate, _ in videos]
    beside = [(estimate.disk_bytes or 0) - (estimate.target_bytes or 0) for estimate, _ in videos]
    return LibraryPlan(
        files=len(videos),
        left_out=files - len(videos),
        frames=sum(video.frames for video in work),
        hours=sum(
            video.frames / float(Fraction(estimate.frame_rate or "1")) for estimate, video in videos
        )
        / 3600,
        source_bytes=sum(estimate.source.stat().st_size for estimate, _ in videos),
        target_bytes=sum(made),
        work_bytes=max(0, *beside),
        scenarios=tuple(scenarios),
    )

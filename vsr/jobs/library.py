"""What a whole library would take on so many workers: time, storage, money. It makes no video."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from vsr.choice import Chosen
from vsr.errors import OptionsError
from vsr.events import Event, EventSink, Forecast, Planned, ignore
from vsr.jobs.plan import SEGMENT_SECONDS
from vsr.jobs.queue import upscale_many
from vsr.jobs.simulation import Conditions, Film, play
from vsr.options import BatchOptions, UpscaleOptions

# What one process does alone for each file: probing, the pass over the packets, joining, verifying.
# Measured, see docs/guide/scale.md.
ALONE_SECONDS = 0.05
ALONE_FRAME_SECONDS = 0.00006
ALONE_BYTES_A_SECOND = 100e6


@dataclass(frozen=True, slots=True)
class Staffing:
    """The library on so many workers. ``cost`` is ``None`` where no price was given."""

    workers: int
    seconds: float
    speedup: float
    utilisation: float
    cost: float | None


@dataclass(frozen=True, slots=True)
class LibraryPlan:
    """A library's size, and what it takes. ``work_bytes`` are needed beside the targets."""

    files: int
    left_out: int
    frames: int
    hours: float
    source_bytes: int
    target_bytes: int
    work_bytes: int
    staffings: tuple[Staffing, ...]


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
    told: list[Forecast] = []

    def listen(event: Event) -> None:
        if isinstance(event, Planned):
            told.append(event.forecast)
        on_event(event)

    options = replace(options, force=True)  # whether the disk here has room is not the question
    with tempfile.TemporaryDirectory(prefix="vsr-") as folder:
        nowhere = Path(folder) / "large"
        report = upscale_many(
            sources, nowhere, chosen, options, batch, listen, lambda: False, dry=True
        )
    films = [(forecast, film) for forecast in told if (film := _film(forecast)) is not None]
    if not films:
        raise OptionsError(
            "there is no video to plan with", hint="vsr upscale FOLDER OUT --dry-run says why"
        )
    return _planned(films, len(report.outcomes), workers, price_per_hour, conditions)


def _film(told: Forecast) -> Film | None:
    """A forecast as work; ``None`` for a picture, and for a video of unknown length."""
    if told.frames is None or told.frame_rate is None or not told.frames_per_second:
        return None
    return Film(
        frames=told.frames,
        segment_frames=max(1, round(SEGMENT_SECONDS * Fraction(told.frame_rate))),
        frame_seconds=1 / told.frames_per_second,
        alone_seconds=alone_seconds(told.frames, told.target_bytes or 0),
    )


def alone_seconds(frames: int, target_bytes: float) -> float:
    """What of a file's time cannot be shared."""
    return ALONE_SECONDS + ALONE_FRAME_SECONDS * frames + target_bytes / ALONE_BYTES_A_SECOND


def _planned(
    films: Sequence[tuple[Forecast, Film]],
    files: int,
    workers: Sequence[int],
    price: float | None,
    conditions: Conditions | None,
) -> LibraryPlan:
    work = [film for _, film in films]
    alone = play(work, 1, conditions).seconds
    staffings: list[Staffing] = []
    for count in workers:
        played = play(work, count, conditions)
        cost = None if price is None else count * played.seconds / 3600 * price
        staffings.append(
            Staffing(count, played.seconds, alone / played.seconds, played.utilisation, cost)
        )
    made = [told.target_bytes or 0 for told, _ in films]
    beside = [(told.disk_bytes or 0) - (told.target_bytes or 0) for told, _ in films]
    return LibraryPlan(
        files=len(films),
        left_out=files - len(films),
        frames=sum(film.frames for film in work),
        hours=sum(film.frames / float(Fraction(told.frame_rate or "1")) for told, film in films)
        / 3600,
        source_bytes=sum(told.source.stat().st_size for told, _ in films),
        target_bytes=sum(made),
        work_bytes=max(0, *beside),
        staffings=tuple(staffings),
    )

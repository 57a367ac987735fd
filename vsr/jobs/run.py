"""Run one planned video: segments through the pipeline, then join, verify and rename."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from vsr.errors import DeviceError, StorageError, VsrError
from vsr.events import EventSink, Finished, Report, Saved, Started, Warned
from vsr.infer.engine import Engine
from vsr.jobs.journal import Journal
from vsr.jobs.plan import Plan
from vsr.jobs.segments import STAGES, Segments, encode_all, reader_of
from vsr.media.atomic import rename
from vsr.media.files import check_unchanged, translated
from vsr.media.images import FolderReader
from vsr.media.mux import join
from vsr.media.reader import Reader
from vsr.media.verify import verify
from vsr.media.writer import Segment
from vsr.options import UpscaleOptions
from vsr.pipeline import Waits
from vsr.version import __version__


def run(
    plan: Plan,
    engine: Engine,
    options: UpscaleOptions,
    on_event: EventSink,
    should_stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Upscale one video to a verified file. What an interrupted run finished is used again.

    ``should_stop`` is asked after every segment: a run that it stops raises :class:`Stopped`. On
    failure the target is what it was before. Finished segments stay for the next run of the same
    command after an interruption and after an error that another try can overcome.
    """
    begun = time.perf_counter()
    size = plan.encoding.size
    engine.tiling(plan.info.size, size, plan.encoding.color, plan.clip_frames)  # can it be tiled?
    identity = _identity(plan, engine, options)
    with Journal(plan.target, identity, restart=options.restart, fresh=options.fresh) as journal:
        on_event(Started(plan.info.path, plan.target, plan.frames, plan.info.size, size))
        report = journal.saved()
        if report is None:  # else it died between the renaming and the end
            _warn(on_event, plan.notes)
            _warn(on_event, [f"not in the target: {lost}" for lost in plan.dropped])
            report = _made(plan, engine, on_event, journal, should_stop, begun)
        on_event(Saved(plan.target))
        journal.remove()
    on_event(Finished(report))
    return report


def _made(
    plan: Plan,
    engine: Engine,
    on_event: EventSink,
    journal: Journal,
    should_stop: Callable[[], bool],
    begun: float,
) -> Report:
    sink = Segments(plan, journal, on_event, should_stop)
    try:
        reader = reader_of(plan, sink.finished)
        waits = encode_all(plan, engine, reader, sink)
        part = journal.folder / f"joined{plan.target.suffix}"
        made = (sink.finished, plan.info, plan.encoding, plan.timing, plan.carries)
        retimed = join(*made, part, plan.cut)
        verify(part, *made, plan.cut)
        check_unchanged(plan.info.path, plan.info.stamp)
        warnings = _warnings(plan, reader, sink.finished[-1], retimed)
        _warn(on_event, warnings)
        report = Report(
            target=plan.target,
            frames=sum(segment.frames for segment in sink.finished),
            size=plan.info.size,
            target_size=plan.encoding.size,
            seconds=time.perf_counter() - begun,
            bytes=part.stat().st_size,
            waiting=_shares(waits),
            kept=plan.kept,
            converted=plan.converted,
            dropped=plan.dropped,
            warnings=(*plan.notes, *warnings),
            damaged=reader.damaged,
            model=engine.upscaler.name,
            device=str(engine.placement),
            encoder=str(plan.encoding),
        )
        _put(part, plan.target, journal, report)
    except BaseException as error:
        final = isinstance(error, VsrError) and not isinstance(error, StorageError | DeviceError)
        if final or not sink.finished:  # another try would end the same way, or has nothing to use
            journal.remove()
        elif isinstance(error, VsrError):
            kept = f"{len(sink.finished)} finished segments are kept: the same command goes on"
            error.hint = f"{error.hint}; {kept}" if error.hint else kept
        raise
    return report


def _warn(on_event: EventSink, messages: Iterable[str]) -> None:
    for message in messages:
        on_event(Warned(message))


def _identity(plan: Plan, engine: Engine, options: UpscaleOptions) -> dict[str, object]:
    """Whatever could change a segment's bytes."""
    sizes, times = plan.info.stamp[0::3], plan.info.stamp[1::3]  # inodes differ where it moved
    return {
        "vsr": __version__,
        "source": str(plan.info.path.resolve()),
        "bytes": sum(sizes),
        "modified_ns": max(times, default=0),
        "options": options.as_json(),
        "model": engine.upscaler.fingerprint,
        "placement": str(engine.placement),
        "encoder": str(plan.encoding),
        "size": str(plan.encoding.size),
    }


def _put(part: Path, target: Path, journal: Journal, report: Report) -> None:
    with translated(target, "write"):
        with part.open("rb") as file:
            os.fsync(file.fileno())
        journal.about_to_save(part, report)
        rename(part, target)


def _warnings(
    plan: Plan, reader: Reader | FolderReader, last: Segment, retimed: Counter[int]
) -> tuple[str, ...]:
    warnings: list[str] = []
    said = plan.info.duration_seconds
    end = float((last.shown[-1] + last.last_duration) * plan.timing.time_base)
    end -= plan.info.start_seconds
    if said is not None and plan.cut.end is None and said - end > max(0.5, said / 20):
        warnings.append(
            f"the video ends at {end:.2f} s, the file says {said:.2f} s: is it cut off?"
        )
    if reader.damaged:
        warnings.append(f"{reader.damaged} damaged packets or frames, concealed by the decoder")
    warnings += [
        f"{retimed[carry.stream.index]} packets of {carry.stream} had times that fell, set in order"
        for carry in plan.carries
        if retimed[carry.stream.index]
    ]
    if reader.jumps:
        warnings.append(f"places where times fell back, joined on without a gap: {reader.jumps}")
    if reader.converted:
        warnings.append(
            f"{reader.converted} frames changed pixel format in the middle: converted to the first "
            f"one's, {plan.info.pix_fmt}"
        )
    if reader.repaired:
        warnings.append(f"{reader.repaired} frames had missing or falling times, set in order")
    periods = (plan.timing.time_base, 1 / plan.timing.frame_rate)
    exact = any((period * 1000).denominator == 1 for period in periods)
    if plan.encoding.container in ("matroska", "webm") and not exact:
        warnings.append(
            f"{plan.target.suffix} keeps times to a millisecond: frames were rounded to it"
        )
    return tuple(warnings)


def _shares(waits: Waits) -> dict[str, float]:
    total = max(waits.total_seconds, 1e-9)
    seconds = (waits.read_seconds, waits.work_seconds, waits.write_seconds)
    return {stage: min(1.0, wait / total) for stage, wait in zip(STAGES, seconds, strict=True)}

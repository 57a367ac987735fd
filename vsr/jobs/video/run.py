"""Run one planned video: segments through the pipeline, then join, verify and rename."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import torch

from vsr.errors import MediaError, OptionsError, SourceChanged, StorageError, VsrError
from vsr.events import EventSink, Finished, Report, Saved, Started, Warned
from vsr.infer.engine import Engine
from vsr.jobs.enlarge import FrameObserver
from vsr.jobs.pace import encoder_count
from vsr.jobs.video.journal import Journal, recorded
from vsr.jobs.video.plan import THREADS, TILING, Plan
from vsr.jobs.video.segment_run import SegmentRun, with_tiling
from vsr.jobs.video.segments import STAGES, RunStats
from vsr.jobs.video.source import told_changes
from vsr.jobs.work_folder import check_still_free, free_name
from vsr.jobs.workers.choice import open_executor
from vsr.jobs.workers.devices import kind_of, sums_depend_on_tiles
from vsr.jobs.workers.executor import Executor
from vsr.media.atomic import rename
from vsr.media.ffmpeg_lock import ffmpeg_lock
from vsr.media.files import check_unchanged, patiently, read_again, translated
from vsr.media.read.probe import MediaInfo
from vsr.media.stall import watched
from vsr.media.streams.mux import join
from vsr.media.truncation import promised_end
from vsr.media.write.codec_check import encoder_version
from vsr.media.write.verify import verify
from vsr.media.write.writer import Segment, Timing
from vsr.models.arch import Upscaler
from vsr.options import EngineOptions, UpscaleOptions
from vsr.system import replace_file, sha256_of, sync_path
from vsr.version import __version__


def run(
    plan: Plan,
    engine: Engine,
    options: UpscaleOptions,
    on_event: EventSink,
    should_stop: Callable[[], bool] = lambda: False,
    executor: Executor | None = None,
    observer: FrameObserver | None = None,
) -> Report:
    """Upscale one video to a verified file. What an interrupted run finished is used again.

    ``executor`` makes the segments, by default the one that the options ask for; what cannot be
    divided is made with ``engine``. ``observer`` is shown each frame that ``engine`` makes.
    ``should_stop`` is asked after every segment: a run that it stops raises :class:`Stopped`. On
    failure the target is what it was before. Finished segments stay for the next run of the same
    command after an interruption and after an error that another try can overcome.
    """
    if executor is not None:
        return _run(plan, engine, options, on_event, should_stop, executor, observer)
    with open_executor(engine.upscaler, options, on_event) as own:
        return _run(plan, engine, options, on_event, should_stop, own, observer)


def _run(
    plan: Plan,
    engine: Engine,
    options: UpscaleOptions,
    on_event: EventSink,
    should_stop: Callable[[], bool],
    executor: Executor | None,
    observer: FrameObserver | None,
) -> Report:
    begun = time.perf_counter()
    size = plan.encoding.size
    kind = (None if executor is None else executor.kind) or kind_of(engine.placement)
    chosen = _engine_options(plan, engine, options, kind)
    encoders = 1
    if executor is None and observer is None:
        asked = options.encoder_count
        place, source = engine.placement.device, plan.info.size
        encoders = encoder_count(asked, plan.encoding, engine.upscaler, place, source)
    identity = _identity(plan, engine.upscaler, options, kind)
    if sums_depend_on_tiles(kind):
        identity[TILING] = [chosen.tile, chosen.batch]
    with Journal(plan.target, identity, restart=options.restart, fresh=options.fresh) as journal:
        on_event(Started(plan.info.path, plan.target, plan.frames, plan.info.size, size))
        if observer is not None:
            observer.begin(plan.frames)
        report = journal.saved()
        if report is None:  # else an earlier process died after it had renamed the target
            _warn(on_event, plan.notes)
            _warn(on_event, [f"not in the target: {lost}" for lost in plan.dropped])
            made = SegmentRun(plan, engine, chosen, journal, on_event, encoders, observer)
            report = _make_target(made, executor, should_stop, begun, options)
        on_event(Saved(plan.target))
        journal.remove()
    on_event(Finished(report))
    return report


def _make_target(
    segment_run: SegmentRun,
    executor: Executor | None,
    should_stop: Callable[[], bool],
    begun: float,
    options: UpscaleOptions,
) -> Report:
    plan, engine, journal = segment_run.plan, segment_run.engine, segment_run.journal
    on_event = segment_run.on_event
    device = None if executor is None else executor.kind
    try:
        check_still_free(plan.target, overwrite=options.overwrite)
        done = segment_run.run(executor, should_stop)
        finished = segment_run.finished
        end = _end(finished[-1], plan.timing)
        watch = partial(watched, plan.info.path, plan.stall_seconds)
        promised = None if plan.info.is_folder else watch(lambda: promised_end(plan.info, end))
        if promised is not None and plan.cut.end is not None and plan.cut.end <= end:
            promised = None  # the asked part is whole
        if promised is not None and not options.accept_truncated:
            raise _truncated(plan.info, end, promised)
        part = journal.folder / f"joined{plan.target.suffix}"
        made = (finished, plan.info, plan.encoding, plan.timing, plan.mappings)

        def joined() -> Counter[int]:
            _check_segments(finished)
            retimed = read_again(
                plan.info.path, lambda ends_at: join(*made, part, plan.cut, ends_at=ends_at)
            )
            verify(part, *made, plan.cut, full=options.verify == "full")
            return retimed

        with ffmpeg_lock:
            retimed = watch(joined)
        check_unchanged(plan.info.path, plan.info.stamp)
        warnings = _warnings(plan, done.stats, end, promised, retimed)
        _warn(on_event, warnings)
        report = Report(
            target=plan.target,
            frames=sum(segment.frames for segment in finished),
            size=plan.info.size,
            target_size=plan.encoding.size,
            seconds=time.perf_counter() - begun,
            bytes=part.stat().st_size,
            waiting=_shares(done.stats),
            kept=plan.kept,
            converted=plan.converted,
            dropped=plan.dropped,
            warnings=(*plan.notes, *warnings),
            damaged=done.stats.damaged,
            model=engine.upscaler.name,
            device=device or str(engine.placement),
            encoder=str(plan.encoding),
            workers=done.workers,
        )
        _put(part, plan.target, journal, report, overwrite=options.overwrite)
    except BaseException as error:
        # Finished segments stay for another try, unless the source changed or options are wrong.
        useless = isinstance(error, SourceChanged | OptionsError)
        finished = segment_run.finished
        if useless or not (finished or segment_run.unsettled):
            journal.remove()
        elif isinstance(error, VsrError) and journal.folder.is_dir():
            count = "all" if segment_run.unsettled else len(finished)
            kept = f"{count} finished segments are kept: the same command goes on"
            error.hint = f"{error.hint}; {kept}" if error.hint else kept
        raise
    return report


def _engine_options(
    plan: Plan, engine: Engine, options: UpscaleOptions, kind: str
) -> EngineOptions:
    """The engine's options with tile and batch fixed; on a GPU those of the interrupted run."""
    asked = plan.conversion, plan.clip_frames
    if sums_depend_on_tiles(kind):
        engine.settle(options.tile, options.batch)  # not those of the video before
        if not (options.restart or options.fresh):
            match recorded(plan.target, TILING):
                case [int(tile), int(batch)]:
                    engine.settle(tile, batch)
                case _:
                    pass
        chosen = with_tiling(engine.options, *engine.tiling(*asked))
        assert chosen.tile is not None
        assert chosen.batch is not None
        engine.settle(chosen.tile, chosen.batch)
        return chosen
    return with_tiling(engine.options, *engine.tiling(*asked))


def _warn(on_event: EventSink, messages: Iterable[str]) -> None:
    for message in messages:
        on_event(Warned(message))


def _identity(
    plan: Plan, upscaler: Upscaler, options: UpscaleOptions, kind: str
) -> dict[str, object]:
    """What identifies a run: it is resumed only if all of this is equal."""
    sizes, times = (
        plan.info.stamp[0::3],
        plan.info.stamp[1::3],
    )  # inodes change
    grain = plan.encoding.grain
    return {
        **({} if grain is None else {"grain": repr(grain)}),
        **({"filters": repr(plan.filters)} if plan.filters else {}),
        **({} if plan.info.crop is None else {"crop": repr(plan.info.crop)}),
        "vsr": __version__,
        "torch": torch.__version__,
        "PyAV": av.__version__,
        "encoder_library": encoder_version(plan.encoding.entry.encoder),
        "source": str(plan.info.path.resolve()),
        "bytes": sum(sizes),
        "modified_ns": max(times, default=0),
        "options": options.as_json(),
        "model": upscaler.fingerprint,
        "placement": kind,
        "encoder": str(plan.encoding),
        THREADS: plan.encoding.threads,
        "size": str(plan.encoding.size),
    }


def _check_segments(segments: Sequence[Segment]) -> None:
    """Whether the files are what was finished: a disk may have changed them since."""
    for segment in segments:
        with translated(segment.path, "read"):
            digest = patiently(segment.path, partial(sha256_of, segment.path))
        if digest != segment.sha256:
            raise StorageError(
                f"{segment.path} is not what was written", hint="is its disk in order?"
            )


def _put(part: Path, target: Path, journal: Journal, report: Report, *, overwrite: bool) -> None:
    with translated(target, "write"):
        sync_path(part)
        if not overwrite and os.path.lexists(target):
            raise StorageError(
                f"{target} was made by another while this run worked, and stays as it is",
                hint=f"the finished file lies at {_beside(part, target)}",
            )
        journal.about_to_save(part, report)
        try:
            rename(part, target)
        except OSError as error:
            beside = _beside(part, target)
            raise StorageError(
                f"cannot give the finished file its name {target}: {error.strerror}",
                hint=f"it is complete and lies at {beside}: move it there yourself",
            ) from error


def _beside(part: Path, target: Path) -> Path:
    """A finished file under another name in its target's folder."""
    path = free_name(target, target.suffix)
    replace_file(part, path)
    return path


def _end(last: Segment, timing: Timing) -> Fraction:
    """Where the last frame ends, in seconds of the source's clock."""
    return (last.shown[-1] + last.last_duration) * timing.time_base


def _truncated(info: MediaInfo, end: Fraction, promised: Fraction) -> MediaError:
    start = Fraction(info.start_seconds)
    return MediaError(
        f"{info.path} can be read up to {float(end - start):.2f} s, and says that it goes on to "
        f"{float(promised - start):.2f} s",
        hint="is it still being copied, or damaged? --accept-truncated takes it as it is",
    )


def _warnings(
    plan: Plan, stats: RunStats, end: Fraction, promised: Fraction | None, retimed: Counter[int]
) -> tuple[str, ...]:
    warnings: list[str] = []
    if promised is not None:
        start = Fraction(plan.info.start_seconds)
        warnings.append(
            f"the video ends at {float(end - start):.2f} s, the file says "
            f"{float(promised - start):.2f} s"
        )
    if stats.damaged:
        warnings.append(f"{stats.damaged} damaged packets or frames, concealed by the decoder")
    warnings += [
        f"{retimed[mapping.stream.index]} packets of {mapping.stream} had times that fell, "
        "set in order"
        for mapping in plan.mappings
        if retimed[mapping.stream.index]
    ]
    if stats.jumps:
        warnings.append(f"places where times fell back, joined on without a gap: {stats.jumps}")
    if stats.converted:
        warnings.append(
            f"{stats.converted} frames changed pixel format in the middle: converted to the first "
            f"one's, {plan.info.pix_fmt}"
        )
    warnings += told_changes(stats.changes)
    if stats.mended:
        warnings.append(
            f"{stats.mended} frames hold places of which the network makes no picture: "
            "they are interpolated there"
        )
    if stats.repaired:
        warnings.append(f"{stats.repaired} frames had missing or falling times, set in order")
    periods = (plan.timing.time_base, 1 / plan.timing.frame_rate)
    exact = any((period * 1000).denominator == 1 for period in periods)
    if plan.encoding.container in ("matroska", "webm") and not exact:
        warnings.append(
            f"{plan.target.suffix} keeps times to a millisecond: frames were rounded to it"
        )
    return tuple(warnings)


def _shares(stats: RunStats) -> dict[str, float]:
    total = max(stats.seconds, 1e-9)
    waited = zip(STAGES, stats.waited_seconds, strict=True)
    return {stage: min(1.0, wait / total) for stage, wait in waited}

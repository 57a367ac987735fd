"""Run one planned video: segments through the pipeline, then join, verify and rename."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from vsr.comparing.witness import Witness
from vsr.errors import MediaError, VsrError
from vsr.events import Advanced, EventSink, Finished, Report, Saved, SegmentDone, Started, Warned
from vsr.infer.engine import Engine
from vsr.jobs.journal import Journal
from vsr.jobs.plan import Plan, reader_for
from vsr.media.clip import Clip
from vsr.media.files import translated
from vsr.media.images import FolderReader
from vsr.media.mux import join
from vsr.media.reader import Reader
from vsr.media.verify import verify
from vsr.media.writer import Segment, SegmentWriter
from vsr.options import UpscaleOptions
from vsr.pipeline import Pipeline, Waits
from vsr.version import __version__

STAGES = ("decode", "enlarge", "encode")


def run(
    plan: Plan,
    engine: Engine,
    options: UpscaleOptions,
    on_event: EventSink,
    witness: Witness | None = None,
) -> Report:
    """Upscale one video to a verified file. What an interrupted run finished is used again.

    On failure the target is what it was before and the work folder is gone; an interruption
    (Ctrl-C, a kill) leaves the folder for the next run of the same command.
    """
    begun = time.perf_counter()
    size = plan.encoding.size
    engine.tiling(plan.info.size, size, plan.encoding.color, plan.clip_frames)  # can it be tiled?
    on_event(Started(plan.info.path, plan.target, plan.frames, plan.info.size, size))
    for note in plan.notes:
        on_event(Warned(note))
    for lost in plan.dropped:
        on_event(Warned(f"not in the target: {lost}"))
    with Journal(plan.target, _identity(plan, engine, options)) as journal:
        part = journal.folder / f"joined{plan.target.suffix}"
        try:
            sink = _Segments(plan, journal, on_event)
            reader = _reader(plan, sink.finished)
            waits = _encode_all(plan, engine, reader, sink, witness)
            made = (sink.finished, plan.info, plan.encoding, plan.timing, plan.carries)
            retimed = join(*made, part, plan.cut)
            verify(part, *made, plan.cut)
            _put(part, plan.target)
        except VsrError:
            journal.remove()
            raise
        warnings = _warnings(plan, reader, sink.finished[-1], retimed)
        for warning in warnings:
            on_event(Warned(warning))
        on_event(Saved(plan.target))
        journal.remove()
    report = Report(
        target=plan.target,
        frames=sum(segment.frames for segment in sink.finished),
        size=plan.info.size,
        target_size=size,
        seconds=time.perf_counter() - begun,
        bytes=plan.target.stat().st_size,
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
    on_event(Finished(report))
    return report


class _Segments:
    """The pipeline's sink: cuts the stream of clips into segments and journals each."""

    def __init__(self, plan: Plan, journal: Journal, on_event: EventSink) -> None:
        self._plan, self._journal, self._on_event = plan, journal, on_event
        self._writer: SegmentWriter | None = None
        self.finished: list[Segment] = journal.finished()
        self.pipeline: Pipeline[Clip, Clip] | None = None
        for segment in self.finished:
            on_event(SegmentDone(segment.index, segment.frames, resumed=True))

    def write(self, clip: Clip) -> None:
        if self._writer is None:
            index = len(self.finished)
            path = self._journal.folder / f"{index:06d}.{self._plan.encoding.entry.segment}"
            self._writer = SegmentWriter(index, path, self._plan.encoding, self._plan.timing)
        self._writer.write(clip)
        waits = self.pipeline.waits() if self.pipeline is not None else None
        stage = "" if waits is None else STAGES[waits.slowest]
        self._on_event(Advanced(len(clip.pts), stage))
        if self._writer.frames >= self._plan.segment_frames:
            self.close_segment()

    def close_segment(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        with writer:
            segment = writer.finish()
        self._journal.add(segment)
        self.finished.append(segment)
        self._on_event(SegmentDone(segment.index, segment.frames, resumed=False))

    def abandon(self) -> None:
        """Drop the half-written segment."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with writer:
                pass


def _encode_all(
    plan: Plan, engine: Engine, clips: Iterable[Clip], sink: _Segments, witness: Witness | None
) -> Waits:
    def enlarge(clip: Clip) -> Clip:
        encoding = plan.encoding
        planes = engine.enlarge(clip.planes, plan.source, encoding.color, encoding.size)
        made = Clip(planes, encoding.color, clip.pts, clip.durations, clip.time_base)
        if witness is not None:
            witness.see(clip, plan.source, made)
        return made

    pipeline = Pipeline(clips, enlarge, sink.write)
    sink.pipeline = pipeline
    try:
        waits = pipeline.run()
        sink.close_segment()
    finally:
        sink.abandon()
    if not sink.finished:
        raise MediaError(
            f"no frame of {plan.info.path} lies in the chosen stretch",
            hint="check --start and --end",
        )
    return waits


def _reader(plan: Plan, finished: list[Segment]) -> Reader | FolderReader:
    after = finished[-1].shown[-1] if finished else None
    if plan.info.is_folder:
        return FolderReader(
            plan.info,
            clip_frames=plan.clip_frames,
            segment_frames=plan.segment_frames,
            after=after,
        )
    return reader_for(
        plan.info,
        plan.cut,
        deinterlace=plan.deinterlace,
        clip_frames=plan.clip_frames,
        segment_frames=plan.segment_frames,
        after=after,
    )


def _identity(plan: Plan, engine: Engine, options: UpscaleOptions) -> dict[str, object]:
    """Whatever could change a segment's bytes."""
    stat = plan.info.path.stat()
    return {
        "vsr": __version__,
        "source": str(plan.info.path.resolve()),
        "bytes": stat.st_size,
        "modified_ns": stat.st_mtime_ns,
        "options": {**options.as_json(), "overwrite": None, "compare": None},
        "model": engine.upscaler.fingerprint,
        "placement": str(engine.placement),
        "encoder": str(plan.encoding),
        "size": str(plan.encoding.size),
    }


def _put(part: Path, target: Path) -> None:
    with translated(target, "write"):
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, target)


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

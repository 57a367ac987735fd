"""From clips to segments: the pipeline of a run, and where it is cut. It keeps no journal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from vsr.events import Advanced, EventSink
from vsr.infer.engine import Engine
from vsr.infer.reuse import FrameComparison
from vsr.jobs.enlarge import FrameObserver, enlarger
from vsr.jobs.video.plan import Plan
from vsr.jobs.video.source import reader_for
from vsr.media.clip import Clip, ClipReader
from vsr.media.read.lead_in import LeadIn
from vsr.media.read.reader import MOST_CHANGES
from vsr.media.write.writer import Segment, SegmentWriter
from vsr.options import EngineOptions
from vsr.pipeline import Pipeline, Waits
from vsr.system import discard, processors

STAGES = ("decode", "enlarge", "encode")


class FramesDiffer(Exception):  # not an error: the file is gone through in order then
    """The frames of a stretch are not those that the container claims, or cannot be trusted."""


@dataclass(frozen=True, slots=True)
class Task:
    """A stretch of a plan that any worker can make: nothing else has to be known.

    Times are in units of the plan's :attr:`~vsr.media.write.writer.Timing.time_base`.
    """

    plan: Plan
    """The run that it is a part of."""
    folder: Path
    """Where segments are written."""
    engine: EngineOptions
    """How the engine runs; a worker puts in its own device."""
    index: int = 0
    """The number of its first segment in the run."""
    after: int | None = None
    """Time of the last frame before it; ``None``: it begins with the stretch of the plan."""
    before: int | None = None
    """Time of the first frame behind it; ``None``: it ends with the stretch of the plan."""
    times: tuple[int, ...] | None = None
    """What the times of its frames should be; ``None`` where that is not known."""
    mark: str = ""
    """A part of its files' names, so that no two attempts share one."""
    lead_in: tuple[int, ...] = ()
    """Times of the frames up to ``after`` that a recurrent network sees first; else empty."""
    lead_after: int | None = None
    """Time of the last frame before the lead-in; ``None`` where that begins the stretch."""

    def behind(self, segment: Segment) -> Task:
        """What is left of the task behind its first segment, which is finished."""
        before = () if self.lead_after is None else (self.lead_after,)
        lead_in, lead_after = lead_in_of(
            (*before, *self.lead_in, *segment.shown), self.plan.lead_frames
        )
        return replace(
            self,
            index=segment.index + 1,
            after=segment.shown[-1],
            times=None if self.times is None else self.times[segment.frames :],
            lead_in=lead_in,
            lead_after=lead_after,
        )

    def segment_path(self, index: int) -> Path:
        """Where a segment is written."""
        return self.folder / f"{index:06d}{self.mark}.{self.plan.encoding.entry.segment}"

    def segment_times(self, index: int) -> tuple[int, ...] | None:
        """The times that a segment should have."""
        size = self.plan.segment_frames
        low = (index - self.index) * size
        return None if self.times is None else self.times[low : low + size]


def lead_in_of(times: Sequence[int], lead_frames: int) -> tuple[tuple[int, ...], int | None]:
    """``lead_in`` and ``lead_after`` of a task behind frames of these times, in order.

    At least the last ``lead_frames`` + 1 of them are needed, or all from the stretch's first on.
    """
    if not lead_frames:
        return (), None
    after = times[-lead_frames - 1] if len(times) > lead_frames else None
    return tuple(times[-lead_frames:]), after


@dataclass(frozen=True, slots=True)
class RunStats:
    """What was met in a run, or in a part of it."""

    damaged: int = 0
    """Packets and frames that could not be decoded, or not wholly."""
    jumps: int = 0
    """Places where times fell back."""
    repaired: int = 0
    """Frames whose presentation time was missing or did not rise."""
    converted: int = 0
    """Frames of another pixel format than the first, converted to it."""
    mended: int = 0
    """Mended frames: of which a part is interpolated."""
    changes: tuple[tuple[float, str], ...] = ()
    """The first places where tags of the source change: seconds, and what changes."""
    seconds: float = 0.0
    """Seconds of all tasks together."""
    waited_seconds: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of those, what decoding, enlarging and encoding waited for the others."""

    def __add__(self, other: RunStats) -> RunStats:
        """Both, one after the other."""
        first, second = self.waited_seconds, other.waited_seconds
        return RunStats(
            self.damaged + other.damaged,
            self.jumps + other.jumps,
            self.repaired + other.repaired,
            self.converted + other.converted,
            self.mended + other.mended,
            tuple(sorted({*self.changes, *other.changes})[:MOST_CHANGES]),
            self.seconds + other.seconds,
            (first[0] + second[0], first[1] + second[1], first[2] + second[2]),
        )


@dataclass(slots=True)
class SegmentSink:
    """The pipeline's sink: cuts the stream of clips into segments, and hands each on."""

    task: Task
    """What segments are made of, and which."""
    reader: ClipReader
    """What the clips come from: its counts tell whether frames can be trusted."""
    on_event: EventSink
    """Is told of frames that were handed to the encoder."""
    on_segment: Callable[[Segment], None]
    """Is given each finished segment."""
    worker: str = ""
    """Name of the worker, for events; empty for this process alone."""
    waits: Callable[[], Waits] | None = None
    """Gives what each stage waited until now; ``None``: no stage is named in events."""
    frames: int = 0
    """How many frames were handed to the encoder."""
    _index: int = field(init=False)
    _writer: SegmentWriter | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._index = self.task.index

    def write(self, clip: Clip) -> None:
        """Encode a clip, and close the segment that is full with it. A lead-in is not written."""
        plan = self.task.plan
        if clip.lead_in:
            return
        if self._writer is None:
            path = self.task.segment_path(self._index)
            self._writer = SegmentWriter(self._index, path, plan.encoding, plan.timing)
        self._writer.write(clip)
        self.frames += len(clip.pts)
        stage = "" if self.waits is None else STAGES[self.waits().slowest]
        self.on_event(Advanced(len(clip.pts), stage, self.worker))
        if self._writer.frames >= plan.segment_frames:
            self.close_segment()

    def close_segment(self) -> None:
        """Put what was written on the disk, and hand it on."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        with writer:
            segment = writer.finish()
        expected = self.task.segment_times(segment.index)
        if expected is not None and (segment.shown != expected or _odd(self.reader)):
            discard(segment.path)
            raise FramesDiffer
        self._index += 1
        self.on_segment(segment)

    def abandon(self) -> None:
        """Drop the half-written segment."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with writer:
                pass


def make(
    task: Task,
    engine: Engine,
    on_event: EventSink,
    on_segment: Callable[[Segment], None],
    worker: str = "",
    observer: FrameObserver | None = None,
) -> RunStats:
    """Make the segments of a task, each handed on as it is finished. Raises what a stage raised.

    :class:`FramesDiffer` where the frames that come are not the ones that the task names.
    """
    plan = on_device(task.plan, engine.placement.device)
    task = replace(task, plan=plan)
    begun, mended = time.perf_counter(), engine.mended
    reader = reader_of(
        plan,
        after=task.lead_after if task.lead_in else task.after,
        before=task.before,
        lead_frames=len(task.lead_in),
    )
    sink = SegmentSink(task, reader, on_event, on_segment, worker)
    clips = clips_of(plan, reader, given=len(task.lead_in), reuse=engine.options.reuse)
    pipeline = Pipeline(
        _checked(clips, task),
        enlarger(engine, plan.conversion_of, plan.segment_frames, observer),
        lambda made: sink.write(made()),
        check=lambda: reader.timer.check(plan.info.path, plan.stall_seconds),
    )
    sink.waits = pipeline.waits
    try:
        waits = pipeline.run()
        sink.close_segment()
    finally:
        sink.abandon()
    if task.times is not None and sink.frames != len(task.times):
        raise FramesDiffer
    return RunStats(
        damaged=reader.damaged,
        jumps=reader.jumps,
        repaired=reader.repaired,
        converted=reader.converted,
        mended=engine.mended - mended,
        changes=reader.changes,
        seconds=time.perf_counter() - begun,
        waited_seconds=(waits.read_seconds, waits.work_seconds, waits.write_seconds),
    )


def on_device(plan: Plan, device: torch.device) -> Plan:
    """The plan with decoding and encoding on the worker's own GPU.

    A plan is made where the first of several GPUs is; what is encoded does not depend on the card.
    """
    if device.type != "cuda":
        return plan
    index = str(device.index or 0)
    encoding = plan.encoding
    if encoding.entry.encoder.endswith("_nvenc") and "gpu" not in dict(encoding.options):
        encoding = replace(encoding, options=(*encoding.options, ("gpu", index)))
    hwaccel = None if plan.hwaccel is None else f"cuda:{index}"
    return replace(plan, hwaccel=hwaccel, encoding=encoding)


def clips_of(
    plan: Plan, reader: Iterable[Clip], *, given: int = 0, reuse: int | None = None
) -> Iterable[Clip]:
    """What a reader gives, with motion and lead-ins where the plan's network has a memory.

    For others frames are compared, where a tolerance is given for ``reuse``: in the thread that
    reads, so that the engine's need not. The first ``given`` frames are the lead-in of the first
    segment.
    """
    if not plan.lead_frames:
        return reader if reuse is None else _compared(reader, reuse, plan.segment_frames)
    return LeadIn(
        reader,
        lead_frames=plan.lead_frames,
        segment_frames=plan.segment_frames,
        given=given,
        threads=processors(),
    )


def _compared(clips: Iterable[Clip], tolerance: int, segment_frames: int) -> Iterator[Clip]:
    """Clips with what changed in each frame; every segment begins anew."""
    comparison, count = FrameComparison(tolerance), 0
    for clip in clips:
        if count % segment_frames == 0:
            comparison.forget()
        planes, changed = comparison.next(clip.planes)
        yield replace(clip, planes=planes, changed=tuple(changed))
        count += len(clip.pts)


def _checked(clips: Iterable[Clip], task: Task) -> Iterator[Clip]:
    """Yields clips; raises :class:`FramesDiffer` if the lead-in is not the task's."""
    expected = list(task.lead_in)
    for clip in clips:
        if clip.lead_in and expected:
            if list(clip.pts) != expected[: len(clip.pts)]:
                raise FramesDiffer
            del expected[: len(clip.pts)]
        elif expected:
            raise FramesDiffer
        yield clip


def reader_of(
    plan: Plan, *, after: int | None = None, before: int | None = None, lead_frames: int = 0
) -> ClipReader:
    """A reader of the frames of a plan that lie after ``after`` and before ``before``.

    The first ``lead_frames`` of them are counted to no segment.
    """
    return reader_for(
        plan.info,
        plan.cut,
        fields=plan.fields,
        filters=plan.filters,
        clip_frames=plan.clip_frames,
        segment_frames=plan.segment_frames,
        after=after,
        before=before,
        hwaccel=plan.hwaccel,
        lead_frames=lead_frames,
    )


def _odd(reader: ClipReader) -> bool:
    """Whether frames may depend on where decoding began."""
    return bool(reader.damaged or reader.jumps or reader.repaired)

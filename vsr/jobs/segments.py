"""From clips to journalled segments: the pipeline of a run, and where it is cut."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from vsr.errors import MediaError, Stopped
from vsr.events import Advanced, EventSink, SegmentDone
from vsr.infer.engine import Engine
from vsr.jobs.journal import Journal
from vsr.jobs.plan import Plan, reader_for
from vsr.media.clip import Clip
from vsr.media.images import FolderReader
from vsr.media.reader import Reader
from vsr.media.writer import Segment, SegmentWriter
from vsr.pipeline import Pipeline, Waits

STAGES = ("decode", "enlarge", "encode")


class Segments:
    """The pipeline's sink: cuts the stream of clips into segments and journals each."""

    def __init__(
        self, plan: Plan, journal: Journal, on_event: EventSink, should_stop: Callable[[], bool]
    ) -> None:
        self._plan, self._journal, self._on_event = plan, journal, on_event
        self._should_stop = should_stop
        self._begun = time.perf_counter()
        self._writer: SegmentWriter | None = None
        self.finished: list[Segment] = journal.finished()
        self.pipeline: Pipeline[Clip, Clip] | None = None
        for segment in self.finished:
            on_event(SegmentDone(segment.index, segment.frames, resumed=True))

    def write(self, clip: Clip) -> None:
        """Encode a clip; :class:`Stopped` at a segment's end where that was asked for."""
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
            if self._should_stop():
                raise Stopped(
                    f"stopped with {len(self.finished)} segments finished: the same command goes on"
                )

    def close_segment(self) -> None:
        """Put what was written on the disk and in the journal."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        with writer:
            segment = writer.finish()
        now = time.perf_counter()
        self._journal.add(segment, now - self._begun)
        self._begun = now
        self.finished.append(segment)
        self._on_event(SegmentDone(segment.index, segment.frames, resumed=False))

    def abandon(self) -> None:
        """Drop the half-written segment."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with writer:
                pass


def encode_all(plan: Plan, engine: Engine, clips: Iterable[Clip], sink: Segments) -> Waits:
    """Every clip through the engine into segments. Raises whatever a stage raised."""

    done = 0

    def enlarge(clip: Clip) -> Clip:
        nonlocal done
        if done % plan.segment_frames == 0:
            engine.forget()  # a segment is the same whether or not those before it were just made
        done += len(clip.pts)
        encoding = plan.encoding
        planes = engine.enlarge(clip.planes, plan.source, encoding.color, encoding.size)
        return Clip(planes, encoding.color, clip.pts, clip.durations, clip.time_base)

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


def reader_of(plan: Plan, finished: list[Segment]) -> Reader | FolderReader:
    """What is left to read after the finished segments."""
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

"""Make some frames of a plan for real, to say what the whole takes. What is made is thrown away.

Up to twenty frames, from three places of the video, go through the same three stages into segments
in a temporary folder, one stage after the other: none is begun that the budget has no time for.
Seconds are counted for each stage, bytes apart for keyframes and others.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

from vsr.infer.engine import Engine
from vsr.jobs.enlarge import enlarger
from vsr.jobs.video.plan import Plan
from vsr.jobs.video.source import reader_for
from vsr.media.clip import Clip
from vsr.media.files import opened
from vsr.media.stall import watched
from vsr.media.write.writer import SegmentWriter

FRAMES, PLACES = 20, 3
BUDGET_SECONDS = 5.0  # after which no more frames are begun, so that slow networks are told quickly
GROUP = 3  # frames handed on at once: so a place has clips after the one that pays for the seeking


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What some frames took when they were made for real."""

    frames: int
    """How many frames were made."""
    decode_seconds: float
    """Seconds of decoding for a frame, without those of a seek where that can be told."""
    enlarge_seconds: float
    """Seconds of enlarging for a frame."""
    encode_seconds: float
    """Seconds of encoding for a frame."""
    key_bytes: float
    """Mean bytes of an encoded keyframe."""
    other_bytes: float
    """Mean bytes of another encoded frame; ``key_bytes`` where there was none."""
    shared_processor: bool
    """Whether the stages share one processor, so that they take turns."""

    @property
    def stages(self) -> dict[str, float]:
        """Seconds a frame, by stage."""
        return {
            "decode": self.decode_seconds,
            "enlarge": self.enlarge_seconds,
            "encode": self.encode_seconds,
        }

    @property
    def seconds(self) -> float:
        """Of one frame in a long run: stages side by side, unless they share one processor."""
        return sum(self.stages.values()) if self.shared_processor else max(self.stages.values())

    def bytes_of(self, frames: int, segment_frames: int) -> int:
        """Encoded frames; each segment begins with a keyframe."""
        keys = -(-frames // segment_frames)
        return round(keys * self.key_bytes + (frames - keys) * self.other_bytes)


@dataclass(slots=True)
class _StageTimes:
    """What the stages took; ``opened`` is the time of first clips, which pay for a seek."""

    decode: float = 0.0
    decoded: int = 0
    opened: float = 0.0
    until: float = float("inf")  # of the clock: no more clips after that
    enlarge: float = 0.0
    encode: float = 0.0
    frames: int = 0


def trial_run(plan: Plan, engine: Engine) -> TrialResult:
    """Run some frames of ``plan`` through all that a run does. Raises what a run would."""
    # The folder goes even where a read never comes back, which leaves a thread behind.
    with tempfile.TemporaryDirectory(prefix="vsr-", ignore_cleanup_errors=True) as folder:
        measured = partial(_measured, plan, engine, Path(folder))
        return watched(plan.info.path, plan.stall_seconds, measured, locked=False)


def _measured(plan: Plan, engine: Engine, folder: Path) -> TrialResult:
    times, keys, others = _StageTimes(), list[int](), list[int]()
    places, begun = _places(plan), time.perf_counter()
    for number, place in enumerate(places):
        if number and time.perf_counter() >= begun + BUDGET_SECONDS:
            break
        times.until = begun + BUDGET_SECONDS * (number + 1) / len(places)
        count = FRAMES // len(places) + (number < FRAMES % len(places))
        path = folder / f"{number}.{plan.encoding.entry.segment}"
        if _make(plan, engine, place, count, path, times, warm=number > 0):
            _weigh(path, keys, others)
    frames = max(1, times.frames)
    mean = sum(keys) / max(1, len(keys))
    return TrialResult(
        frames=times.frames,
        decode_seconds=times.decode / times.decoded if times.decoded else times.opened / frames,
        enlarge_seconds=times.enlarge / frames,
        encode_seconds=times.encode / frames,
        key_bytes=mean,
        other_bytes=sum(others) / len(others) if others else mean,
        shared_processor=engine.placement.device.type == "cpu",
    )


def _make(
    plan: Plan,
    engine: Engine,
    place: Fraction | None,
    count: int,
    path: Path,
    times: _StageTimes,
    *,
    warm: bool,
) -> bool:
    """One segment of ``count`` frames from ``place`` on; whether there were any."""
    made = 0
    clips = _clips(plan, place, count, times)
    stage = enlarger(engine, plan.conversion_of, count)

    def enlarge(clip: Clip) -> Clip:
        nonlocal warm
        if not warm:  # the first time, memory is laid out and kernels are chosen
            enlarger(engine, plan.conversion_of)(clip)()
            warm = True
        begun = time.perf_counter()
        done = stage(clip)()
        times.enlarge += time.perf_counter() - begun
        return done

    with SegmentWriter(0, path, plan.encoding, plan.timing) as writer, closing(clips):
        for clip in clips:
            done = enlarge(clip)
            begun = time.perf_counter()
            writer.write(done)
            times.encode += time.perf_counter() - begun
            made += len(done.pts)
        if not made:
            return False
        begun = time.perf_counter()
        writer.finish()
        times.encode += time.perf_counter() - begun
    times.frames += made
    return True


def _clips(plan: Plan, place: Fraction | None, count: int, times: _StageTimes) -> Generator[Clip]:
    group = min(GROUP, plan.clip_frames)
    clips = iter(
        reader_for(
            plan.info,
            plan.cut if place is None else replace(plan.cut, start=place),
            fields=plan.fields,
            filters=plan.filters,
            clip_frames=group,
            segment_frames=count,
            hwaccel=plan.hwaccel,
        )
    )
    first = True
    while count > 0 and (first or time.perf_counter() < times.until):
        begun = time.perf_counter()
        clip = next(clips, None)
        if clip is None:
            return
        seconds = time.perf_counter() - begun
        if first:
            times.opened += seconds
        else:
            times.decode += seconds
            times.decoded += len(clip.pts)
        first = False
        count -= len(clip.pts)
        yield clip


def _places(plan: Plan) -> list[Fraction | None]:
    """Times of the source to begin at: in the middle of each third, where it can be gone to."""
    info = plan.info
    duration = info.duration_seconds
    if duration is None or (plan.frames or 0) < 3 * FRAMES:
        return [None]
    zero = Fraction(info.start_seconds).limit_denominator(1000000)
    start = plan.cut.start if plan.cut.start is not None else zero
    end = zero + Fraction(duration).limit_denominator(1000000)
    if plan.cut.end is not None:
        end = min(end, plan.cut.end)
    return [start + (end - start) * (2 * place + 1) / (2 * PLACES) for place in range(PLACES)]


def _weigh(path: Path, keys: list[int], others: list[int]) -> None:
    with opened(path) as container:
        for packet in container.demux(video=0):
            if packet.size:
                (keys if packet.is_keyframe else others).append(packet.size)

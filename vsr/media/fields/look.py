"""Go through a video and find out what its fields are: the plan of its frames, and what to tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import cast

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from vsr.errors import MediaError
from vsr.media.fields.cadence import STATES, State, likeliest
from vsr.media.fields.measure import MIN_LINES, Combing, Luma, measured
from vsr.media.fields.plan import Counts, FieldPlan, Form, make_plan
from vsr.media.files import opened
from vsr.media.pixels import layout_of
from vsr.media.read.probe import MediaInfo
from vsr.media.read.reader import Reader
from vsr.media.stall import timed
from vsr.options import DeinterlaceMode, Switch

SAMPLES, SAMPLE_FRAMES = 4, 24
"""Places, and frames from the keyframe before each on, of a video that claims no fields."""
FIELD_CODECS = ("mpeg1video", "mpeg2video", "dvvideo")
TELEVISION = {(width, height) for width in (704, 720) for height in (480, 486, 576)}
"""Sizes in which other codecs hold fields, too: what claims none is looked at in these alone."""
LEAST_PLANE = (3, 4)
"""Columns and lines of a plane, below which bwdif interpolates no fields."""
MAX_LINES, MAX_RATE = 1152, 31
"""Beyond which nothing is interlaced, unless it says so."""
CLEAR = 0.3
"""Share of a sample's telling frames that must be no progressive ones, to look at all of it."""
AROUND_SECONDS = 3
"""What is looked at on both sides of a stretch, for the cadence in it."""
UNEVEN = 0.4
"""Share of steps half as long again as the others, at least, in soft telecine."""


@dataclass(slots=True)
class _Seen:
    """What was measured of each frame, and its time."""

    times: list[int]
    combing: list[Combing]
    last_duration: int = 0


def plan_fields(
    info: MediaInfo,
    *,
    deinterlace: DeinterlaceMode = "auto",
    ivtc: Switch = "auto",
    first: int | None = None,
    last: int | None = None,
    each: bool = False,
) -> tuple[FieldPlan | None, tuple[str, ...]]:
    """The plan of a video's frames from ``first`` to before ``last``, and what to tell of it.

    ``None`` where its frames are shown as they are. ``each`` makes one frame for each of video, of
    what is found to be interlaced. All of it, and :data:`AROUND_SECONDS` on both sides, are decoded
    where the video is flagged as interlaced or looks so in places, or where that is asked for.
    """
    forced = deinterlace in ("frames", "fields")
    planes = info.color.plane_sizes(info.full_size)
    too_small = any(
        plane.width < LEAST_PLANE[0] or plane.height < LEAST_PLANE[1] for plane in planes
    )
    if info.full_size.height < MIN_LINES or too_small:
        return None, ()
    if info.is_folder or (deinterlace == "off" and ivtc != "on"):
        return None, ()
    if not forced and ivtc != "on" and not info.flagged_interlaced and not _suspicious(info):
        return None, ()
    seen = _seen(info, first, last)
    if not seen.times:
        return None, ()
    bottom = info.field_order in ("bottom first", "top coded")  # as FFmpeg means its "coded"
    allowed = _allowed(deinterlace, ivtc)
    flagged = info.flagged_interlaced
    states = likeliest(seen.combing, allowed, first=int(bottom), flagged=flagged)
    form: Form = "keep" if deinterlace == "off" else "fields"
    if deinterlace == "frames" or (each and not forced):
        form = "frames"
    plan = make_plan(
        seen.times,
        states,
        seen.combing,
        info.time_base,
        seen.last_duration,
        form=form,
        even=ivtc != "off" and (ivtc == "on" or not forced),
    )
    told = _told(plan, info, form, forced=forced)
    if _changes_nothing(plan):
        return None, told
    return plan, told


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames that follow each other and are alike: progressive, interlaced or telecined."""

    kind: str
    """``progressive``, ``interlaced`` or ``telecined``."""
    start_seconds: float
    """When its first frame is shown, counted from the start of the video."""
    frames: int
    """How many frames of the source it has."""


def stretches_of(info: MediaInfo) -> tuple[Stretch, ...]:
    """A whole video by what its frames are; every one of them is decoded."""
    if info.full_size.height < MIN_LINES:
        return (Stretch("progressive", 0.0, info.frames or 0),)
    seen = _seen(info, None, None)
    states = likeliest(seen.combing, flagged=info.flagged_interlaced)
    names = ["telecined" if s.is_film else s.name.replace("video", "interlaced") for s in states]
    if _beyond(info) and not info.flagged_interlaced:
        names = ["progressive"] * len(names)  # as a run has it
    elif _looks_soft(seen.times):
        names = ["telecined" if name == "progressive" else name for name in names]
    made: list[Stretch] = []
    place = 0
    for kind, group in groupby(names):
        count = len(list(group))
        # A container tells its start in microseconds, which may lie behind the first frame's time.
        seconds = float(seen.times[place] * info.time_base) - info.start_seconds
        made.append(Stretch(kind, max(0.0, seconds), count))
        place += count
    return tuple(made)


def _allowed(deinterlace: DeinterlaceMode, ivtc: Switch) -> list[State]:
    """What frames may be: what was asked for is not to be found otherwise."""
    forced = deinterlace in ("frames", "fields")
    film = ivtc == "on" or (ivtc == "auto" and not forced)
    allowed = [state for state in STATES if film or not state.is_film]
    if forced:
        allowed = [state for state in allowed if state.name != "progressive"]
    elif ivtc == "on":
        allowed = [state for state in allowed if state.name != "video"]
    return allowed


def _changes_nothing(plan: FieldPlan) -> bool:
    whole = len(plan.times) == len(plan.sources) and not plan.kinds.any()
    same = whole and bool((plan.top == plan.bottom).all())
    return same and bool((plan.times == plan.sources * plan.ticks).all())


def _told(plan: FieldPlan, info: MediaInfo, form: Form, *, forced: bool) -> tuple[str, ...]:
    counts: Counts = plan.counts
    lines: list[str] = []
    order = "top first" if counts.top_first else "bottom first"
    if counts.film:
        names = ", ".join("2:2" if name == "shifted" else name for name in counts.cadences)
        lines.append(
            f"telecined ({names}, {order}): {counts.film} frames matched to {counts.pictures} "
            f"pictures; the cadence breaks {counts.breaks} times"
        )
    if counts.titled:
        lines.append(
            f"titles in video over {counts.titled} frames of film: interpolated where they comb"
        )
    if counts.retimed:
        lines.append(f"{counts.retimed} pictures of film have even times, of 4 for 10 fields")
    if counts.video and form != "keep":
        made = 2 * counts.video if form == "fields" else counts.video
        each = "for each field" if form == "fields" else "for each"
        lines.append(
            f"interlaced ({order}): {counts.video} frames deinterlaced to {made}, one {each}"
        )
    if lines and counts.progressive:
        lines.append(f"progressive: {counts.progressive} frames left as they are")
    if not lines and info.flagged_interlaced and not forced:
        lines.append("flagged as interlaced, but no combing was found: left as it is")
    return tuple(lines)


def _seen(info: MediaInfo, first: int | None, last: int | None) -> _Seen:
    """Every frame of a stretch and a little around it."""
    margin = round(AROUND_SECONDS / info.time_base)
    reader = Reader(
        info,
        first=None if first is None else first - margin,
        last=None if last is None else last + margin,
    )
    seen, of = _Seen([], []), _Lumas()

    def lumas() -> Iterator[Luma]:
        for frame, time in reader.decoded():
            seen.times.append(time)
            seen.last_duration = reader.duration_of(frame)
            yield of.of(frame)

    seen.combing.extend(measured(lumas()))
    del seen.times[len(seen.combing) :]  # where frames change their size
    return seen


def _beyond(info: MediaInfo) -> bool:
    """Whether there is no interlaced video of that height or rate."""
    return info.size.height > MAX_LINES or info.frame_rate > MAX_RATE


def _suspicious(info: MediaInfo) -> bool:
    """Whether a video that claims no fields looks as if it had some, in some places."""
    if _beyond(info) or info.size.height < 16:
        return False
    size = info.size.width, info.size.height
    if info.codec not in FIELD_CODECS and size not in TELEVISION:
        return False  # lines that change on a screen look like combs, and held frames like film
    telling, other, uneven = 0.0, 0.0, False
    lumas = _Lumas()
    for frames in _samples(info):
        combing = list(measured(map(lumas.of, frames)))
        for state, one in zip(likeliest(combing), combing, strict=True):
            telling += one.weight
            other += one.weight * (state.name != "progressive")
        uneven |= _looks_soft([frame.pts for frame in frames if frame.pts is not None])
    return uneven or other > CLEAR * max(telling, SAMPLE_FRAMES / 4)


def _looks_soft(times: list[int]) -> bool:
    """Whether steps of 2 and 3 fields take turns."""
    gaps = np.diff(np.array(sorted(times), np.float64))
    if len(gaps) < 8 or gaps.min() <= 0:
        return False
    short = float(np.percentile(gaps, 20))
    long = np.abs(gaps / short - 1.5) < 0.15
    turns = long[1:] != long[:-1]
    either = long | (np.abs(gaps / short - 1) < 0.1)
    return bool(either.mean() > 0.9 and long.mean() >= UNEVEN and turns.mean() >= 2 * UNEVEN)


def _samples(info: MediaInfo) -> Iterator[list[av.VideoFrame]]:
    """Some frames from each of a few places, which are sought where that can be."""
    duration = info.duration_seconds
    places = SAMPLES if duration and duration * info.frame_rate > SAMPLES * SAMPLE_FRAMES else 1
    for place in range(places):
        try:
            with opened(info.path) as container:
                stream = container.streams[info.video]
                assert isinstance(stream, VideoStream)
                if place:
                    seconds = info.start_seconds + (duration or 0) * place / places
                    container.seek(round(seconds / info.time_base), stream=stream)
                count = SAMPLE_FRAMES if places > 1 else SAMPLES * SAMPLE_FRAMES
                yield list(islice(_readable(timed(container.demux(stream))), count))
        except (FFmpegError, MediaError):
            continue  # it cannot be sought, or not be read: whoever reads it all says so


def _readable(packets: Iterable[av.Packet[VideoStream]]) -> Iterator[av.VideoFrame]:
    for packet in packets:
        try:
            yield from packet.decode()
        except FFmpegError:
            continue  # damaged here; the reader counts it when it comes by


class _Lumas:
    """Decoded frames to 8-bit luma."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def of(self, frame: av.VideoFrame) -> Luma:
        """(h, w) of one frame; it may share its memory."""
        layout = layout_of(frame.format.name)
        if layout is None or layout.layout == "rgb" or layout.depth > 8:
            frame = self._reformatter.reformat(frame, format="gray")
        plane = frame.planes[0]
        flat = np.frombuffer(cast(memoryview, plane), np.uint8)
        return flat.reshape(-1, plane.line_size)[: frame.height, : frame.width]

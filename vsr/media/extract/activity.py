"""Find the most active part of a video, for a preview, from small gray frames.

A short video is decoded as a whole; of a longer one, a few frames after the keyframe before each of
32 evenly spread times. Motion is the mean difference of consecutive thumbnails, without scene cuts;
detail is the mean Laplacian. The activity of a part is the product of the two means over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import cast

import cv2
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vsr.errors import MediaError
from vsr.media.extract.selection import CUT
from vsr.media.files import opened
from vsr.media.read.probe import MediaInfo
from vsr.media.stall import timed

PLACES, RUN = 32, 6
WHOLE = 1 << 30  # pixels that are decoded in some seconds: a video with fewer is decoded as a whole
THUMB = (128, 72)

Gray = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ActivitySample:
    """How much moves and how much detail there is at one time of a video."""

    seconds: float
    """When, counted from the first moment of the file."""
    motion: float
    """Mean difference from the frame before, as a share of full scale, 0..1; 0 at a scene cut."""
    detail: float
    """Mean of the Laplacian's absolute value, as a share of full scale."""


def most_active_start(
    info: MediaInfo, seconds: float, *, start: float = 0.0, end: float | None = None
) -> float:
    """Returns where the most active ``seconds`` between ``start`` and ``end`` begin, in seconds."""
    length = end if end is not None else _length(info)
    latest = max(start, length - seconds)
    if latest == start:
        return start
    whole = (length - start) * float(info.frame_rate) * info.size.pixels <= WHOLE
    try:
        seen = _samples(info, start, length, whole=whole)
        samples = [sample for sample in seen if start <= sample.seconds <= length]
    except MediaError:
        samples = []
    if whole and samples:  # the file may go on with sound alone
        latest = min(latest, samples[-1].seconds + 1 / float(info.frame_rate) - seconds)
        latest = max(start, latest)
    return best(samples, seconds, start=start, latest=latest)


def best(samples: list[ActivitySample], seconds: float, *, start: float, latest: float) -> float:
    """The time from which on the activity is greatest; the middle where nothing was decoded."""
    places = sorted(sample.seconds for sample in samples if start <= sample.seconds <= latest)
    if not places:
        return (start + latest) / 2

    def activity(place: float) -> float:
        inside = [g for g in samples if place <= g.seconds < place + seconds]
        motion = sum(g.motion for g in inside) / max(1, len(inside))
        return motion * sum(g.detail for g in inside) / max(1, len(inside))

    return max(places, key=activity)


def _length(info: MediaInfo) -> float:
    """The duration, from the packets where the container does not say."""
    if info.duration_seconds is not None:
        return info.duration_seconds
    with opened(info.path) as container:
        packets = timed(container.demux(container.streams[info.video]))
        times = (packet.pts for packet in packets)
        last = max((time for time in times if time is not None), default=0)
    return max(0.0, float(last * info.time_base) - info.start_seconds)


def _samples(info: MediaInfo, start: float, end: float, *, whole: bool) -> Iterator[ActivitySample]:
    with opened(info.path) as container:
        stream = container.streams[info.video]
        assert isinstance(stream, VideoStream)
        if whole:
            _seek(container, stream, info, start)
            yield from _compared(_until(container, stream, info, end), info)
            return
        for place in range(PLACES):
            try:
                _seek(container, stream, info, start + (end - start) * place / PLACES)
                run = list(_compared(islice(timed(container.decode(stream)), RUN), info))
            except FFmpegError:
                continue  # damaged there
            if run:
                middle = sorted(sample.motion for sample in run)[len(run) // 2]
                yield ActivitySample(run[0].seconds, middle, run[0].detail)


def _seek(container: InputContainer, stream: VideoStream, info: MediaInfo, seconds: float) -> None:
    if seconds > 0:
        container.seek(round((seconds + info.start_seconds) / info.time_base), stream=stream)


def _until(
    container: InputContainer, stream: VideoStream, info: MediaInfo, end: float
) -> Iterator[VideoFrame]:
    try:
        for frame in timed(container.decode(stream)):
            if frame.pts is not None and _seconds(frame.pts, info) > end:
                return
            yield frame
    except FFmpegError:
        return  # cut off: the frames until there count


def _compared(frames: Iterable[VideoFrame], info: MediaInfo) -> Iterator[ActivitySample]:
    """Each frame with the one before it; a cut is no motion."""
    small, before = VideoReformatter(), None
    for frame in frames:
        gray = cast(Gray, small.reformat(frame, *THUMB, format="gray").to_ndarray())
        if before is not None and frame.pts is not None:
            change = float(cv2.absdiff(gray, before).mean()) / 255
            detail = float(np.abs(cv2.Laplacian(gray, cv2.CV_32F)).mean()) / 255
            yield ActivitySample(_seconds(frame.pts, info), 0.0 if change > CUT else change, detail)
        before = gray


def _seconds(pts: int, info: MediaInfo) -> float:
    return float(pts * info.time_base) - info.start_seconds

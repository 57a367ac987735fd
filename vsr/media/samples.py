"""Frames from several places of a video, to measure it by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from vsr.media.clip import Clip
from vsr.media.fields.plan import FieldPlan
from vsr.media.read.probe import MediaInfo
from vsr.media.read.reader import Reader, seekable

Plane = NDArray[np.float32]  # (h, w), 0..255 at any depth


def samples(
    info: MediaInfo,
    places: int,
    run: int,
    *,
    first: int | None = None,
    last: int | None = None,
    fields: FieldPlan | None = None,
) -> Iterator[list[tuple[Plane, ...]]]:
    """``run`` frames that follow each other from each of so many places, as planes: luma first.

    Less than a second is looked at from its start, as many frames together. ``first`` and ``last``
    bound the times, in units of the time base: of the plan's with ``fields``, whose frames are
    given then, else of the video's. Raises :class:`MediaError` where it cannot be decoded.
    """
    base = info.time_base if fields is None else fields.time_base
    duration = info.duration_seconds or 0.0
    low = round(info.start_seconds / base) if first is None else first
    end = round((info.start_seconds + duration) / float(base))
    high = end if last is None else min(last, end)
    several = (high - low) * base > 1
    begins = [low + (high - low) * (2 * n + 1) // (2 * places) for n in range(places)]
    if not several:
        reader = Reader(info, clip_frames=places * run, first=first, last=last, fields=fields)
        yield from map(_planes, islice(reader, 1))
    elif seekable(info):
        for begin in begins:
            reader = Reader(info, clip_frames=run, first=begin, last=last, fields=fields)
            yield from map(_planes, islice(reader, 1))
    else:  # once through, for each place would be read from the start
        reader = Reader(info, clip_frames=1, first=begins[0], last=last, fields=fields)
        yield from _picked(reader, begins, run)


def _picked(reader: Reader, begins: Sequence[int], run: int) -> Iterator[list[tuple[Plane, ...]]]:
    """The same of a reader that gives all frames one by one."""
    runs: list[list[tuple[Plane, ...]]] = [[] for _ in begins]
    for clip in reader:
        wanting = [
            taken
            for begin, taken in zip(begins, runs, strict=True)
            if begin <= clip.pts[0] and len(taken) < run
        ]
        if wanting:
            frame = _planes(clip)
            for taken in wanting:
                taken.extend(frame)
        elif len(runs[-1]) == run:
            break
    yield from (taken for taken in runs if taken)


def _planes(clip: Clip) -> list[tuple[Plane, ...]]:
    scale = np.float32(1 / (1 << max(0, clip.color.depth - 8)))
    order = (1, 0, 2) if clip.color.layout == "rgb" else (0, 1, 2)
    planes = [clip.planes[n] for n in order if n < len(clip.planes)]
    return [
        tuple(plane[number].numpy().astype(np.float32) * scale for plane in planes)
        for number in range(len(clip.pts))
    ]

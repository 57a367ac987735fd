"""Clips for a recurrent network, with motion, each segment preceded by its lead-in frames.

A network that remembers must see some frames before the first one that is written, whoever makes
the segment. A segment begun in the middle of a file reads them from the file; one that follows
another in the same run gets the same frames again. Before the first segment there are none: its own
frames behind the first one lead it in, backwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain

import torch
from torch import Tensor

from vsr.media.clip import Clip
from vsr.motion import MIRRORED, MotionEstimator, mirrored_places

Frame = tuple[tuple[Tensor, ...], int, int]  # planes, presentation time, duration


class LeadIn:
    """The clips of ``clips``, with motion, each segment led in by up to ``lead_frames`` frames.

    The first ``given`` frames that come are the lead-in of the first segment. Clips cross neither
    their end nor that of a segment.
    """

    def __init__(
        self,
        clips: Iterable[Clip],
        *,
        lead_frames: int,
        segment_frames: int,
        given: int = 0,
        threads: int = 1,
    ) -> None:
        self._clips, self._lead, self._segment = clips, lead_frames, segment_frames
        self._given = given
        self._estimator = MotionEstimator(threads)
        self._last: deque[Frame] = deque(maxlen=lead_frames)

    def __iter__(self) -> Iterator[Clip]:
        count, clips = -self._given, iter(self._clips)
        if not self._given:
            begun, backwards = self._mirrored(clips)
            if backwards:
                yield self._moving(_joined(backwards, begun[0]), lead_in=True)
            clips = chain(begun, clips)
        for clip in clips:
            if count > 0 and count % self._segment == 0:
                self._estimator.forget()
                if self._last:
                    yield self._moving(_joined(self._last, clip), lead_in=True)
            yield self._moving(clip, lead_in=count < 0)
            self._last += _frames(clip)
            count += len(clip.pts)

    def _mirrored(self, clips: Iterator[Clip]) -> tuple[list[Clip], list[Frame]]:
        """The clips that were read for it, and the frames that lead in the first one, in order."""
        most = min(MIRRORED, self._lead, self._segment - 1)
        begun: list[Clip] = []
        frames: list[Frame] = []
        while len(frames) <= most and (clip := next(clips, None)) is not None:
            begun.append(clip)
            frames += _frames(clip)
        return begun, [frames[place] for place in mirrored_places(min(len(frames), most + 1))]

    def _moving(self, clip: Clip, *, lead_in: bool) -> Clip:
        motion = self._estimator.next(clip.planes, clip.color)
        return replace(clip, motion=motion, lead_in=lead_in)


def _frames(clip: Clip) -> Iterator[Frame]:
    for place, (time, duration) in enumerate(zip(clip.pts, clip.durations, strict=True)):
        yield tuple(plane[place : place + 1].clone() for plane in clip.planes), time, duration


def _joined(frames: Iterable[Frame], like: Clip) -> Clip:
    planes, times, durations = zip(*frames, strict=True)
    joined = tuple(torch.cat(plane) for plane in zip(*planes, strict=True))
    return replace(like, planes=joined, pts=times, durations=durations)

"""Make the frames of a :class:`FieldPlan` from decoded ones: woven, or one field interpolated.

A frame is made of its own fields and, where one is interpolated, of the frames on both sides: by
FFmpeg's bwdif, which remembers no more. So a frame is the same wherever reading began.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import av
import cv2
import numpy as np
from av.filter import Graph
from av.video.plane import VideoPlane
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from vsr.errors import MediaError
from vsr.media.fields.plan import BOTTOM, BOTTOM_FIRST, MENDED, TOP, WOVEN, FieldPlan
from vsr.media.fields.titles import Bits, combed, unpacked

UNIT = Fraction(1, 1000)
"""Of the times that bwdif is given, which count frames."""
Made = tuple[av.VideoFrame, int, int]
"""A frame, its time and its duration in units of the plan's time base."""


def rendered(
    plan: FieldPlan, span: tuple[int, int], frames: Iterator[tuple[av.VideoFrame, int]], pix: str
) -> Iterator[Made]:
    """The plan's frames from the first to before the last number of ``span``.

    ``frames`` are the source's, with their times, from the first one that is needed on; ``pix`` is
    the pixel format that fields are interpolated in. Raises :class:`MediaError` where they are not
    the ones that the plan was made of.
    """
    low, high = span
    start, stop = plan.needed(low, high)
    maker = _Maker(plan, start, pix)
    place, shown = start, low
    while shown < high:
        if place < stop:
            frame, time = next(frames, (None, None))
            if frame is None or time != plan.sources[place]:
                raise MediaError(
                    "the video gave other frames than when its fields were looked at",
                    hint="is it damaged? --deinterlace off leaves its fields alone",
                )
            maker.take(place, frame)
            place += 1
        while shown < high and maker.can_make(shown, place, last=place == stop):
            made = maker.make(shown)
            yield made, int(plan.times[shown]), int(plan.durations[shown])
            shown += 1
            if shown < high:
                maker.drop(int(min(plan.top[shown], plan.bottom[shown])) - 1)


class _Maker:
    """Keeps the few decoded frames that are still of use."""

    def __init__(self, plan: FieldPlan, start: int, pix: str) -> None:
        self._plan, self._start, self._pix = plan, start, pix
        self._frames: dict[int, av.VideoFrame] = {}
        self._bob: _Interpolator | None = None
        self._reformatter = VideoReformatter()

    def take(self, place: int, frame: av.VideoFrame) -> None:
        self._frames[place] = frame

    def drop(self, before: int) -> None:
        for place in [place for place in self._frames if place < before]:
            del self._frames[place]

    def can_make(self, number: int, there: int, *, last: bool) -> bool:
        """Whether the source frames up to before ``there`` do for a frame of the plan."""
        plan = self._plan
        newest = int(max(plan.top[number], plan.bottom[number]))
        return newest < there if plan.kinds[number] == WOVEN else newest + 1 < there or last

    def make(self, number: int) -> av.VideoFrame:
        plan = self._plan
        top, bottom, kind = (int(of[number]) for of in (plan.top, plan.bottom, plan.kinds))
        if kind == WOVEN:
            return self._woven(top, bottom)
        side = kind & (TOP | BOTTOM)
        field = self._interpolated(top if side == TOP else bottom, side, kind & BOTTOM_FIRST)
        if not kind & MENDED:
            return field
        tiles = [unpacked(plan.titles[place]) for place in (top, bottom) if place in plan.titles]
        return self._mended(self._woven(top, bottom), field, np.logical_or.reduce(tiles))

    def _woven(self, top: int, bottom: int) -> av.VideoFrame:
        return self._frames[top] if top == bottom else woven(self._frames, top, bottom)

    def _interpolated(self, place: int, side: int, order: int) -> av.VideoFrame:
        """The frame of one field of a frame."""
        if self._bob is None or self._bob.order != order or not self._bob.reaches(place):
            self._bob = _Interpolator(order, self._pix)
        early, late = self._bob.both(self._frames, place)
        return early if side == (BOTTOM if order else TOP) else late

    def _mended(self, frame: av.VideoFrame, field: av.VideoFrame, tiles: Bits) -> av.VideoFrame:
        """A woven frame with what combs in some tiles taken from an interpolated field."""
        if frame.format.name != self._pix:
            frame = self._reformatter.reformat(frame, format=self._pix)
        made = av.VideoFrame(frame.width, frame.height, frame.format.name)
        depth = frame.format.components[0].bits
        combs: NDArray[np.uint8] | None = None
        for target, own, other in zip(made.planes, frame.planes, field.planes, strict=True):
            whole, mended, samples = (_samples(plane, depth) for plane in (own, other, target))
            if combs is None:
                combs = combed(whole, depth, tiles)
            mask = combs
            if mask.shape != whole.shape:
                mask = cv2.resize(
                    mask * np.uint8(255), whole.shape[::-1], interpolation=cv2.INTER_AREA
                )
            samples[:] = np.where(mask > 0, mended, whole)
        return made


class _Interpolator:
    """bwdif over frames that follow each other: two frames for each, one of every field."""

    def __init__(self, order: int, pix: str) -> None:
        self.order, self._pix = order, pix
        self._graph: Graph | None = None
        self._reformatter = VideoReformatter()
        self._fed: int | None = None
        self._made: dict[int, list[av.VideoFrame]] = {}

    def reaches(self, place: int) -> bool:
        """Whether a frame's fields are there, or follow from the next frame."""
        return self._fed is None or place in self._made or place == self._fed

    def both(self, frames: dict[int, av.VideoFrame], place: int) -> list[av.VideoFrame]:
        """The earlier and the later field of a frame, each made a frame."""
        if self._fed is None:
            self._feed(place - 1, frames)
            self._feed(place, frames)
        if place not in self._made:
            self._feed(place + 1, frames, end=True)
        self._made = {place: self._made[place]}
        return self._made[place]

    def _feed(self, place: int, frames: dict[int, av.VideoFrame], *, end: bool = False) -> None:
        """Hand on a frame if there is one, or at the end of all, that."""
        frame = frames.get(place)
        if frame is None and not end:
            return
        graph = self._graph or self._opened(cast(av.VideoFrame, frame))
        if frame is not None:
            if frame.format.name != self._pix:
                frame = self._reformatter.reformat(frame, format=self._pix)
            frame.pts, frame.time_base = place, UNIT
        graph.vpush(frame)
        self._fed = place
        pulled: list[av.VideoFrame] = []
        while True:
            try:
                pulled.append(graph.vpull())
            except (BlockingIOError, EOFError):
                break
        if pulled:
            self._made[place - 1] = pulled

    def _opened(self, frame: av.VideoFrame) -> Graph:
        graph = self._graph = Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=av.VideoFormat(self._pix), time_base=UNIT
        )
        parity = "bff" if self.order else "tff"
        middle = graph.add("bwdif", f"mode=send_field:parity={parity}:deint=all")
        to = graph.add("format", f"pix_fmts={self._pix}")
        graph.link_nodes(source, middle, to, graph.add("buffersink")).configure()
        return graph


def woven(frames: dict[int, av.VideoFrame], top: int, bottom: int) -> av.VideoFrame:
    """The top field of one frame and the bottom field of another, in a frame of its own."""
    one, other = frames[top], frames[bottom]
    made = av.VideoFrame(one.width, one.height, one.format.name)
    for target, early, late in zip(made.planes, one.planes, other.planes, strict=True):
        lines = _lines(target)
        for parity, source in enumerate((early, late)):
            given = _lines(source)
            width = min(lines.shape[1], given.shape[1])
            lines[parity::2, :width] = given[parity::2, :width]
    return made


def _samples(plane: VideoPlane, depth: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """A plane's memory by samples, (h, w)."""
    lines = _lines(plane)
    return (lines.view(np.uint16) if depth > 8 else lines)[:, : plane.width]


def _lines(plane: VideoPlane) -> NDArray[np.uint8]:
    """A plane's memory by lines, (h, bytes of a line)."""
    flat = np.frombuffer(cast(memoryview, plane), np.uint8)
    return flat.reshape(-1, plane.line_size)[: plane.height]

"""One comparison as it runs: numbers, shifts, kept frames and VMAF, fed group by group."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import cv2
import numpy as np
import torch
from torch import Tensor

from vsr.errors import MediaError
from vsr.evaluation.align import OffsetFinder
from vsr.evaluation.meter import Meter, Numbers
from vsr.evaluation.options import CompareOptions
from vsr.evaluation.result import Collector, Comparison, Shown, Track
from vsr.evaluation.vmaf import MIN_SIDE as VMAF_MIN_SIDE
from vsr.evaluation.vmaf import Vmaf, program
from vsr.events import Advanced, EventSink
from vsr.geometry import Size

UNKNOWN = 250
"""Frames of a stretch where nobody knows how many there will be."""


class WorstFrames:
    """The frame with the lowest score of each of about ``count`` stretches of a film.

    Neighbours look alike, so the worst few of a whole film would mostly show one moment.
    """

    def __init__(self, count: int, frames: int | None) -> None:
        self._count = count
        self._stretch = UNKNOWN if frames is None else max(1, -(-frames // max(1, count)))
        self._kept: dict[int, Shown] = {}

    def wants(self, place: int, score: float) -> bool:
        """Whether :meth:`offer` would keep this frame."""
        before = self._kept.get(place // self._stretch)
        return self._count > 0 and (before is None or score < before.score)

    def offer(self, place: int, score: float, pictures: Callable[[], Sequence[Tensor]]) -> None:
        """Keep a frame if it is worse than what its stretch has; (3, h, w) RGB 0..1 each."""
        if not self.wants(place, score):
            return
        shown = Shown(place, score, tuple(encoded(picture) for picture in pictures()))
        self._kept[place // self._stretch] = shown
        if len(self._kept) > self._count:
            best = max(self._kept, key=lambda stretch: self._kept[stretch].score)
            del self._kept[best]

    def worst_first(self) -> tuple[Shown, ...]:
        """What was kept."""
        return tuple(sorted(self._kept.values(), key=lambda shown: (shown.score, shown.place)))


def encoded(picture: Tensor) -> bytes:
    """A (3, h, w) RGB picture 0..1 as the bytes of an 8-bit png."""
    levels = picture.clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0)
    pixels = np.ascontiguousarray(levels.cpu().numpy()[..., ::-1])
    stored, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not stored:
        raise MediaError(f"a picture of {pixels.shape[1]}x{pixels.shape[0]} px cannot be encoded")
    return data.tobytes()


def decoded(data: bytes) -> np.ndarray:
    """Back to (h, w, 3) RGB of 8 bit."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert pixels is not None, "it was encoded here"
    return np.asarray(pixels, dtype=np.uint8)


class Session:
    """A context that is fed frames and then asked for the :class:`Comparison`.

    ``reference`` is the reference's name, or ``None``: the guide is then only what motion is read
    from. Memory grows by some numbers a frame, not by pictures.
    """

    def __init__(
        self,
        reference: str | None,
        films: Sequence[tuple[str, str]],
        options: CompareOptions,
        frames: int | None,
        on_event: EventSink,
        *,
        find_shifts: bool = False,
    ) -> None:
        self._begun = time.perf_counter()
        self._reference, self._films, self._options = reference, films, options
        self._on_event = on_event
        self._meter = Meter(options, with_reference=reference is not None)
        self._own = Collector()
        self._found = [Collector() for _ in films]
        self._finders = [OffsetFinder() for _ in films] if find_shifts else []
        self._worst = WorstFrames(options.shown, frames)
        self._times: array[float] = array("d")
        self._names: list[str] = []
        self._size: Size | None = None
        self._missing: tuple[str, ...] = ()
        self._stack = ExitStack()
        self._vmaf: list[Vmaf] = []
        self._notes: list[str] = []

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def frames(self) -> int:
        """How many were added."""
        return len(self._times)

    def add(
        self,
        seconds: float,
        guide: Tensor,
        pictures: Sequence[Tensor],
        *,
        follows: bool,
        name: str = "",
    ) -> None:
        """One more group: (3, h, w) RGB pictures 0..1 of one size, each as its film shows it."""
        size = Size(guide.shape[-1], guide.shape[-2])
        if self._size is None:
            self._begin(size)
        missing = self._meter.missing(size)
        if len(missing) > len(self._missing):
            self._missing = missing
        own, found = self._meter.measure(guide, pictures, follows=follows)
        self._own.add(own)
        for collector, numbers in zip(self._found, found, strict=True):
            collector.add(numbers)
        if size == self._size:
            for finder, picture in zip(self._finders, pictures, strict=False):
                finder.add(guide, picture)
            for run, picture in zip(self._vmaf, pictures, strict=False):
                run.add(guide, picture)
        elif self._vmaf:
            self._notes.append("no VMAF: the pictures are not all of one size")
            self._stack.close()
            self._vmaf = []
        place = len(self._times)
        self._times.append(seconds)
        if name:
            self._names.append(name)
        first = () if self._reference is None else (guide,)
        self._worst.offer(place, self._score(pictures, found), lambda: (*first, *pictures))
        self._on_event(Advanced(1, ""))

    def finish(
        self,
        *,
        notes: Sequence[str] = (),
        settings: dict[str, str] | None = None,
        seconds: Sequence[float] | None = None,
        shifts: Sequence[int] | None = None,
    ) -> Comparison:
        """What was found. ``seconds`` is a model's time for a frame, for each film."""
        if self._size is None:
            raise MediaError("not one frame could be compared", hint="check --start and --end")
        scores = [run.finish() for run in self._vmaf]
        tracks: list[Track] = []
        for place, (name, path) in enumerate(self._films):
            values = dict(self._found[place].values)
            if scores:
                values["vmaf"] = array("d", scores[place])
            shift = self._shift(place, name) if shifts is None else shifts[place]
            pace = None if seconds is None else seconds[place]
            tracks.append(Track(name, path, values, pace, shift))
        if self._missing:
            names = ", ".join(self._missing)
            self._notes.append(f"not measured, at this size of pictures: {names}")
        own = self._reference
        return Comparison(
            reference=None if own is None else Track(own, own, self._own.values),
            tracks=tuple(tracks),
            size=self._size,
            times=self._times,
            names=tuple(self._names),
            shown=self._worst.worst_first(),
            notes=(*notes, *self._notes),
            settings=settings or {},
            seconds=time.perf_counter() - self._begun,
        )

    def _begin(self, size: Size) -> None:
        self._size = size
        wanted = self._options.vmaf is True or "vmaf" in self._options.metrics
        free = self._options.vmaf is None and not self._options.metrics
        fits = min(size.width, size.height) >= VMAF_MIN_SIDE
        if self._reference is None or not (wanted or (free and fits and program() is not None)):
            return
        self._vmaf = [self._stack.enter_context(Vmaf(size)) for _ in self._films]

    def _shift(self, place: int, name: str) -> int:
        if not self._finders:
            return 0
        finder = self._finders[place]
        finder.finish()
        for begun, shift in finder.found:
            if shift:
                frames = f"{abs(shift)} frame{'s' if abs(shift) > 1 else ''}"
                since = f" from {self._times[begun]:.2f} s on" if begun else ""
                self._notes.append(
                    f"{name} is {frames} {'late' if shift > 0 else 'early'}{since}: it shows what "
                    f"the reference shows {frames} {'before' if shift > 0 else 'after'} "
                    "(--align shift takes that out)"
                )
        return finder.found[-1][1] if finder.found else 0

    def _score(self, pictures: Sequence[Tensor], found: Sequence[Numbers]) -> float:
        """The worst film's PSNR; without a reference, how much the films agree."""
        if self._reference is None:
            apart = [float((a - pictures[0]).abs().mean()) for a in pictures[1:]]
            return -max(apart, default=0.0)
        likely = [n.get("psnr", n.get("psnr_rgb", n.get("ssim", math.inf))) for n in found]
        return min(likely)

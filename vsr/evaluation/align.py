"""Which frame of each candidate belongs to which of the reference. Looks at times, not at pixels.

Times are counted from each file's first frame, so containers that begin at 10 s or at -0.02 s meet
those that begin at 0. Two frames belong together when they lie less than half a frame apart.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NoReturn

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vsr.errors import OptionsError
from vsr.evaluation.footage import Footage, Frame
from vsr.evaluation.options import Align
from vsr.metrics.picture import luma

Group = tuple[Frame, ...]
"""A frame of the reference and one of each candidate."""


def groups(
    reference: Footage, candidates: Sequence[Footage], align: Align, shifts: Sequence[int]
) -> Iterator[Group]:
    """Frames that belong together, in the reference's order.

    ``shifts`` are the frames by which each candidate is late, for ``align`` "shift". Raises
    :class:`OptionsError` at the first frame that has no partner, unless ``align`` allows it.
    """
    inputs = [reference, *candidates]
    kinds = {footage.kind for footage in inputs}
    if kinds == {"folder"}:
        return _by_name(reference, candidates, strict=align in ("time", "number"))
    if kinds == {"picture"} or "folder" in kinds or align in ("number", "shift"):
        if "picture" in kinds and len(kinds) > 1:
            raise OptionsError("a picture is compared with pictures, a video with videos")
        late = shifts if align == "shift" else [0] * len(candidates)
        return _by_number(inputs, late, strict=align in ("time", "number"))
    return _by_time(inputs, strict=align == "time")


def _by_number(inputs: Sequence[Footage], late: Sequence[int], strict: bool) -> Iterator[Group]:
    ahead = max(0, *(-shift for shift in late))
    streams = [iter(footage) for footage in inputs]
    for stream, skipped in zip(streams, (ahead, *(ahead + n for n in late)), strict=True):
        for _ in range(skipped):
            next(stream, None)
    count = 0
    while True:
        found = [next(stream, None) for stream in streams]
        group = tuple(frame for frame in found if frame is not None)
        if len(group) == len(found):
            count += 1
            yield group
            continue
        if group and strict:
            ended = next(i for i, f in zip(inputs, found, strict=True) if f is None)
            longer = next(i for i, f in zip(inputs, found, strict=True) if f is not None)
            raise OptionsError(
                f"{ended.path} ends after {count} frames, and {longer.path} goes on",
                hint="--align overlap compares the frames that all have",
            )
        return


def _by_time(inputs: Sequence[Footage], strict: bool) -> Iterator[Group]:
    rates = [footage.info.frame_rate for footage in inputs if footage.info is not None]
    tolerance = 1 / max(rates) / 2
    streams = [_Timed(footage, tolerance) for footage in inputs]
    reference, *others = streams
    count = 0
    while reference.frame is not None:
        time = reference.time
        found: list[Frame] = [reference.frame]
        for other in others:
            frame = other.near(time, strict, reference.footage)
            if frame is not None:
                found.append(frame)
            elif strict:
                _unmatched(reference.footage, other.footage, time, count)
        if len(found) == len(streams):
            count += 1
            yield tuple(found)
        reference.advance()
    for other in others:
        if other.frame is not None and strict:
            _unmatched(other.footage, reference.footage, other.time, count)


class _Timed:
    """The frames of one input, one at a time, with their times from the first one on."""

    def __init__(self, footage: Footage, tolerance: Fraction) -> None:
        self.footage = footage
        self._stream = iter(footage)
        self._tolerance = tolerance
        self.frame: Frame | None = None
        self.advance()
        self._zero = self.frame.time if self.frame is not None else Fraction(0)

    @property
    def time(self) -> Fraction:
        """Of the present frame."""
        assert self.frame is not None
        return self.frame.time - self._zero

    def advance(self) -> None:
        """Go to the next frame, or to none."""
        self.frame = next(self._stream, None)

    def near(self, time: Fraction, strict: bool, reference: Footage) -> Frame | None:
        """The frame at ``time``, which is then used up."""
        while self.frame is not None and self.time < time - self._tolerance:
            if strict:
                _unmatched(self.footage, reference, self.time, self.frame.number)
            self.advance()
        if self.frame is None or self.time > time + self._tolerance:
            return None
        frame = self.frame
        self.advance()
        return frame


def _unmatched(has: Footage, lacks: Footage, time: Fraction, before: int) -> NoReturn:
    damage = f"; {lacks.path.name} is damaged or cut off" if lacks.damaged else ""
    raise OptionsError(
        f"{has.path} has a frame at {float(time):.3f} s after its first, {lacks.path} has none "
        f"there ({before} frames have partners until then){damage}",
        hint="--align overlap compares the frames that all have, --align number or shift goes by "
        "their order",
    )


def _by_name(reference: Footage, candidates: Sequence[Footage], strict: bool) -> Iterator[Group]:
    named = [{path.stem: path for path in footage.pictures} for footage in candidates]
    wanted = [path.stem for path in reference.pictures]
    for footage, names in zip(candidates, named, strict=True):
        missing = [name for name in wanted if name not in names]
        extra = [name for name in names if name not in set(wanted)]
        if strict and (missing or extra):
            place, name = (footage.path, missing[0]) if missing else (reference.path, extra[0])
            raise OptionsError(
                f"{place} has no picture {name!r}: {len(missing)} are missing, {len(extra)} more "
                "than the reference has",
                hint="--align overlap compares the names that all have",
            )
    for number, path in enumerate(reference.pictures):
        if all(path.stem in names for names in named):
            paths = [path, *(names[path.stem] for names in named)]
            found = [Footage(one).first for one in paths]
            yield tuple(
                Frame(number, Fraction(number), path.stem, f.planes, f.color, 0) for f in found
            )


REACH = 6
"""Frames early or late that are looked for."""
WINDOW = 48
"""Frames after which a verdict is given and counting begins anew."""
_WIDTH = 160
_CLEARLY = 0.6
"""A shift is believed when it makes the difference smaller than this part of it."""
_MOVING = 0.3
"""Levels of difference below which films are the same, or stand still, as they are."""

Small = NDArray[np.float32]


class OffsetFinder:
    """Give it the frames that were paired; it tells by how many the second film is late.

    Memory does not grow: it keeps the last :data:`REACH` + 1 pictures of each film, made small.
    """

    def __init__(self) -> None:
        self.found: list[tuple[int, int]] = []  # (first frame of a stretch, its shift)
        self._one: deque[Small] = deque(maxlen=REACH + 1)
        self._two: deque[Small] = deque(maxlen=REACH + 1)
        self._errors: dict[int, list[float]] = {}
        self._count = 0

    def add(self, reference: Tensor, candidate: Tensor) -> None:
        """One more pair of (3, h, w) RGB pictures 0..1."""
        self._one.append(_small(reference))
        self._two.append(_small(candidate))
        for back in range(len(self._one)):
            # The candidate's newest against the reference's older ones: it is late. And vice versa.
            self._note(back, self._one[-1 - back], self._two[-1])
            if back:
                self._note(-back, self._one[-1], self._two[-1 - back])
        self._count += 1
        if self._count % WINDOW == 0:
            self._decide()

    def finish(self) -> None:
        """Decide on what is left of the last window."""
        if self._count % WINDOW > 2 * REACH or not self.found:
            self._decide()

    def _note(self, shift: int, one: Small, two: Small) -> None:
        if one.shape == two.shape:
            difference = float(np.abs(one - two).mean())
            self._errors.setdefault(shift, []).append(difference)

    def _decide(self) -> None:
        begun = (self._count - 1) // WINDOW * WINDOW
        means = {
            shift: math.fsum(errors) / len(errors)
            for shift, errors in self._errors.items()
            if len(errors) >= 3
        }
        self._errors = {}
        if not means or 0 not in means:
            return
        best = min(means, key=lambda shift: (means[shift], abs(shift)))
        clear = means[0] > _MOVING and means[best] < _CLEARLY * means[0]
        shift = best if clear else 0
        still = means[0] <= _MOVING or max(means.values()) - min(means.values()) < _MOVING
        if self.found and (still or self.found[-1][1] == shift):
            return  # what stands still does not speak against what was found before
        self.found.append((begun, shift))


def _small(picture: Tensor) -> Small:
    plane = luma(picture).float().cpu().numpy()
    height, width = plane.shape
    if width > _WIDTH:
        size = (_WIDTH, max(1, round(height * _WIDTH / width)))
        plane = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return np.asarray(plane, dtype=np.float32)

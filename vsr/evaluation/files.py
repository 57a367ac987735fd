"""Compare films with a reference: open them, pair their frames, cut out what is asked, measure."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from vsr.color import PQ, ColorSpec
from vsr.errors import OptionsError
from vsr.evaluation.align import WINDOW, Group, OffsetFinder, groups
from vsr.evaluation.footage import Footage
from vsr.evaluation.options import COMMON, CompareOptions
from vsr.evaluation.result import Comparison, labels
from vsr.evaluation.session import Session
from vsr.events import EventSink, Started
from vsr.geometry import Box, Size

BURST = 3
"""Frames that are looked at in a row where not all are: flicker is between neighbours."""


def compare_files(
    reference: Path, candidates: Sequence[Path], options: CompareOptions, on_event: EventSink
) -> Comparison:
    """Numbers for each candidate against the reference: videos, pictures, or folders of them.

    Raises :class:`MediaError` for what cannot be read, :class:`OptionsError` where frames or sizes
    do not match.
    """
    original = Footage(reference)
    others = [Footage(path) for path in candidates]
    check_sizes(original, others, options.crop)
    shifts = [0] * len(others)
    if options.align == "shift":
        shifts = [_offset_of(original, other, options.crop) for other in others]
    name, *names = labels([reference, *candidates])
    frames = expected(original, options)
    count = frames if options.frames is None or frames is None else min(frames, options.frames)
    size = original.first.size
    on_event(Started(reference, candidates[0], count, size, size))
    follows, taken = _Follows(), _FrameChoice(options, frames)
    films = list(zip(names, map(str, candidates), strict=True))
    # A folder's pictures have no order in time unless their numbers say so.
    finding = original.kind == "video" and options.align != "shift"
    with Session(name, films, options, count, on_event, find_shifts=finding) as session:
        zero = None
        for place, group in enumerate(groups(original, others, options.align, shifts)):
            first = group[0]
            zero = first.time if zero is None else zero
            seconds = float(first.time - zero) if original.kind == "video" else float(place)
            if options.end is not None and seconds >= options.end:
                break
            if not taken.take(place, seconds):
                continue
            guide, *pictures = cut_out(group, options.crop)
            session.add(
                seconds, guide, pictures, follows=follows.after(place, first.name), name=first.name
            )
        notes = _notes(original, others, names)
        settings = _settings(options, original)
        return session.finish(
            notes=notes, settings=settings, shifts=shifts if options.align == "shift" else None
        )


def expected(footage: Footage, options: CompareOptions) -> int | None:
    """How many frames there are from ``start`` to ``end``: by the file's own claim."""
    frames, rate = footage.frames, Fraction(1) if footage.info is None else footage.info.frame_rate
    if frames is None:
        return None
    begin = math.ceil(exact(options.start or 0.0) * rate)
    end = frames if options.end is None else math.ceil(exact(options.end) * rate)
    return max(0, min(frames, end) - begin)


def exact(seconds: float) -> Fraction:
    """Seconds as a person gives them."""
    return Fraction(seconds).limit_denominator(90000)


def check_sizes(reference: Footage, others: Sequence[Footage], crop: Box | None) -> None:
    """Raise :class:`OptionsError` unless all have the size, or the crop, that is compared."""
    if reference.kind == "folder":
        return  # each picture has its own; they are looked at one by one
    for footage in others:
        _check_size(reference.first.size, footage.first.size, str(footage.path), crop)


def _check_size(one: Size, two: Size, name: str, crop: Box | None) -> None:
    if crop is None and one != two:
        raise OptionsError(
            f"{name} is {two}, the reference {one}",
            hint="--crop x,y,width,height compares one region of both, --crop common the part from "
            "the top left corner that both have",
        )
    if crop is not None and crop is not COMMON:
        for size in (one, two):
            if crop.right > size.width or crop.bottom > size.height:
                raise OptionsError(
                    f"the crop ends at {crop.right}x{crop.bottom}, outside of a frame of {size}",
                    hint="--crop takes x,y,width,height in pixels",
                )


def cut_out(group: Group, crop: Box | None) -> list[Tensor]:
    """(3, h, w) RGB pictures of one size, each read by its own colour tags."""
    reference = group[0]
    for frame in group[1:]:
        _check_size(reference.size, frame.size, frame.name or "a candidate", crop)
    if crop is COMMON:
        width = min(frame.size.width for frame in group)
        height = min(frame.size.height for frame in group)
        crop = Box(0, 0, width, height)
    pictures = [frame.rgb() for frame in group]
    if crop is None:
        return pictures
    return [picture[:, crop.y : crop.bottom, crop.x : crop.right] for picture in pictures]


class _FrameChoice:
    """Which frames are looked at: inside the times, and where not all, in bursts spread evenly."""

    def __init__(self, options: CompareOptions, frames: int | None) -> None:
        self._start = options.start or 0.0
        self._most = options.frames
        self._first: int | None = None  # place of the first frame inside
        self._count = 0
        bursts = 1 if options.frames is None else -(-options.frames // BURST)
        self._apart = max(BURST, (frames or 0) // bursts) if options.frames is not None else 1

    def take(self, place: int, seconds: float) -> bool:
        if seconds < self._start:
            return False
        if self._most is None:
            return True
        self._first = place if self._first is None else self._first
        if (place - self._first) % self._apart >= BURST or self._count >= self._most:
            return False
        self._count += 1
        return True


class _Follows:
    """Whether a frame comes right after the one before: by its place and, for pictures, by name."""

    def __init__(self) -> None:
        self._place, self._name = -2, ""

    def after(self, place: int, name: str) -> bool:
        before, self._name = self._name, name
        next_to, self._place = place == self._place + 1, place
        if not name:
            return next_to
        one, two = (re.fullmatch(r"(.*?)(\d+)", text) for text in (before, name))
        return bool(one and two and one[1] == two[1] and int(one[2]) + 1 == int(two[2]))


def _offset_of(reference: Footage, candidate: Footage, crop: Box | None) -> int:
    """By how many frames a candidate is late, from the first frames of both."""
    finder = OffsetFinder()
    pairs = groups(reference, [candidate], "shift", [0])
    for group in itertools.islice(pairs, WINDOW):
        guide, picture = cut_out(group, crop)
        finder.add(guide, picture)
    finder.finish()
    return finder.found[-1][1] if finder.found else 0


def _notes(reference: Footage, others: Sequence[Footage], names: Sequence[str]) -> list[str]:
    notes: list[str] = []
    one = reference.first
    for name, footage in zip(names, others, strict=True):
        two = footage.first
        for what, here, there in _told_apart(one.color, one.size, two.color, two.size):
            notes.append(f"{name} has another {what} ({there}, the reference {here})")
        if footage.damaged:
            notes.append(f"{name}: {footage.damaged} damaged packets or frames, concealed")
    if reference.damaged:
        notes.append(f"the reference: {reference.damaged} damaged packets or frames, concealed")
    if (one.color.transfer == PQ) or one.color.hdr:
        notes.append("HDR: numbers are of code values, for which these metrics were not made")
    return notes


def _told_apart(
    one: ColorSpec, size_one: Size, two: ColorSpec, size_two: Size
) -> list[tuple[str, str, str]]:
    """What colour tags differ in, and what was done about it."""
    first, second = one.resolved(size_one.height), two.resolved(size_two.height)
    rows = [
        ("matrix, and both were read by their own", first.matrix, second.matrix),
        ("range, and both were read by their own", first.full, second.full),
        ("transfer, which was not converted", first.transfer, second.transfer),
        ("primaries, which were not converted", first.primaries, second.primaries),
    ]
    if "rgb" in (first.layout, second.layout) or "gray" in (first.layout, second.layout):
        return []
    return [(what, str(a), str(b)) for what, a, b in rows if a != b]


def _settings(options: CompareOptions, reference: Footage) -> dict[str, str]:
    crop = options.crop
    region = "whole frames" if crop is None else "what all have" if crop is COMMON else ""
    if crop is not None and crop is not COMMON:
        region = f"{crop.width}x{crop.height} from {crop.x},{crop.y}"
    return {
        "input": reference.path.name,
        "paired by": "name" if reference.kind == "folder" else options.align,
        "region": region,
        "border left out": f"{options.border} px (PSNR, SSIM, MS-SSIM)",
        "frames": "all" if options.frames is None else f"at most {options.frames}",
        "VGG": options.vgg,
    }

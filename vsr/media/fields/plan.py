"""Which frames a video has once its fields are sorted: of which fields each is made, and when.

A :class:`FieldPlan` is made once for a stretch of a video, from all of it. After that a frame
depends on the plan and on its own fields alone: whoever makes a part of the video makes the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vsr.media.fields.cadence import State, follows
from vsr.media.fields.measure import Combing
from vsr.media.fields.times import Ticks, even_out
from vsr.media.fields.titles import titles_of

Form = Literal["fields", "frames", "keep"]
"""What video becomes: a frame for each field, one for each frame, or it is left combed."""
WOVEN, TOP, BOTTOM = 0, 1, 2
BOTTOM_FIRST = 4  # added to TOP and BOTTOM
MENDED = 8  # added to TOP and BOTTOM: woven, and only what combs is interpolated
SAME = 0.3
"""Combing of a pair, at most, whose fields are taken for one picture's where a cadence changes."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a :class:`FieldPlan` found and made, in numbers for people."""

    progressive: int = 0
    """Source frames whose fields are of one moment."""
    video: int = 0
    """Source frames whose two fields are of two moments."""
    film: int = 0
    """Source frames that hold fields of film pictures, in any cadence."""
    pictures: int = 0
    """Pictures of film that the fields of those frames were matched to."""
    breaks: int = 0
    """How many times one film cadence gives way to another one, or to another phase of itself."""
    retimed: int = 0
    """Pictures that lasted 2 and 3 fields in turn and were given even times; those of soft telecine
    too, which are ``progressive`` here."""
    titled: int = 0
    """Source frames of film with titles in front of it that move with every field."""
    cadences: tuple[str, ...] = ()
    """Names of the film states met (:attr:`State.name`), each once, in order of appearance."""
    top_first: bool = True
    """Whether the top field is the earlier one in at least half of the frames that are not
    progressive."""


@dataclass(frozen=True, slots=True, eq=False)  # arrays do not compare with ==
class FieldPlan:
    """The frames of a stretch: when each is shown, and which fields of the source it is made of."""

    time_base: Fraction
    """The unit of ``times`` and ``durations``, in seconds; it divides the source's time base."""
    ticks: int
    """How many units of ``time_base`` make one of the source's."""
    sources: NDArray[np.int64]
    """When each source frame is shown, in units of the source's time base, (source frames,)."""
    times: NDArray[np.int64]
    """When each frame made is shown, in units of ``time_base``, (frames,)."""
    durations: NDArray[np.int64]
    """How long each frame made is shown, in units of ``time_base``, (frames,)."""
    top: NDArray[np.int32]
    """Of which source frame each frame made has its top field, an index into ``sources``,
    (frames,)."""
    bottom: NDArray[np.int32]
    """The same for its bottom field, (frames,); where only one field is kept, both name its
    frame."""
    kinds: NDArray[np.uint8]
    """:data:`WOVEN` where both fields are kept, (frames,); :data:`TOP` or :data:`BOTTOM` where that
    one is kept and the other interpolated, plus :data:`BOTTOM_FIRST` where the source's earlier
    field is the bottom one, plus :data:`MENDED` where both are kept but for what combs."""
    counts: Counts
    """What was found and made, in numbers."""
    titles: Mapping[int, bytes] = field(default_factory=dict[int, bytes])
    """Of some of the source's frames, the tiles in which what moves is no film, packed."""

    def between(self, first: int | None, last: int | None, after: int | None) -> tuple[int, int]:
        """The frames from ``first`` on, behind ``after`` and before ``last``: (low, high)."""
        low = 0 if first is None else int(self.times.searchsorted(first))
        if after is not None:
            low = max(low, int(self.times.searchsorted(after, "right")))
        high = len(self.times) if last is None else int(self.times.searchsorted(last))
        return low, max(low, high)

    def needed(self, low: int, high: int) -> tuple[int, int]:
        """Which source frames the frames from ``low`` to before ``high`` are made of, and one on
        each side of them, which interpolation looks at: (from, to before)."""
        if low >= high:
            return 0, 0
        used = np.concatenate([self.top[low:high], self.bottom[low:high]])
        return max(0, int(used.min()) - 1), min(len(self.sources), int(used.max()) + 2)

    def source_bounds(self, low: int, high: int) -> tuple[int | None, int | None, int | None]:
        """``first``, ``last`` and ``after`` for a reader of what these frames are made of."""
        start, stop = self.needed(low, high)
        if start == stop:
            return None, None, None
        last = int(self.sources[stop - 1]) + 1
        # Where it follows another frame, that one must come by, or the seek was none.
        if start:
            return None, last, int(self.sources[start - 1])
        return int(self.sources[0]), last, None

    def place(self, time: int) -> int | None:
        """The number of the source frame at ``time``, if there is one."""
        place = int(self.sources.searchsorted(time))
        return place if place < len(self.sources) and self.sources[place] == time else None

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second, on average."""
        span = int(self.times[-1] + self.durations[-1] - self.times[0]) * self.time_base
        return (len(self.times) / span).limit_denominator(1001)


@dataclass(slots=True)
class _Picture:
    """Fields that are shown as one frame: (frame, parity) pairs in order, and what they are."""

    fields: list[tuple[int, int]]
    state: State


def make_plan(
    sources: Sequence[int],
    states: Sequence[State],
    combing: Sequence[Combing],
    time_base: Fraction,
    last_duration: int,
    *,
    form: Form,
    even: bool,
) -> FieldPlan:
    """The plan of frames at ``sources``, in units of ``time_base``, which are in ``states``.

    ``even`` gives film that was spread over fields its even times.
    """
    pictures = _pictures(states, combing, form)
    ticks = Ticks.of(sources, time_base, last_duration)
    starts = [ticks.start(*_place(picture, states[picture.fields[0][0]])) for picture in pictures]
    end = ticks.end
    film = [
        even and picture.state.name != "video" and len(picture.fields) > 1 for picture in pictures
    ]
    times, retimed = even_out(starts, end, film, ticks.field)
    shown = np.array(times, np.int64)
    titles = {} if form == "keep" else titles_of(states, combing)
    return FieldPlan(
        time_base=ticks.time_base,
        ticks=ticks.per_tick,
        sources=np.array(sources, np.int64),
        times=shown,
        durations=np.diff(shown, append=max(end, times[-1] + 1)),
        top=np.array([_source(picture, 0) for picture in pictures], np.int32),
        bottom=np.array([_source(picture, 1) for picture in pictures], np.int32),
        kinds=np.array([_kind(picture, titles) for picture in pictures], np.uint8),
        counts=_counted(states, pictures, retimed, titles),
        titles=titles,
    )


def _pictures(states: Sequence[State], combing: Sequence[Combing], form: Form) -> list[_Picture]:
    made: list[_Picture] = []
    before: State | None = None
    for frame, (state, seen) in enumerate(zip(states, combing, strict=True)):
        early, late = (frame, state.first), (frame, 1 - state.first)
        if state.name == "video" and form != "fields":
            fields = [early] if form == "frames" else [early, late]
            made.append(_Picture(fields, state))
        else:
            if made and before is not None and _goes_on(state, before, seen, made[-1]):
                made[-1].fields.append(early)
            else:
                made.append(_Picture([early], state))
            if state.joined:
                made[-1].fields.append(late)
            else:
                made.append(_Picture([late], state))
        before = state
    return made


def _goes_on(state: State, before: State, seen: Combing, last: _Picture) -> bool:
    """Whether a frame's first field belongs to the picture that the frame before ended with."""
    if "video" in (state.name, before.name):
        return False
    if follows(state, before):
        return state.joins
    # Where the cadence changes, a field may be alone; else it would be shown once more.
    alone = len(last.fields) == 1
    near = seen.of_film(seen.bottom if state.first else seen.top)
    return not seen.cut and (state.joins or alone) and near <= SAME


def _place(picture: _Picture, state: State) -> tuple[int, bool]:
    """The frame at which a picture begins, and whether at its second field."""
    frame, parity = picture.fields[0]
    return frame, parity != state.first


def _source(picture: _Picture, parity: int) -> int:
    """The frame that a picture's field of this parity is taken from: both of one frame, if any."""
    of = {side: [frame for frame, own in picture.fields if own == side] for side in (0, 1)}
    whole = set(of[0]) & set(of[1])
    return min(whole) if whole else (of[parity] or of[1 - parity])[0]


def _kind(picture: _Picture, titles: Mapping[int, bytes]) -> int:
    parities = {parity for _, parity in picture.fields}
    top, bottom = _source(picture, 0), _source(picture, 1)
    woven = len(parities) == 2
    if woven and not (picture.state.is_film and (top in titles or bottom in titles)):
        return WOVEN
    parity = picture.fields[0][1]
    if woven:  # the earlier of its two fields
        parity = picture.state.first if top == bottom else int(bottom < top)
    return (BOTTOM if parity else TOP) + BOTTOM_FIRST * picture.state.first + MENDED * woven


def _counted(
    states: Sequence[State],
    pictures: Sequence[_Picture],
    retimed: int,
    titles: Mapping[int, bytes],
) -> Counts:
    names = [state.name for state in states]
    film = [state for state in states if state.is_film]
    breaks = sum(
        state.is_film and before.is_film and not follows(state, before)
        for before, state in pairwise(states)
    )
    firsts = [state.first for state in states if state.name != "progressive"]
    return Counts(
        progressive=names.count("progressive"),
        video=names.count("video"),
        film=len(film),
        pictures=sum(picture.state.is_film for picture in pictures),
        breaks=breaks,
        retimed=retimed,
        titled=len(titles),
        cadences=tuple(dict.fromkeys(state.name for state in film)),
        top_first=2 * sum(firsts) <= len(firsts),
    )

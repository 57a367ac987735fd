"""What the fields of each frame are, told from the combing of all frames. Pure: numbers to states.

Every hypothesis about a frame says which of its three pairs of fields (:class:`Combing`) combs:

- progressive: both fields of one moment; the pairs with the frame before comb;
- video: every field another moment; the pair that is three fields apart combs most;
- film, two fields for each picture, but begun at the second: the pair with the frame before is one;
- film in a cadence such as 3:2, in each of its phases.

The cheapest way through all of them is found over the whole video (Viterbi 1967): changing to
another hypothesis costs as much as some frames that contradict it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsr.media.fields.measure import Combing

CADENCES = {"3:2": (2, 3, 2, 3), "2:3:3:2": (2, 3, 3, 2)}
"""Fields for each of four film pictures, which make five frames."""
CHANGE = 8.0
"""What a change costs; a frame that contradicts its hypothesis costs up to about 5."""
CHANGE_AT_CUT = 4.0
BEGIN = 1.0
"""What it costs to begin otherwise than is likeliest where nothing tells."""
NEIGHBOURS = 0.35
"""Combing of two pictures that follow each other, least; of three frames' worth of fields."""
UNLIKE, UNLIKE_FLAGGED = 0.45, 0.65
"""How much less one field may comb than the other, with the frame before, in film; of video that is
flagged as interlaced, which was likely compressed as such, and combs less inside a frame."""
Costs = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class State:
    """One hypothesis about a frame: how its two fields belong together and to the frame before."""

    name: str
    """``progressive``, ``video``, ``shifted``, or a cadence: a key of :data:`CADENCES`."""
    first: int
    """Its earlier field: 0 top, 1 bottom."""
    joined: bool
    """Whether its two fields are of one picture."""
    joins: bool
    """Whether its earlier field is of one picture with the later field of the frame before."""
    repeats: int = 0
    """The :attr:`Combing.repeats` that such a frame should have: -1, 0 or 1."""
    phase: int = 0
    """Which frame of its cadence it is, from 0; 0 where it is of none."""

    @property
    def is_film(self) -> bool:
        """Whether pictures are matched from fields of several frames."""
        return self.name not in ("progressive", "video")


def _cadence(name: str, lengths: Sequence[int], first: int) -> list[State]:
    picture = [n for n, length in enumerate(lengths) for _ in range(length)]
    states: list[State] = []
    for phase in range(len(picture) // 2):
        early, late = picture[2 * phase], picture[2 * phase + 1]
        before_early, before_late = picture[2 * phase - 2], picture[2 * phase - 1]
        same = [early == before_early, late == before_late]
        sign = 0 if same[0] == same[1] else -1 if same[first] else 1
        states.append(State(name, first, early == late, before_late == early, sign, phase))
    return states


STATES: tuple[State, ...] = (
    State("progressive", 0, True, False),
    *(State("video", first, False, False) for first in (0, 1)),
    *(State("shifted", first, False, True) for first in (0, 1)),
    *(
        state
        for name, lengths in CADENCES.items()
        for first in (0, 1)
        for state in _cadence(name, lengths, first)
    ),
)


def _before(place: int) -> int:
    """The state that a frame has to have been in to come to this one without a change."""
    state = STATES[place]
    if state.name not in CADENCES:
        return place
    return place - 1 if state.phase else place + sum(CADENCES[state.name]) // 2 - 1


_PLACE = {state: place for place, state in enumerate(STATES)}
CHANGES = np.array(
    [
        [
            2 if "progressive" not in (before.name, now.name) and before.first != now.first else 1
            for now in STATES
        ]
        for before in STATES
    ],
    np.float32,
)
"""What a change costs, (before, now): twice as much where the order of the fields changes."""
BEFORE = np.array([_before(place) for place in range(len(STATES))])


def costs(combing: Sequence[Combing], unlike: float = UNLIKE) -> tuple[Costs, Costs]:
    """How much each frame contradicts each state, (n, states); and as the first one after a change.

    After a change, the field that a frame's first one should join may have been cut off.
    """
    table = np.array(
        [
            (c.inner, c.top, c.bottom, c.repeats, c.weight, c.moving, c.lone, c.least)
            for c in combing
        ],
        np.float32,
    ).reshape(len(combing), 8)
    repeats, weight, moving, lone, least = table.T[3:]
    of_film = (table.T[:3] + lone) / (1 + lone)
    made = np.empty((len(combing), len(STATES)), np.float32)
    begun = np.empty_like(made)
    for place, state in enumerate(STATES):
        inner, top, bottom = table.T[:3] if state.name == "video" else of_film
        near, far = (top, bottom) if state.first == 0 else (bottom, top)
        # Where it does not join, the frame before is one picture away for both of its fields: they
        # comb alike, but that vertical motion may put the lines of one in the other's place.
        own = least if state.name == "video" else least / (1 + lone)
        less = (np.minimum(near, far) - own) / np.maximum(np.maximum(near, far) - own, 1e-6)
        odd = 4 * np.maximum(0, 1 - less / unlike) ** 2
        if state.name == "video":  # two pairs that are one field apart, however fast it moves
            cost = _combed(far) + _clean(np.maximum(np.maximum(inner, near) - far, 0))
            joint = _clean(inner - near)
        else:
            cost = _combed(far) + (_clean(inner) if state.joined else _combed(inner))
            joint = _clean(near) if state.joins else _combed(near) + odd
        again = moving * 2 * np.minimum(1, (repeats - state.repeats) ** 2)
        made[:, place] = weight * (cost + joint) + again
        begun[:, place] = weight * cost if state.joins else made[:, place]
    return made, begun


def _clean(combing: NDArray[np.float32]) -> NDArray[np.float32]:
    return (2 * combing**2).astype(np.float32)


def _combed(combing: NDArray[np.float32]) -> NDArray[np.float32]:
    # A pair of pictures that follow each other combs less than one that are farther apart.
    return (0.5 * (1 - np.minimum(1, combing / NEIGHBOURS)) ** 2).astype(np.float32)


def likeliest(
    combing: Sequence[Combing],
    allowed: Collection[State] = STATES,
    *,
    first: int = 0,
    flagged: bool = False,
) -> tuple[State, ...]:
    """The state of each frame, one of ``allowed``, for all of them together at the least cost.

    ``first`` is the earlier field where nothing else tells, 0 top or 1 bottom; ``flagged`` whether
    the video says that it is interlaced.
    """
    table, begun = costs(combing, UNLIKE_FLAGGED if flagged else UNLIKE)
    closed = np.array([0 if state in allowed else np.inf for state in STATES], np.float32)
    likely = [state.name == "progressive" for state in STATES]
    odd = [state.first != first for state in STATES]
    unlikely = ~np.array(likely)
    total = (closed + BEGIN * unlikely + BEGIN * (unlikely & np.array(odd))).astype(np.float32)
    from_: list[NDArray[np.int8]] = []
    for row, new, seen in zip(table, begun, combing, strict=True):
        change = CHANGE_AT_CUT if seen.cut else CHANGE
        coming = total[:, None] + change * CHANGES  # (before, now)
        best = coming.argmin(axis=0)
        stayed, changed = total[BEFORE] + row, coming.min(axis=0) + new
        came = np.where(stayed <= changed, BEFORE, best).astype(np.int8)
        total = (np.minimum(stayed, changed) + closed).astype(np.float32)
        total -= np.min(total)  # else hours of it lose their digits
        from_.append(came)
    path = [int(total.argmin())] if from_ else []
    for came in reversed(from_[1:]):
        path.append(int(came[path[-1]]))
    return tuple(STATES[place] for place in reversed(path))


def follows(state: State, before: State) -> bool:
    """Whether a frame in ``state`` goes on with what the frame before it was in."""
    return bool(_PLACE[before] == int(BEFORE[_PLACE[state]]))

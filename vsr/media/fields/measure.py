"""How much two fields comb when woven, for each frame and its neighbour. Pure: luma to numbers.

A line that lies outside of the range of its two neighbours, which are of the other field, combs.
Vertical detail does too, whatever moved; so pairs are compared with each other, in tiles: where
nothing moved, all pairs of a tile comb alike, and the tile tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Luma = NDArray[np.uint8]  # (h, w)
Plane = NDArray[Any]  # (h, w), uint8 or uint16
COLUMNS = 360
"""Frames are narrowed to about so many columns: fields differ by lines."""
TILES = (12, 9)  # columns, rows
NOISE = np.uint8(2)
"""Code values by which a line may lie outside before it counts."""
MIN_ENERGY = 0.15
"""Code values, mean over a tile: differences below tell nothing."""
MIN_SHARE = 0.15
"""Of a tile's largest combing: differences below are noise and compression."""
UNLIKE = 6.5
"""Code values by which a field must differ from the one before, mean over a tile, to be no repeated
one. Hard compression of five telecined clips came to 5.8, once; large letters to 10 to 40."""
UNLIKE_NOISE = 3.0
"""The same in parts of the frame's median tile."""
UNLIKE_SHARE = 0.5
"""The same in parts of the other field's difference: what moves is compressed less well."""
MIN_LINES = 6
"""Of a frame; fewer cannot be looked at."""
SMALL = (16, 12)
ALIKE, FLAT, BRIGHTER = 0.6, 9.0, 24.0
"""Correlation of small pictures below which a scene is another one; their variance below which
they are flat, and then the difference of brightness that makes another scene."""


@dataclass(frozen=True, slots=True)
class Combing:
    """What a frame's fields tell, with those of the frames before and after.

    The first frame has nothing before it to be compared with: it has the defaults.
    """

    inner: float = 0.0
    """Combing of its own two fields, from 0 to 1. The worst of ``inner``, ``top`` and ``bottom`` is
    1; one that is the cleanest everywhere is ``least``; all are 0 where nothing can be told."""
    top: float = 0.0
    """Combing of its top field with the bottom field of the frame before, from 0 to 1."""
    bottom: float = 0.0
    """Combing of its bottom field with the top field of the frame before, from 0 to 1."""
    repeats: float = 0.0
    """From -1, where its top field repeats that of the frame before and its bottom field does not,
    to 1, the other way round; 0 where both change alike."""
    weight: float = 0.0
    """How much ``inner``, ``top`` and ``bottom`` can be relied on, from 0, not at all, to 1; 0 at a
    ``cut``."""
    moving: float = 0.0
    """How much ``repeats`` can be relied on, from 0, not at all, to 1; 0 at a ``cut``."""
    cut: bool = True
    """Whether it begins another scene, as the first frame does."""
    lone: float = 0.0
    """How much cleaner than all three pairs one with the frame after is, in their units: an edit
    may leave a frame whose own three pairs all comb."""
    least: float = 0.0
    """How much even the cleanest pair combs beyond the vertical detail of single fields, tile by
    tile, in the units of ``inner``: above 0 where something moves with every field."""
    unrepeated: tuple[bytes, bytes] | None = None
    """For the top and the bottom field, the tiles in which it cannot be that of the frame before
    once more: a bit each, by rows, as numpy packs them. ``None`` at a cut, and in small frames."""

    def of_film(self, value: float) -> float:
        """``inner``, ``top`` or ``bottom``, from 0 for the cleanest pair of all with a field of it.

        Every field of film has a clean pair; of video, none has.
        """
        return (max(0.0, value - self.least) + self.lone) / (1 + self.lone)


@dataclass(frozen=True, slots=True)
class _Fields:
    """Both fields, the range between neighbouring lines of each, their detail, a small picture."""

    detail: NDArray[np.float32]  # (rows, columns): combing of the lines of single fields
    small: Luma
    top: Luma
    bottom: Luma
    top_low: Luma
    top_high: Luma
    bottom_low: Luma
    bottom_high: Luma


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Combing in tiles (rows, columns), of a frame's three pairs: inner, top, bottom."""

    combs: NDArray[np.float32]  # (3, rows, columns)
    repeats: float
    moving: float
    cut: bool
    detail: NDArray[np.float32]  # (rows, columns): the more of both frames
    moved: NDArray[np.float32]  # (rows, columns): how far both fields are from those before
    unrepeated: tuple[bytes, bytes] | None


def measured(lumas: Iterable[Luma]) -> Iterator[Combing]:
    """One value for each frame, in the order shown; a frame's comes when the next one is there."""
    last: _Fields | None = None
    waiting: _Pairs | None = None
    first = True
    size: tuple[int, ...] | None = None
    for luma in lumas:
        if luma.shape != (size := size or luma.shape):
            break  # whoever enlarges it says that it changes its size
        fields = _split(luma)
        pairs = None if last is None else _compared(fields, last)
        if not first:
            yield _told(waiting, pairs)
        first, last, waiting = False, fields, pairs
    if not first:
        yield _told(waiting, None)


def _compared(fields: _Fields, last: _Fields) -> _Pairs:
    maps = [_combs(fields, fields), _combs(fields, last), _combs(last, fields)]
    rows = len(fields.detail)
    tops = _tiled(cast(Luma, cv2.absdiff(fields.top, last.top)), rows)
    bottoms = _tiled(cast(Luma, cv2.absdiff(fields.bottom, last.bottom)), rows)
    squares = float((tops**2).sum()), float((bottoms**2).sum())
    both = sum(squares)
    return _Pairs(
        np.stack([_tiled(comb, rows) for comb in maps]),
        (squares[0] - squares[1]) / both if both else 0.0,
        min(1.0, float(np.maximum(tops, bottoms).max()) / 4),
        _another_scene(fields.small, last.small),
        np.maximum(fields.detail, last.detail),
        np.minimum(tops, bottoms),
        _unrepeated(tops, bottoms),
    )


def _told(pairs: _Pairs | None, following: _Pairs | None) -> Combing:
    if pairs is None:
        return Combing()
    combs = pairs.combs
    # Where all pairs comb more than there is vertical detail, and something moves, none is clean.
    least, most = combs.min(axis=0), combs.max(axis=0)
    clean = least - np.minimum(np.maximum(least - pairs.detail, 0), pairs.moved)
    spread = most - clean
    telling = spread > np.maximum(MIN_ENERGY, MIN_SHARE * most)
    # Few tiles that tell much weigh as much as many that tell little, but one alone is chance.
    total = ((combs - clean) * telling).sum(axis=(1, 2))
    worst = max(float(total.max()), 1e-6)
    inner, top, bottom = (total / worst).tolist()
    lone = 0.0
    if following is not None and not following.cut:
        cleaner = np.maximum(0, least - following.combs[1:].min(axis=0))
        lone = float((cleaner * telling).sum()) / worst
    weight = min(1.0, float(telling.sum()) / 4) * min(1.0, float((spread * telling).max()))
    moving = pairs.moving
    if pairs.cut:  # every pair with the scene before combs, whatever the fields are
        weight = moving = 0.0
    return Combing(
        inner=inner,
        top=top,
        bottom=bottom,
        repeats=pairs.repeats,
        weight=weight,
        moving=moving,
        cut=pairs.cut,
        lone=lone,
        least=float(((least - clean) * telling).sum()) / worst,
        unrepeated=None if pairs.cut else pairs.unrepeated,
    )


def _another_scene(one: Luma, other: Luma) -> bool:
    """Whether two small pictures have little in common: correlation of what is not their mean."""
    a, b = (small.astype(np.float32) - small.mean() for small in (one, other))
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    if norm < FLAT * a.size:
        return bool(abs(float(one.mean()) - float(other.mean())) > BRIGHTER)
    return float((a * b).sum()) < ALIKE * norm


def _split(luma: Luma) -> _Fields:
    height, width = luma.shape
    columns = max(1, width // max(1, round(width / COLUMNS)))
    small: Luma = luma[: height // 2 * 2]
    if columns != width:
        small = cast(Luma, cv2.resize(small, (columns, len(small)), interpolation=cv2.INTER_AREA))
    top, bottom = np.ascontiguousarray(small[0::2]), np.ascontiguousarray(small[1::2])
    ranges = [
        np.asarray(bound(field[:-1], field[1:]), np.uint8)
        for field in (top, bottom)
        for bound in (cv2.min, cv2.max)
    ]
    thumb = cast(Luma, cv2.resize(top, SMALL, interpolation=cv2.INTER_AREA))
    detail = _tiled(_detail(top, bottom), max(1, min(TILES[1], len(top) - 2)))
    return _Fields(detail, thumb, top, bottom, *ranges)


def _combs(one: _Fields, other: _Fields) -> Luma:
    """How far lines of ``one``'s top field and ``other``'s bottom field lie outside, (h/2-1, w)."""
    out = outside(one.top_low, other.bottom[:-1], one.top_high)
    back = outside(other.bottom_low, one.top[1:], other.bottom_high)
    return np.maximum(np.maximum(out, back), NOISE) - NOISE


def _detail(top: Luma, bottom: Luma) -> Luma:
    """How far lines of each field lie outside of its own two neighbours, the worse of both fields.

    What is of one moment combs less than that, as its lines are half as far from each other.
    """
    worst = np.maximum(*(beyond_neighbours(field) for field in (top, bottom)))
    return np.maximum(worst, NOISE) - NOISE


def outside(low: Plane, lines: Plane, high: Plane) -> Plane:
    """How far lines lie outside of a range, 0 inside: all (h, w) of one type."""
    return np.maximum(cv2.subtract(low, lines), cv2.subtract(lines, high))


def beyond_neighbours(plane: Plane) -> Plane:
    """How far the inner lines of a plane lie outside of the two beside each: (h - 2, w)."""
    above, below = plane[:-2], plane[2:]
    return outside(np.minimum(above, below), plane[1:-1], np.maximum(above, below))


def _unrepeated(
    tops: NDArray[np.float32], bottoms: NDArray[np.float32]
) -> tuple[bytes, bytes] | None:
    """:attr:`Combing.unrepeated`, by how far each field is from the one before, mean of each tile.

    Compression leaves more of a difference where there is motion, and noise leaves some everywhere.
    """
    if tops.shape != TILES[::-1]:
        return None
    limits = (
        np.maximum(max(UNLIKE, UNLIKE_NOISE * float(np.median(again))), UNLIKE_SHARE * other)
        for again, other in ((tops, bottoms), (bottoms, tops))
    )
    top, bottom = (np.packbits(d > limit) for d, limit in zip((tops, bottoms), limits, strict=True))
    return top.tobytes(), bottom.tobytes()


def _tiled(values: Luma, rows: int) -> NDArray[np.float32]:
    """The mean of each tile: (rows, columns)."""
    height, width = values.shape
    lines = np.linspace(0, height, rows, endpoint=False, dtype=np.intp)
    columns = np.linspace(0, width, min(TILES[0], width), endpoint=False, dtype=np.intp)
    sums = np.add.reduceat(values, lines, axis=0, dtype=np.uint32)
    areas = np.outer(np.diff([*lines, height]), np.diff([*columns, width]))
    return (np.add.reduceat(sums, columns, axis=1) / areas).astype(np.float32)

"""Plan overlapping tiles. Integers only: no torch, no pixels.

Every tile of a plan has one shape, and the last of a row or column slides inward instead of being
padded: so an outer edge of a tile is always the true edge of the picture, and an inner one is
covered by the overlap. With an overlap of the network's receptive-field radius, what is kept of a
tile equals what the network makes of the whole picture.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from vsr.errors import OptionsError
from vsr.geometry import Box, Size

MIN_INTERIOR = 16
"""A tile must keep at least this many pixels of each of its sides."""

BLOCK = 16
"""Sides that it divides suit processors: a convolution as wide as a prime can be 8 times slower."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A window and the part of it that is kept, in source pixels."""

    window: Box
    """What the network sees."""
    kept: Box
    """The part of the window whose result is used."""

    @property
    def kept_in_window(self) -> Box:
        """The kept part, counted from the window's corner."""
        return self.kept.moved(-self.window.x, -self.window.y)


@dataclass(frozen=True, slots=True)
class TilePlan:
    """Tiles over a picture, in source pixels.

    The kept parts cover the picture without gap or overlap.
    """

    size: Size
    """The picture's size."""
    window: Size
    """The size that all windows have."""
    overlap: int
    """What neighbouring windows share on each side, at least."""
    tiles: tuple[Tile, ...]
    """The tiles in rows from the top left."""

    def __post_init__(self) -> None:
        if self.overlap < 0:
            raise ValueError(f"an overlap must not be negative, got {self.overlap}")
        if any(not _holds(tile.window, tile.kept) for tile in self.tiles):
            raise ValueError("a tile keeps more than its window")


def _holds(outer: Box, inner: Box) -> bool:
    return (
        outer.x <= inner.x
        and outer.y <= inner.y
        and inner.right <= outer.right
        and inner.bottom <= outer.bottom
    )


def least_tile(overlap: int, multiple_of: int = 1) -> int:
    """The smallest tile side for an overlap and the cells that windows begin with."""
    return 2 * overlap + max(MIN_INTERIOR, 2 * multiple_of)


def plan(size: Size, tile: Size, overlap: int, multiple_of: int = 1) -> TilePlan:
    """Cover ``size`` with windows of at most ``tile`` that overlap by ``overlap`` on each side.

    A picture not larger than a tile is one tile. Windows begin at multiples of ``multiple_of``, so
    that a network that works on cells of pixels sees the picture's own. Raises
    :class:`OptionsError` for a tile below :func:`least_tile` that does not hold the picture.

    Example:

        >>> made = plan(Size(320, 180), Size(200, 200), overlap=10)
        >>> [(tile.window.x, tile.kept.x, tile.kept.width) for tile in made.tiles]
        [(0, 0, 160), (144, 160, 160)]
    """
    if overlap < 0:
        raise OptionsError(f"the overlap must not be negative, got {overlap}")
    rows = list(_spans(size.height, tile.height, overlap, multiple_of))
    columns = list(_spans(size.width, tile.width, overlap, multiple_of))
    tiles = tuple(
        Tile(
            Box(left, top, width, height),
            Box(kept_left, kept_top, kept_right - kept_left, kept_bottom - kept_top),
        )
        for top, height, kept_top, kept_bottom in rows
        for left, width, kept_left, kept_right in columns
    )
    return TilePlan(size, Size(columns[0][1], rows[0][1]), overlap, tiles)


def batches(
    wanted: Sequence[Hashable], frames: int, batch: int
) -> Iterator[list[tuple[int, slice]]]:
    """What runs together: tiles by their number, each with some consecutive frames.

    ``wanted`` is what is asked for of each tile: those that run together are asked for the same.
    """
    jobs = ((tile, frame) for tile in range(len(wanted)) for frame in range(frames))
    for _, alike in groupby(jobs, key=lambda job: wanted[job[0]]):
        while group := list(islice(alike, batch)):
            runs = [(tile, list(run)) for tile, run in groupby(group, key=lambda job: job[0])]
            yield [(tile, slice(run[0][1], run[-1][1] + 1)) for tile, run in runs]


def _spans(
    length: int, tile: int, overlap: int, multiple_of: int
) -> Iterator[tuple[int, int, int, int]]:
    """(start, extent, kept start, kept end) of each window along one axis."""
    if length <= tile:
        yield 0, length, 0, length
        return
    least = least_tile(overlap, multiple_of)
    if tile < least:
        raise OptionsError(
            f"tile must be at least {least} px with an overlap of {overlap} px, got {tile}",
            hint=f"try --tile {max(256, least)}, or a smaller --overlap",
        )

    def count_of(side: int) -> int:
        return 1 + -(-(length - side) // multiple_of // ((side - 2 * overlap) // multiple_of))

    # The last one ends with the picture and begins with a cell, and all are of one shape.
    tile -= (tile - length) % multiple_of
    count = count_of(tile)
    even = max(least, -(-(length + 2 * overlap * (count - 1)) // count))
    even += (length - even) % multiple_of
    # As many windows as that takes, and none much larger than so many need to be.
    sides = [side for side in range(even, tile, multiple_of) if count_of(side) == count]
    tile = min(sides, key=lambda side: (side % BLOCK > 0, side), default=tile)
    cells = (length - tile) // multiple_of
    # Even spacing: the slack of the last tile is spread over all of them.
    starts = [round(index * cells / (count - 1)) * multiple_of for index in range(count)]
    for index, start in enumerate(starts):
        first = 0 if index == 0 else _middle(starts[index - 1] + tile, start)
        last = length if index == count - 1 else _middle(start + tile, starts[index + 1])
        yield start, tile, first, last


def _middle(end: int, start: int) -> int:
    """Where two overlapping windows share the work: halfway, at least ``overlap`` from both."""
    return (end + start) // 2

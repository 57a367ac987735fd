"""Find what changed since the frame before, so that only that is computed again. No network here.

Frames are compared as decoded, in cells. What the network makes of a place depends on its
surroundings, as far as its context: so a change renews all places so near to it, and the rest of
the frame before stays as it is, to the bit. Chroma, enlarged before the network, reaches farther.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from vsr.geometry import Box, Size
from vsr.infer.tiles import Tile, TilePlan
from vsr.models.trim import stepped

CELL = 4
"""Side in pixels of what is compared as one; a multiple of every chroma subsampling."""
WORTH = 0.75
"""More than this share of a frame is not worth it: then the whole of it is computed."""
MOST_BOXES = 16

Planes = tuple[Tensor, ...]  # each (n, h, w) integers, luma first
Cells = npt.NDArray[np.uint8]  # (rows, columns): what changed in a cell
LUMA, CHROMA = 1, 2
"""Bits of a cell. Changes of a smaller plane, or of who knows which, are chroma's."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Consecutive frames that are computed alike.

    ``parts`` is None for whole frames; for one frame that begins as a copy of the one before, the
    places that are computed again: no tile for a still.
    """

    frames: slice
    parts: TilePlan | None


class Reuse:
    """The frame shown last, and the planes that were made of it.

    A cell whose samples all lie within ``tolerance`` code values of the shown ones is held: it
    keeps the samples that are shown. What comes out is exactly what the network makes of the held
    frames, so nothing drifts; with a tolerance of 0 they are the frames themselves. With None every
    frame is computed whole.
    """

    def __init__(self, tolerance: int | None) -> None:
        self._tolerance = tolerance
        self._shown: Planes = ()
        self._made: Planes = ()
        self._key: Hashable = None

    def forget(self) -> None:
        """Begin anew: the next frame is computed whole."""
        self._shown, self._made, self._key = (), (), None

    def held(self, planes: Planes, key: Hashable) -> tuple[Planes, list[Cells | None]]:
        """The planes to compute with, and what changed in each frame: None for all of it.

        ``key`` is whatever else the result depends on; another one than last time forgets.
        """
        if self._tolerance is None:
            return planes, [None] * planes[0].shape[0]
        if key != self._key:
            self.forget()
        shown = self._shown
        changed: list[Cells | None] = []
        frames: list[Planes] = []
        for index in range(planes[0].shape[0]):
            frame = tuple(plane[index] for plane in planes)
            cells = _changed(frame, shown, self._tolerance) if shown else None
            if self._tolerance and cells is not None:
                frame = _held(frame, shown, cells)
            frames.append(frame)
            changed.append(cells)
            shown = frame
        if not self._tolerance:
            return planes, changed
        return tuple(torch.stack(plane) for plane in zip(*frames, strict=True)), changed

    def keep(self, planes: Planes, made: Planes, key: Hashable) -> None:
        """Note the last of the frames that were computed with, and the last of what was made."""
        if self._tolerance is None:
            return
        self._shown = tuple(plane[-1].clone() for plane in planes)
        self._made = tuple(plane[-1].clone() for plane in made)
        self._key = key

    def repeat(self, canvas: Planes, frame: int) -> None:
        """Begin a frame of the canvas as a copy of the one before."""
        for plane, made in zip(canvas, self._made or canvas, strict=True):
            plane[frame].copy_(made if frame == 0 else plane[frame - 1])


def turns(
    changed: list[Cells | None], size: Size, *, context: int, chroma: int, window: Size, spent: int
) -> list[Turn]:
    """What to compute of each frame, in windows of at most ``window``.

    ``context`` is how far a change goes, and what a window sees around the place that it is
    computed for; one of smaller chroma planes goes ``chroma`` pixels farther. ``spent`` is how much
    of the context layers compute on average.
    """
    found: list[Turn] = []
    for index, cells in enumerate(changed):
        again = None if cells is None else _parts(cells, size, context, chroma, window, spent)
        if again is None and found and found[-1].parts is None:
            found[-1] = Turn(slice(found[-1].frames.start, index + 1), None)
        else:
            found.append(Turn(slice(index, index + 1), again))
    return found


def _changed(frame: Planes, shown: Planes, tolerance: int) -> Cells:
    """Which cells hold a sample that differs by more than the tolerance."""
    height, width = frame[0].shape
    cells = torch.zeros(-(-height // CELL), -(-width // CELL), dtype=torch.uint8)
    for plane, before in zip(frame, shown, strict=True):
        differs = (plane.int() - before.int()).abs_() > tolerance if tolerance else plane != before
        if not bool(differs.any()):
            continue
        rows = CELL // -(-height // plane.shape[0])
        columns = CELL // -(-width // plane.shape[1])
        missing = (-plane.shape[1] % columns, -plane.shape[0] % rows)
        differs = functional.pad(differs, (0, missing[0], 0, missing[1]))
        folded = differs.view(differs.shape[0] // rows, rows, -1, columns)
        # Where something may be held, a cell that is not is fresh in all of its planes.
        kind = LUMA if plane.shape == frame[0].shape and not tolerance else CHROMA
        cells |= folded.any(3).any(1) * kind
    return cells.numpy()


def _held(frame: Planes, shown: Planes, cells: Cells) -> Planes:
    """``frame`` in the changed cells, ``shown`` in all others."""
    height, width = frame[0].shape
    fresh = torch.from_numpy(cells != 0)  # pyright: ignore[reportUnknownMemberType]
    planes: list[Tensor] = []
    for plane, before in zip(frame, shown, strict=True):
        rows = CELL // -(-height // plane.shape[0])
        columns = CELL // -(-width // plane.shape[1])
        wide = fresh.repeat_interleave(rows, 0).repeat_interleave(columns, 1)
        planes.append(torch.where(wide[: plane.shape[0], : plane.shape[1]], plane, before))
    return tuple(planes)


def _parts(
    cells: Cells, size: Size, context: int, chroma: int, window: Size, spent: int
) -> TilePlan | None:
    """Tiles over all that changes can reach, or None where the whole frame costs less."""
    boxes = _merged(_boxes(cells, size, context, chroma), size, spent)
    if boxes is None:
        return None
    tiles = tuple(
        Tile(stepped(kept.grown(context, size.box), size.box, window), kept)
        for box in boxes
        for kept in _split(box, window.width - 2 * context, window.height - 2 * context)
    )
    cost = sum(tile.kept.grown(spent, size.box).pixels for tile in tiles)
    return TilePlan(size, window, context, tiles) if cost <= WORTH * size.pixels else None


def _boxes(cells: Cells, size: Size, context: int, chroma: int) -> list[Box]:
    """For each cluster of changed cells, the box of all that it can reach."""
    near = 2 * -(-(context + chroma) // CELL) + 1
    clusters = cv2.dilate(cells, np.ones((near, near), np.uint8))
    count, labels = cv2.connectedComponents(clusters, connectivity=8)
    boxes: list[Box] = []
    for label in range(1, count):
        cluster = cells * (labels == label)
        rows, columns = np.nonzero(cluster)
        left, top = int(columns.min()) * CELL, int(rows.min()) * CELL
        right, bottom = (int(columns.max()) + 1) * CELL, (int(rows.max()) + 1) * CELL
        changed = Box(left, top, min(right, size.width) - left, min(bottom, size.height) - top)
        reach = context + chroma * bool((cluster & CHROMA).any())
        boxes.append(changed.grown(-(-reach // 2) * 2, size.box))
    return boxes


def _merged(boxes: list[Box], size: Size, spent: int) -> list[Box] | None:
    """Boxes of which no two cost less as one; None if there are too many to try."""
    if len(boxes) > MOST_BOXES:
        return None

    def cost(box: Box) -> int:
        return box.grown(spent, size.box).pixels

    merged: list[Box] = []
    for box in boxes:
        again = True
        while again:
            again = False
            for other in merged:
                both = _union(box, other)
                if cost(both) <= cost(box) + cost(other):
                    merged.remove(other)
                    box, again = both, True
                    break
        merged.append(box)
    return merged


def _union(one: Box, other: Box) -> Box:
    left, top = min(one.x, other.x), min(one.y, other.y)
    return Box(left, top, max(one.right, other.right) - left, max(one.bottom, other.bottom) - top)


def _split(box: Box, width: int, height: int) -> list[Box]:
    """The box in parts of at most so many pixels, cut at whole cells."""
    width, height = (max(CELL, side // CELL * CELL) for side in (width, height))
    return [
        Box(x, y, min(width, box.right - x), min(height, box.bottom - y))
        for y in range(box.y, box.bottom, height)
        for x in range(box.x, box.right, width)
    ]

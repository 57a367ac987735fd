"""Find what changed since the frame before, so that only that is computed again.

Frames are compared as decoded, in cells of pixels. The network's result at a pixel depends on its
surroundings as far as the context. So all pixels within the context of a change are computed again,
and the rest is taken from the frame before, to the bit. A change of a chroma plane shows farther,
because chroma is enlarged before the network sees it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vsr.geometry import Box, Size
from vsr.infer.footprint import Footprint
from vsr.infer.tiles import Tile, TilePlan
from vsr.models.crop_schedule import STEP, quantized_box

CELL = 4
"""Side in pixels of what is compared as one; a multiple of every chroma subsampling."""
MAX_SHARE = 0.75
"""Where more than this share of a frame would be computed again, the whole frame is computed."""
MAX_BOXES = 16

Planes = tuple[Tensor, ...]  # each (n, h, w) integers, luma first
CellMask = npt.NDArray[np.uint8]  # (rows, columns): what changed in a cell
LUMA, CHROMA = 1, 2
"""Bits in a cell's mask: a full-size plane changed, a subsampled plane changed. With a tolerance
every change counts as chroma's, because a changed cell is replaced in all of its planes."""


@dataclass(frozen=True, slots=True)
class FrameGroup:
    """Consecutive frames that are computed in the same way."""

    frames: slice
    """Which frames of the clip."""
    parts: TilePlan | None
    """The tiles that are computed again, of one frame that begins as a copy of the frame before:
    none for an unchanged frame. ``None``: the whole frames are computed."""


class FrameComparison:
    """Compares each frame with the one that is shown before it, as clips come.

    A cell whose samples all lie within ``tolerance`` code values of the last frame's keeps the last
    frame's samples; with a tolerance of 0 frames stay as decoded.
    """

    def __init__(self, tolerance: int) -> None:
        self._tolerance = tolerance
        self._shown: Planes = ()

    def forget(self) -> None:
        """The next frame is the first one."""
        self._shown = ()

    def next(self, planes: Planes) -> tuple[Planes, list[CellMask | None]]:
        """The planes to show, and what changed in each frame; None for a first frame."""
        shown, changed = self.select(planes, self._shown)
        self._shown = tuple(plane[-1].clone() for plane in shown)
        return shown, changed

    def select(self, planes: Planes, shown: Planes) -> tuple[Planes, list[CellMask | None]]:
        """The same behind a given frame; none is a first one."""
        changed: list[CellMask | None] = []
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


class Reuse:
    """Keeps the last frame that was computed, and the planes that were made of it.

    What comes out is exactly what the network makes of the frames that
    :class:`FrameComparison` shows, so nothing drifts. With a ``tolerance`` of None every frame is
    computed whole.
    """

    def __init__(self, tolerance: int | None) -> None:
        self._comparison = None if tolerance is None else FrameComparison(tolerance)
        self._shown: Planes = ()
        self._made: Planes = ()
        self._key: Hashable = None

    def forget(self) -> None:
        """Drop the last frame: the next one is computed as a whole."""
        self._shown, self._made, self._key = (), (), None

    def state(self) -> tuple[Planes, Planes, Hashable]:
        """What ``restore`` takes to go back to now."""
        return self._shown, self._made, self._key

    def restore(self, state: tuple[Planes, Planes, Hashable]) -> None:
        """Go back to where ``state`` was taken."""
        self._shown, self._made, self._key = state

    def select(
        self, planes: Planes, key: Hashable, changed: Sequence[CellMask | None] | None = None
    ) -> tuple[Planes, list[CellMask | None]]:
        """Returns the planes to compute with, and each frame's changed cells: ``None`` for all.

        ``key`` is whatever else the result depends on; where it differs from the last call's, the
        last frame is dropped.
        ``changed`` is given where frames were compared before.
        """
        if self._comparison is None:
            return planes, [None] * planes[0].shape[0]
        if key != self._key:
            self.forget()
        if changed is None:
            return self._comparison.select(planes, self._shown)
        return planes, [*(changed[:1] if self._made else [None]), *changed[1:]]

    def keep(self, planes: Planes, made: Planes, key: Hashable) -> None:
        """Keep the last frame of ``planes``, and the last of the enlarged planes ``made``."""
        if self._comparison is None:
            return
        self._shown = tuple(plane[-1].clone() for plane in planes)
        self._made = tuple(plane[-1].clone() for plane in made)
        self._key = key

    def repeat(self, canvas: Planes, frame: int) -> None:
        """Copy the enlarged frame before into a frame of the canvas."""
        for plane, made in zip(canvas, self._made or canvas, strict=True):
            plane[frame].copy_(made if frame == 0 else plane[frame - 1])


def plan_frames(
    changed: list[CellMask | None],
    size: Size,
    footprint: Footprint,
    window: Size,
    *,
    mean_context: int,
    step: int = STEP,
) -> list[FrameGroup]:
    """Plan what is computed of each frame, in windows of at most ``window``. All in source pixels.

    The sides of windows come in multiples of ``step``. ``mean_context`` is how much of the
    footprint's context is computed on average over the layers.
    """
    found: list[FrameGroup] = []
    for index, cells in enumerate(changed):
        again = (
            None if cells is None else _parts(cells, size, footprint, window, mean_context, step)
        )
        if again is None and found and found[-1].parts is None:
            found[-1] = FrameGroup(slice(found[-1].frames.start, index + 1), None)
        else:
            found.append(FrameGroup(slice(index, index + 1), again))
    return found


def _changed(frame: Planes, shown: Planes, tolerance: int) -> CellMask:
    """Returns a mask of the cells with a sample that differs by more than the tolerance.

    By NumPy, on the caller's thread alone: torch would wake threads beside the engine's.
    """
    height, width = frame[0].shape
    cells = np.zeros((-(-height // CELL), -(-width // CELL)), np.uint8)
    for plane, before in zip(frame, shown, strict=True):
        fresh, old = plane.numpy(), before.numpy()
        if tolerance:
            differs = np.abs(fresh.astype(np.int32) - old.astype(np.int32)) > tolerance
        else:
            differs = fresh != old
        if not differs.any():
            continue
        rows = CELL // -(-height // plane.shape[0])
        columns = CELL // -(-width // plane.shape[1])
        missing = (-plane.shape[0] % rows, -plane.shape[1] % columns)
        if any(missing):
            differs = np.pad(differs, ((0, missing[0]), (0, missing[1])))
        words = differs.view(f"u{columns}")  # a cell's line is one number
        folded = np.bitwise_or.reduce(words.reshape(-1, rows, words.shape[1]), 1) != 0
        # With a tolerance, a changed cell is replaced in all of its planes.
        kind = LUMA if plane.shape == frame[0].shape and not tolerance else CHROMA
        cells |= folded.astype(np.uint8) * np.uint8(kind)
    return cells


def _held(frame: Planes, shown: Planes, cells: CellMask) -> Planes:
    """Returns ``frame`` in the changed cells, and ``shown`` in all others."""
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
    cells: CellMask, size: Size, footprint: Footprint, window: Size, mean_context: int, step: int
) -> TilePlan | None:
    """Tiles over all pixels that changes can reach; ``None`` where the whole frame costs less."""
    context = footprint.context
    boxes = _merged(_boxes(cells, size, context, footprint.chroma_reach), size, mean_context)
    if boxes is None:
        return None
    tiles = tuple(
        Tile(quantized_box(kept.grown(context, size.box), size.box, window, step), kept)
        for box in boxes
        for kept in _split(box, window.width - 2 * context, window.height - 2 * context)
    )
    cost = sum(tile.kept.grown(mean_context, size.box).pixels for tile in tiles)
    return TilePlan(size, window, context, tiles) if cost <= MAX_SHARE * size.pixels else None


def _boxes(cells: CellMask, size: Size, context: int, chroma: int) -> list[Box]:
    """For each cluster of changed cells, the box of all pixels that it can reach."""
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


def _merged(boxes: list[Box], size: Size, mean_context: int) -> list[Box] | None:
    """Merge boxes while two cost no more as one; ``None`` if there are too many to try."""
    if len(boxes) > MAX_BOXES:
        return None

    def cost(box: Box) -> int:
        return box.grown(mean_context, size.box).pixels

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
    """Split a box into parts of at most ``width`` by ``height`` pixels, at multiples of a cell."""
    width, height = (max(CELL, side // CELL * CELL) for side in (width, height))
    return [
        Box(x, y, min(width, box.right - x), min(height, box.bottom - y))
        for y in range(box.y, box.bottom, height)
        for x in range(box.x, box.right, width)
    ]

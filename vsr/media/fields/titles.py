"""Find what moves with every field in front of telecined film: titles that were added as video.

A cadence shows some fields of film twice. Where such a field is not the one before, in a part of
the frame, that part is no film. The film's own pictures are still woven of their fields, whatever
lies before them; where they comb then, one of the two fields is interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from vsr.media.fields.cadence import State, follows
from vsr.media.fields.measure import Combing, Luma

Tiles = NDArray[np.bool_]
"""(rows, columns) of a frame."""
LEAST = 6.5
"""Code values by which a repeated field must differ, mean over a tile. Hard compression of five
telecined clips came to 5.8, once; large letters to between 10 and 40."""
ABOVE_NOISE = 3.0
"""The same in parts of the median tile of the frame, which is film's noise and compression."""
SHARE = 0.5
"""The same in parts of the other field's difference: what moves is compressed less well."""
AROUND = 5
"""Frames on both sides in which repeated fields are asked: a cadence repeats two in five frames."""
COMBS = 8
"""8-bit code values by which a line must lie outside of its two neighbours to be interpolated."""
REACH = (9, 5)
"""Columns and lines of the neighbourhood that is interpolated together with such a place."""
SMALL_TILES = np.ones((3, 3), np.uint8)


def titles_of(states: Sequence[State], combing: Sequence[Combing]) -> dict[int, Tiles]:
    """The tiles of each frame of film in which something moves with every field; of most, none.

    A tile counts where repeated fields of two frames contradict the film there, or next to there:
    one alone may be a fault of the tape.
    """
    seen = dict(_contradictions(states, combing))
    starts = [0]  # of the stretches of film without a cut
    for frame, (before, state) in enumerate(pairwise(states), start=1):
        if combing[frame].cut or before.is_film != state.is_film:
            starts.append(frame)
    starts.append(len(states))
    found: dict[int, Tiles] = {}
    for start, end in pairwise(starts):
        for frame in (frame for frame in range(start, end) if frame in seen):
            around = range(max(start, frame - AROUND), min(end, frame + AROUND + 1))
            others = [seen[other] for other in around if other != frame and other in seen]
            if not others:
                continue
            tiles = seen[frame] & np.logical_or.reduce(others)
            for near in around:
                found[near] = found.get(near, np.zeros_like(tiles)) | tiles
    return {frame: tiles for frame, tiles in found.items() if tiles.any()}


def _contradictions(states: Sequence[State], combing: Sequence[Combing]) -> list[tuple[int, Tiles]]:
    """Frames that should repeat a field, and the tiles around those in which they do not."""
    found: list[tuple[int, Tiles]] = []
    for frame, (before, state) in enumerate(pairwise(states), start=1):
        quarters = combing[frame].differences
        if not state.repeats or quarters is None or not follows(state, before):
            continue
        top, bottom = quarters.astype(np.float32) / 4
        again, other = (top, bottom) if state.repeats < 0 else (bottom, top)
        least = max(LEAST, ABOVE_NOISE * float(np.median(again)))
        tiles = again > np.maximum(least, SHARE * other)
        if tiles.any():
            grown = cv2.dilate(tiles.astype(np.uint8), SMALL_TILES)
            found.append((frame, grown.astype(np.bool_)))
    return found


def combed(luma: Luma | NDArray[np.uint16], depth: int, tiles: Tiles) -> NDArray[np.uint8]:
    """1 where a woven frame (h, w) combs inside of the tiles, and around that, else 0."""
    middle, above, below = luma[1:-1], luma[:-2], luma[2:]
    low, high = np.minimum(above, below), np.maximum(above, below)
    out = np.maximum(cv2.subtract(low, middle), cv2.subtract(middle, high))
    found = np.zeros(luma.shape, np.uint8)
    found[1:-1] = out > COMBS << (depth - 8)
    found = cv2.dilate(found, np.ones(REACH[::-1], np.uint8))
    area = cv2.resize(tiles.astype(np.uint8), luma.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.bitwise_and(found.astype(np.uint8), area.astype(np.uint8))

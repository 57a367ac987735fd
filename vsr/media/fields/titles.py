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
from vsr.media.fields.measure import TILES, Combing, Luma, beyond_neighbours

Bits = NDArray[np.bool_]
"""(rows, columns) of a frame's tiles."""
AROUND = 5
"""Frames on both sides in which repeated fields are asked: a cadence repeats two in five frames."""
COMBS = 8
"""8-bit code values by which a line must lie outside of its two neighbours to be interpolated."""
REACH = (9, 5)
"""Columns and lines of the neighbourhood that is interpolated together with such a place."""
SMALL_TILES = np.ones((3, 3), np.uint8)


def titles_of(states: Sequence[State], combing: Sequence[Combing]) -> dict[int, bytes]:
    """The tiles of each frame of film in which something moves with every field; of most, none.

    They are packed: :func:`unpacked`. A tile counts where repeated fields of two frames contradict
    the film there, or next to there: one alone may be a fault of the tape.
    """
    seen = _contradictions(states, combing)
    starts = [0]  # of the stretches of film without a cut
    for frame, (before, state) in enumerate(pairwise(states), start=1):
        if combing[frame].cut or before.is_film != state.is_film:
            starts.append(frame)
    starts.append(len(states))
    found: dict[int, Bits] = {}
    for start, end in pairwise(starts):
        for frame in (frame for frame in range(start, end) if frame in seen):
            around = range(max(start, frame - AROUND), min(end, frame + AROUND + 1))
            others = [seen[other] for other in around if other != frame and other in seen]
            if not others:
                continue
            tiles = seen[frame] & np.logical_or.reduce(others)
            for near in around:
                found[near] = found.get(near, np.zeros_like(tiles)) | tiles
    same: dict[bytes, bytes] = {}  # one object for equal ones, which pickle then writes once
    packed = {frame: np.packbits(tiles).tobytes() for frame, tiles in found.items() if tiles.any()}
    return {frame: same.setdefault(bits, bits) for frame, bits in packed.items()}


def unpacked(bits: bytes) -> Bits:
    """Tiles as (rows, columns)."""
    columns, rows = TILES
    flat = np.unpackbits(np.frombuffer(bits, np.uint8), count=rows * columns)
    return flat.reshape(rows, columns).astype(np.bool_)


def _contradictions(states: Sequence[State], combing: Sequence[Combing]) -> dict[int, Bits]:
    """Frames that should repeat a field, and the tiles around those in which they do not."""
    found: dict[int, Bits] = {}
    for frame, (before, state) in enumerate(pairwise(states), start=1):
        unrepeated = combing[frame].unrepeated
        if not state.repeats or unrepeated is None or not follows(state, before):
            continue
        bits = unrepeated[0 if state.repeats < 0 else 1]
        if any(bits):
            grown = cv2.dilate(unpacked(bits).astype(np.uint8), SMALL_TILES)
            found[frame] = grown.astype(np.bool_)
    return found


def combed(luma: Luma | NDArray[np.uint16], depth: int, tiles: Bits) -> NDArray[np.uint8]:
    """1 where a woven frame (h, w) combs inside of the tiles, and around that, else 0."""
    found = np.zeros(luma.shape, np.uint8)
    found[1:-1] = beyond_neighbours(luma) > COMBS << (depth - 8)
    found = cv2.dilate(found, np.ones(REACH[::-1], np.uint8))
    area = cv2.resize(tiles.astype(np.uint8), luma.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.bitwise_and(found.astype(np.uint8), area.astype(np.uint8))

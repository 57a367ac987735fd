"""Draw contact sheets: rows of pictures side by side, with a title above each column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vsr.errors import MediaError
from vsr.media.atomic import write_whole

Pixels = NDArray[np.uint8]
GAP, LINE = 6, 22
_PAPER, _INK = 24, 230


def sheet(rows: Sequence[Sequence[Pixels]], titles: Sequence[str]) -> Pixels:
    """Rows of (h, w, 3) RGB pictures to one; a title above each column, all cells of one size.

    Pictures smaller than the largest are repeated to whole multiples where that fits, so that low
    pictures show their pixels; the rest is left dark.
    """
    height = max(cell.shape[0] for row in rows for cell in row)
    width = max(cell.shape[1] for row in rows for cell in row)
    columns = max(len(row) for row in rows)
    total = (
        LINE + len(rows) * (height + GAP) + GAP,
        GAP + columns * (width + GAP),
    )
    paper = np.full((*total, 3), _PAPER, dtype=np.uint8)
    for column, title in enumerate(titles):
        place = (GAP + column * (width + GAP), LINE - 7)
        cv2.putText(
            paper, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (_INK,) * 3, 1, cv2.LINE_AA
        )
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            repeat = max(1, min(height // cell.shape[0], width // cell.shape[1]))
            shown = cell.repeat(repeat, 0).repeat(repeat, 1)
            top, left = LINE + number * (height + GAP), GAP + column * (width + GAP)
            paper[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    return paper


def write_png(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """(h, w, 3) RGB of 8 or 16 bit to a png, atomically. Raises :class:`MediaError`."""
    stored, data = cv2.imencode(".png", pixels[..., ::-1])
    if not stored:
        raise MediaError(f"OpenCV could not store {path} as png")
    write_whole(path, data.tobytes())

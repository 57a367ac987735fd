"""Convert single frames of a clip to pictures: RGB, upright, with square pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vsr.color import to_rgb
from vsr.errors import MediaError
from vsr.media.atomic import write_whole
from vsr.media.clip import Clip
from vsr.media.extract.selection import Plane
from vsr.media.read.probe import MediaInfo

Picture = NDArray[np.uint8] | NDArray[np.uint16]


def luma_of(clip: Clip, place: int) -> Plane:
    """The luma of one frame, (h, w) 0..1; green for RGB layouts."""
    plane = clip.planes[1 if clip.color.layout == "rgb" else 0][place].numpy()
    peak = np.float32((1 << clip.color.depth) - 1)
    level = plane.astype(np.float32) / peak
    return level if clip.color.full else np.clip((level - 16 / 255) * (255 / 219), 0, 1)


def rgb_of(clip: Clip, place: int) -> Picture:
    """One frame as (h, w, 3) RGB of 8 bits, or of 16 where the film has more than 8."""
    spec = clip.color.resolved(clip.size.height)
    planes = tuple(plane[place : place + 1] for plane in clip.planes)
    pixels = to_rgb(planes, spec)[0, :3].clamp_(0, 1).permute(1, 2, 0).numpy()
    if spec.depth <= 8:
        return np.rint(pixels * 255).astype(np.uint8)
    return np.rint(pixels * 65535).astype(np.uint16)


def upright(picture: Picture, info: MediaInfo) -> Picture:
    """A picture as it is meant to be shown: shrunk to square pixels, and turned upright."""
    aspect = info.sample_aspect
    if aspect is not None and aspect > 0 and aspect != 1:
        height, width = picture.shape[:2]
        size = (
            (width, max(1, round(height / aspect)))
            if aspect > 1
            else (max(1, round(width * aspect)), height)
        )
        shrunk = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
        picture = _like(shrunk, picture)
    if info.rotation % 90 == 0 and info.rotation % 360:
        picture = _like(np.rot90(picture, info.rotation // 90), picture)
    return picture


def _like(pixels: NDArray[Any], picture: Picture) -> Picture:
    """Returns the pixels with the picture's type: annotations of numpy and OpenCV lose it."""
    assert pixels.dtype == picture.dtype
    return np.ascontiguousarray(pixels)


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

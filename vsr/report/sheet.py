"""Draw a contact sheet like the figures of SRGAN: one region by every method, with its metrics.

Left the whole frame with the region marked, then the region of each film and of the reference,
pixels repeated so that they can be seen, PSNR and SSIM of the whole frame below.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from vsr.errors import OptionsError
from vsr.evaluation.result import Comparison, Shown
from vsr.evaluation.session import decoded
from vsr.geometry import Box

Pixels = NDArray[np.uint8]
ROWS = 3
"""Frames on a sheet at most: the worst."""
SIDE, CELL = 128, 256
"""Of a region and of its cell, in pixels."""
_GAP, _LINE = 10, 20
_INK, _FAINT, _MARK = (20,) * 3, (110,) * 3, (230, 40, 40)


def to_sheet(comparison: Comparison, *, whole: bool = False) -> Pixels:
    """(h, w, 3) RGB. ``whole`` shows whole frames, where a crop was chosen already."""
    if not comparison.shown:
        raise OptionsError("no frame was kept for the contact sheet")
    rows = [_row(comparison, shown, whole) for shown in comparison.shown[:ROWS]]
    width = max(row.shape[1] for row in rows)
    paper = [
        np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255)
        for row in rows
    ]
    return np.ascontiguousarray(np.concatenate(paper, axis=0))


def busiest(picture: Pixels, side: int = SIDE) -> Box:
    """The square of ``side`` px with most detail; strong edges are capped, or one would decide."""
    height, width = picture.shape[:2]
    side = min(side, height, width)
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    across = cv2.Sobel(gray, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(gray, cv2.CV_32F, 0, 1)
    detail = np.minimum(np.hypot(across, down), 128).astype(np.float64)
    sums = cv2.integral(detail)
    inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    y, x = np.unravel_index(int(inside.argmax()), inside.shape)
    return Box(int(x), int(y), side, side)


def _row(comparison: Comparison, shown: Shown, whole: bool) -> Pixels:
    pictures = [decoded(data) for data in shown.pictures]
    first = pictures[0]
    height, width = first.shape[:2]
    box = Box(0, 0, width, height) if whole else busiest(first)
    names = list(comparison.films)
    if comparison.reference is not None:  # the truth stands last, as in the papers
        pictures, names = [*pictures[1:], first], [*names[1:], names[0]]
    repeat = max(1, CELL // max(box.width, box.height))
    cells = [
        _labelled(_cut(picture, box, repeat), _label(comparison, shown, name))
        for picture, name in zip(pictures, names, strict=True)
    ]
    if not whole:
        cells.insert(0, _labelled(_overview(first, box, cells[0]), _place(comparison, shown)))
    tall = max(cell.shape[0] for cell in cells)
    padded = [
        np.pad(cell, ((_GAP, tall - cell.shape[0]), (_GAP, 0), (0, 0)), constant_values=255)
        for cell in cells
    ]
    return np.concatenate(padded, axis=1)


def _cut(picture: Pixels, box: Box, repeat: int) -> Pixels:
    region = picture[box.y : box.bottom, box.x : box.right]
    return region.repeat(repeat, 0).repeat(repeat, 1)


def _overview(picture: Pixels, box: Box, cell: Pixels) -> Pixels:
    """The whole frame, as high as the cells are, with the region framed."""
    high = cell.shape[0] - 2 * _LINE - 6
    scale = high / picture.shape[0]
    size = (max(1, round(picture.shape[1] * scale)), high)
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = np.ascontiguousarray(cv2.resize(picture, size, interpolation=kind), dtype=np.uint8)
    corners = [(round(x * scale), round(y * scale)) for x, y in
               ((box.x, box.y), (box.right, box.bottom))]  # fmt: skip
    cv2.rectangle(small, corners[0], corners[1], _MARK, 2)
    return small


def _label(comparison: Comparison, shown: Shown, name: str) -> tuple[str, str]:
    """A film's name and what it reaches on this frame."""
    track = next((track for track in comparison.tracks if track.name == name), None)
    if track is None:
        return name, "original"
    parts: list[str] = []
    for metric, unit in (("psnr", " dB"), ("ssim", "")):
        values = track.values.get(metric)
        if values is not None and not math.isnan(values[shown.place]):
            value = values[shown.place]
            parts.append(f"{value:.2f}{unit}" if unit else f"{value:.4f}")
    if not parts and track.seconds is not None:
        parts.append(f"{track.seconds:.3f} s a frame")
    return name, " / ".join(parts)


def _place(comparison: Comparison, shown: Shown) -> tuple[str, str]:
    if comparison.names:
        return comparison.names[shown.place], ""
    return f"{comparison.times[shown.place]:.2f} s", "PSNR / SSIM of the whole frame"


def _labelled(picture: Pixels, lines: tuple[str, str]) -> Pixels:
    """A picture with two lines of text below it, wide enough for them."""
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.45
    # Hershey's letters are ASCII; anything else would be drawn as question marks anyhow.
    plain = [line.encode("ascii", "replace").decode() for line in lines]
    room = max(cv2.getTextSize(line, font, size, 1)[0][0] for line in plain) + 2
    width = max(picture.shape[1], room)
    high = picture.shape[0] + 2 * _LINE + 6
    cell = np.full((high, width, 3), 255, np.uint8)
    cell[: picture.shape[0], : picture.shape[1]] = picture
    for number, (line, ink) in enumerate(zip(plain, (_INK, _FAINT), strict=True)):
        place = (0, picture.shape[0] + _LINE * (number + 1) - 3)
        cv2.putText(cell, line, place, font, size, ink, 1, cv2.LINE_AA)
    return cell

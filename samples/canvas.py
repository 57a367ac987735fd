"""Draw antialiased shapes and lay layers over each other. Pixels only: no scene, no codec.

Coordinates are in pixels of the finished picture; the canvas itself is `SUPER` times finer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

SUPER = 2  # render at twice the size, shrink by area: every edge of the original is antialiased
FRACTION_BITS = 4  # cv2 draws at fixed-point coordinates

Pixels: TypeAlias = npt.NDArray[np.uint8]  # (h, w, 3) RGB 0..255
Plane: TypeAlias = npt.NDArray[np.floating[Any]]  # (h, w), or (h, w, 3) before rounding
Colour: TypeAlias = tuple[int, int, int]
Points: TypeAlias = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Layer:
    """A picture that can be laid over another."""

    rgb: Pixels
    """Colour times coverage."""
    veil: Pixels
    """255 minus coverage, in three equal channels: what shows through."""

    def over(self, below: Pixels, move: npt.NDArray[np.float32]) -> Pixels:
        """Lay this layer over `below`, moved by the 2x3 matrix `move` (fine pixels)."""
        rgb = warp(self.rgb, move, below, outside=0)
        veil = warp(self.veil, move, below, outside=255)
        return np.asarray(cv2.add(cv2.multiply(below, veil, scale=1 / 255), rgb), np.uint8)


class Canvas:
    """A transparent sheet; what is drawn on it is blended at its edges."""

    def __init__(self, width: float, height: float) -> None:
        rows, columns = round(height * SUPER), round(width * SUPER)
        self.rgb: Pixels = np.zeros((rows, columns, 3), np.uint8)
        self.cover: npt.NDArray[np.uint8] = np.zeros((rows, columns), np.uint8)

    def polygon(self, points: Points, colour: Colour) -> None:
        """Fill a polygon."""
        corners = _fixed(points)
        cv2.fillPoly(self.rgb, [corners], colour, cv2.LINE_AA, FRACTION_BITS)
        cv2.fillPoly(self.cover, [corners], (255,), cv2.LINE_AA, FRACTION_BITS)

    def box(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """Fill an upright box, whole fine pixels."""
        left, top, right, bottom = _edges(x, y, width, height)
        self.rgb[top:bottom, left:right] = colour
        self.cover[top:bottom, left:right] = 255

    def line(self, points: Points, colour: Colour, width: float = 1.0) -> None:
        """Draw a path; `width` is in finished pixels, half a pixel at least."""
        path, thickness = _fixed(points), max(1, round(width * SUPER))
        for image, ink in ((self.rgb, colour), (self.cover, (255,))):
            cv2.polylines(image, [path], False, ink, thickness, cv2.LINE_AA, FRACTION_BITS)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a circle about (x, y)."""
        self.ellipse(x, y, radius, radius, colour)

    def ellipse(self, x: float, y: float, across: float, down: float, colour: Colour) -> None:
        """Fill an ellipse with the half axes `across` and `down`."""
        angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        ring = zip(x + across * np.cos(angle), y + down * np.sin(angle), strict=True)
        self.polygon([(float(u), float(v)) for u, v in ring], colour)

    def text(
        self,
        words: str,
        x: float,
        y: float,
        *,
        size: float,
        colour: Colour,
        weight: int = 500,
        align: float = 0.0,
    ) -> None:
        """Write `words` with the baseline at `y`; `align` 0 starts, 0.5 centres, 1 ends at `x`."""
        face, pixels = cv2.FontFace("sans"), round(size * SUPER)  # the font inside OpenCV 5
        sheet = (self.rgb.shape[1], self.rgb.shape[0])
        width = cv2.getTextSize(sheet, words, (0, 0), face, pixels, weight)[2]
        origin = (round(x * SUPER - align * width), round(y * SUPER))
        cv2.putText(self.rgb, words, origin, colour, face, pixels, weight)
        cv2.putText(self.cover, words, origin, (255,), face, pixels, weight)

    def textured(self, points: Points, texture: Pixels) -> None:
        """Fill a polygon with `texture`, whose corner lies at the polygon's bounding box."""
        fine = np.asarray(points, np.float32) * SUPER
        left, top = (int(v) for v in np.floor(fine.min(0)))
        height, width = texture.shape[:2]
        mask = np.zeros((height, width), np.uint8)
        shifted = np.asarray(points, np.float32) - (left / SUPER, top / SUPER)
        corners = np.round(shifted * SUPER * 2**FRACTION_BITS).astype(np.int32)
        cv2.fillPoly(mask, [corners], (255,), cv2.LINE_AA, FRACTION_BITS)
        y0, x0 = max(top, 0), max(left, 0)
        area = np.s_[y0 : top + height, x0 : left + width]
        rows, columns = self.cover[area].shape if left + width > 0 else (0, 0)
        if not rows or not columns:
            return
        inside = np.s_[y0 - top : y0 - top + rows, x0 - left : x0 - left + columns]
        part = mask[inside]
        share = (part / np.float32(255))[..., None]
        self.rgb[area] = np.rint(self.rgb[area] * (1 - share) + texture[inside] * share)
        self.cover[area] = np.maximum(self.cover[area], part)

    def shade(self, x: float, y: float, width: float, height: float, gain: Plane | float) -> None:
        """Multiply a box by `gain`: one number, or a plane that is stretched over the box."""
        left, top, right, bottom = _edges(x, y, width, height)
        area = np.s_[top:bottom, left:right]
        rows, columns = self.cover[area].shape
        if rows == 0 or columns == 0:
            return
        if isinstance(gain, float | int):
            plane = np.full((rows, columns), gain, np.float32)
        else:
            plane = np.asarray(cv2.resize(gain, (columns, rows)), np.float32)
        self.rgb[area] = np.clip(np.rint(self.rgb[area] * plane[..., None]), 0, 255)

    def layer(self) -> Layer:
        """Give what was drawn."""
        covered = self.cover[..., None]
        return Layer(np.minimum(self.rgb, covered), np.repeat(255 - covered, 3, axis=2))


def warp(image: Pixels, move: npt.NDArray[np.float32], like: Pixels, *, outside: int) -> Pixels:
    """Move `image` onto a sheet as large as `like`, with subpixel steps."""
    size = (like.shape[1], like.shape[0])
    edge = (outside,) * 3
    return np.asarray(cv2.warpAffine(image, move, size, borderValue=edge), np.uint8)


def shift(x: float, y: float = 0.0) -> npt.NDArray[np.float32]:
    """The matrix that moves a layer right by `x` and down by `y` finished pixels."""
    return np.array([[1, 0, x * SUPER], [0, 1, y * SUPER]], np.float32)


def shrink(image: Pixels, factor: int) -> Pixels:
    """Average blocks of `factor` x `factor` pixels."""
    size = (image.shape[1] // factor, image.shape[0] // factor)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _fixed(points: Points) -> npt.NDArray[np.int32]:
    scaled = np.asarray(points, np.float32) * (SUPER * 2**FRACTION_BITS)
    return np.round(scaled).astype(np.int32)


def _edges(x: float, y: float, width: float, height: float) -> tuple[int, int, int, int]:
    left, top = round(x * SUPER), round(y * SUPER)
    right, bottom = round((x + width) * SUPER), round((y + height) * SUPER)
    return max(left, 0), max(top, 0), max(right, 0), max(bottom, 0)

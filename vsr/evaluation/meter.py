"""Measure groups of frames: which metrics can be had, and their numbers. No files, no alignment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from vsr.evaluation.options import CompareOptions
from vsr.geometry import Size
from vsr.metrics import temporal
from vsr.metrics.catalog import COLUMNS, PERFECT_DECIBELS
from vsr.metrics.picture import MIN_SIDE as MS_SSIM_MIN_SIDE
from vsr.metrics.picture import (
    WINDOW,
    Moments,
    decibels,
    laplacian_variance,
    luma,
    moments,
    multiscale,
    rounded,
    shaved,
    similarity,
)
from vsr.metrics.temporal import motion_of, unexplained
from vsr.perceptual.vgg import Vgg, load_vgg, vgg_distance

Numbers = dict[str, float]

_INSIDE = {
    "psnr": 1,
    "ssim": WINDOW,
    "psnr_rgb": 1,
    "ssim_rgb": WINDOW,
    "ms_ssim": MS_SSIM_MIN_SIDE,
}
"""Pixels a side, inside of the border, that each needs."""
_OUTSIDE = {"sharpness": 3, "perceptual": 32}
"""Pixels a side of the whole picture that each needs."""


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """A picture as the metrics want it, found once for all of them: 8-bit code values, float64.

    ``luma`` is the whole (h, w); ``inner`` and ``rgb`` lack the border, (h, w) and (3, h, w).
    """

    luma: Tensor
    inner: Tensor
    rgb: Tensor


class Meter:
    """Numbers of one film after the other's frames; remembers the frames before, for flicker.

    The same as the functions of :mod:`vsr.metrics` give; what they share is computed once.
    """

    def __init__(self, options: CompareOptions, *, with_reference: bool) -> None:
        self._border = options.border
        wanted = options.metrics or tuple(COLUMNS)
        self.names = tuple(
            name
            for name in COLUMNS
            if name in wanted
            and (with_reference or name in ("flicker", "sharpness"))
            and (name != "perceptual" or options.vgg != "none")
            and name != "vmaf"  # it is measured elsewhere, by another program
        )
        self.vgg: Vgg | None = load_vgg(options.vgg) if "perceptual" in self.names else None
        self._before: list[Tensor] = []

    def measure(
        self, guide: Tensor, pictures: Sequence[Tensor], *, follows: bool
    ) -> tuple[Numbers, list[Numbers]]:
        """Numbers of the guide itself and of each picture, all (3, h, w) RGB 0..1 of one size.

        The guide is the reference, or where there is none, what motion is read from. ``follows``
        tells that these are the next frames after those of the last call. Metrics that need a
        larger picture are left out.
        """
        able = self._able(Size(guide.shape[-1], guide.shape[-2]))
        against = self._prepared(guide)
        inner = moments(against.inner) if able & {"ssim", "ms_ssim"} else None
        rgb = [moments(plane) for plane in against.rgb] if "ssim_rgb" in able else []
        own: Numbers = {}
        if "sharpness" in able:
            own["sharpness"] = laplacian_variance(against.luma)
        found: list[Numbers] = []
        planes = [against.luma]
        for picture in pictures:
            prepared = self._prepared(picture)
            numbers = _against(prepared, against, able, inner, rgb)
            if self.vgg is not None and "perceptual" in able:
                numbers["perceptual"] = max(0.0, vgg_distance(picture[None], guide[None], self.vgg))
            if "sharpness" in able:
                numbers["sharpness"] = laplacian_variance(prepared.luma)
            found.append(numbers)
            planes.append(prepared.luma)
        if "flicker" in able:
            self._flicker(planes, follows, own, found)
        return own, found

    def missing(self, size: Size) -> tuple[str, ...]:
        """Titles of metrics that pictures of this size are too small or too large for."""
        able = self._able(size)
        return tuple(COLUMNS[name].title for name in self.names if name not in able)

    def _able(self, size: Size) -> set[str]:
        side = min(size.width, size.height)
        able = {name for name, least in _INSIDE.items() if side - 2 * self._border >= least}
        able |= {name for name, least in _OUTSIDE.items() if side >= least}
        if temporal.can_be_followed(size.height, size.width):
            able.add("flicker")
        return able & set(self.names)

    def _prepared(self, picture: Tensor) -> _Prepared:
        levels = rounded(picture)
        plane = luma(levels)
        border = self._border if min(plane.shape) > 2 * self._border else 0
        return _Prepared(plane, shaved(plane, border), shaved(levels, border) * 255)

    def _flicker(
        self, now: list[Tensor], follows: bool, own: Numbers, found: list[Numbers]
    ) -> None:
        before, self._before = self._before, now
        if not follows or not before or before[0].shape != now[0].shape:
            return
        moved = motion_of(before[0], now[0])
        errors = [unexplained(*pair, moved) for pair in zip(before, now, strict=True)]
        own["flicker"] = errors[0]
        for numbers, error in zip(found, errors[1:], strict=True):
            numbers["flicker"] = error - errors[0]


def _against(
    one: _Prepared, two: _Prepared, able: set[str], inner: Moments | None, rgb: Sequence[Moments]
) -> Numbers:
    """What is measured between a picture and the reference, whose moments are known."""
    numbers: Numbers = {}
    if "psnr" in able:
        numbers["psnr"] = min(decibels(one.inner, two.inner), PERFECT_DECIBELS)
    if "psnr_rgb" in able:
        numbers["psnr_rgb"] = min(decibels(one.rgb, two.rgb), PERFECT_DECIBELS)
    if inner is not None:
        finest = similarity(one.inner, two.inner, inner)
        if "ssim" in able:
            numbers["ssim"] = finest[0]
        if "ms_ssim" in able:
            numbers["ms_ssim"] = multiscale(one.inner, two.inner, finest)
    if "ssim_rgb" in able:
        planes = zip(one.rgb, two.rgb, rgb, strict=True)
        numbers["ssim_rgb"] = math.fsum(similarity(*three)[0] for three in planes) / 3
    return numbers

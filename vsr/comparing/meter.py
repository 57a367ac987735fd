"""Measure groups of frames: which metrics can be had, and their numbers. No files, no alignment."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from vsr.comparing.options import CompareOptions
from vsr.geometry import Size
from vsr.metrics import temporal
from vsr.metrics.columns import COLUMNS, PERFECT_DECIBELS
from vsr.metrics.ms_ssim import LEAST as MS_SSIM_LEAST
from vsr.metrics.ms_ssim import ms_ssim
from vsr.metrics.psnr import psnr, psnr_rgb
from vsr.metrics.sharpness import sharpness
from vsr.metrics.ssim import WINDOW, ssim, ssim_rgb
from vsr.metrics.temporal import Motion, motion, warping_error
from vsr.training.validate import perceived
from vsr.training.vgg import Vgg, load_vgg

Numbers = dict[str, float]
Pictures = Sequence[Tensor]

_AGAINST: dict[str, Callable[[Tensor, Tensor, int], float]] = {
    "psnr": psnr,
    "ssim": ssim,
    "psnr_rgb": psnr_rgb,
    "ssim_rgb": ssim_rgb,
    "ms_ssim": ms_ssim,
}
_INSIDE = {"psnr": 1, "ssim": WINDOW, "psnr_rgb": 1, "ssim_rgb": WINDOW, "ms_ssim": MS_SSIM_LEAST}
"""Pixels a side, inside of the border, that each needs."""


class Meter:
    """Numbers of one film after the other's frames; remembers the frames before, for flicker."""

    def __init__(self, options: CompareOptions, *, with_reference: bool) -> None:
        self._border = options.border
        self._with_reference = with_reference
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
        self._before: tuple[Tensor, ...] = ()

    def measure(
        self, guide: Tensor, pictures: Pictures, *, follows: bool
    ) -> tuple[Numbers, list[Numbers]]:
        """Numbers of the guide itself and of each picture, all (3, h, w) RGB 0..1 of one size.

        The guide is the reference, or where there is none, what motion is read from. ``follows``
        tells that these are the next frames after those of the last call. Metrics that need a
        larger picture are left out.
        """
        size = Size(guide.shape[-1], guide.shape[-2])
        able = {name for name in self.names if self._can(name, size)}
        own: Numbers = {"sharpness": sharpness(guide)} if "sharpness" in able else {}
        found: list[Numbers] = []
        for picture in pictures:
            numbers: Numbers = {}
            for name in able & _AGAINST.keys():
                value = _AGAINST[name](picture, guide, self._border)
                numbers[name] = min(value, PERFECT_DECIBELS) if name.startswith("psnr") else value
            if self.vgg is not None and "perceptual" in able:
                numbers["perceptual"] = max(0.0, perceived(picture[None], guide[None], self.vgg))
            if "sharpness" in able:
                numbers["sharpness"] = sharpness(picture)
            found.append(numbers)
        if "flicker" in able:
            self._flicker(guide, pictures, follows, own, found)
        return own, found

    def _flicker(
        self, guide: Tensor, pictures: Pictures, follows: bool, own: Numbers, found: list[Numbers]
    ) -> None:
        now = (guide, *pictures)
        same = len(self._before) == len(now) and self._before[0].shape == guide.shape
        if follows and same:
            moved: Motion = motion(self._before[0], guide)
            errors = [
                warping_error(before, after, moved)
                for before, after in zip(self._before, now, strict=True)
            ]
            own["flicker"] = errors[0]
            for numbers, error in zip(found, errors[1:], strict=True):
                numbers["flicker"] = error - errors[0]
        self._before = now

    def _can(self, name: str, size: Size) -> bool:
        side = min(size.width, size.height)
        if name in _INSIDE:
            return side - 2 * self._border >= _INSIDE[name]
        return side >= {"flicker": temporal.LEAST, "sharpness": 3, "perceptual": 32}[name]

    def missing(self, size: Size) -> tuple[str, ...]:
        """Titles of metrics that pictures of this size are too small for."""
        return tuple(COLUMNS[name].title for name in self.names if not self._can(name, size))


def mean(values: Sequence[float]) -> float | None:
    """Of the numbers among them; ``None`` where there are none."""
    numbers = [value for value in values if not math.isnan(value)]
    return math.fsum(numbers) / len(numbers) if numbers else None

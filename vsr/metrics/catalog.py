"""Every metric of single pictures, by name, and the columns of tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from vsr.metrics.picture import psnr, ssim


@dataclass(frozen=True, slots=True)
class Metric:
    """A number for two pictures; more is better."""

    name: str
    """The key in a training's log and in the cards of weights."""
    measure: Callable[[Tensor, Tensor], float]
    """From two (3, h, w) RGB pictures 0..1: what was made, and the original."""


METRICS: dict[str, Metric] = {
    metric.name: metric for metric in (Metric("psnr", psnr), Metric("ssim", ssim))
}


@dataclass(frozen=True, slots=True)
class Column:
    """One metric in the tables of a comparison."""

    name: str
    """The key, as ``--metrics`` and JSON have it."""
    title: str
    """The head of the column."""
    unit: str
    """Such as "dB"; empty for a number without one."""
    best: Literal["high", "low"]
    """Which end is good; the worst frame is looked for at the other."""
    digits: int
    """Decimal places that are shown."""
    about: str
    """What is measured, in a phrase."""
    ranked: bool = True
    """Whether films are ranked by it: only where more of the good is always better. Blur lowers
    flicker below the reference's own, and blocks are sharp."""


COLUMNS: dict[str, Column] = {
    column.name: column
    for column in (
        Column("psnr", "PSNR", "dB", "high", 2, "on luma; 100 stands for equal"),
        Column("ssim", "SSIM", "", "high", 4, "on luma"),
        Column("psnr_rgb", "PSNR RGB", "dB", "high", 2, "on R, G and B; 100 stands for equal"),
        Column("ssim_rgb", "SSIM RGB", "", "high", 4, "mean over R, G and B"),
        Column("ms_ssim", "MS-SSIM", "", "high", 4, "on luma, five scales"),
        Column("vmaf", "VMAF", "", "high", 2, "by an external ffmpeg; 0..100"),
        Column(
            "perceptual",
            "perceptual distance",
            "",
            "low",
            4,
            "between features of VGG19; it is not LPIPS",
        ),
        Column(
            "flicker", "flicker", "levels", "low", 2,
            "warping error above the reference's own; below 0 it is steadier than the reference",
            ranked=False,
        ),
        Column(
            "sharpness", "sharpness", "", "high", 1,
            "variance of the Laplacian of luma: as much as the reference has is right",
            ranked=False,
        ),
    )
}  # fmt: skip
"""In the order shown."""
PERFECT_DECIBELS = 100.0
"""What stands for the infinite PSNR of equal pictures, so that means and JSON stay numbers."""

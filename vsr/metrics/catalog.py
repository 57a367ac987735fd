"""Every metric of single pictures, by name. To add one: its file, a line here, a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from vsr.metrics.psnr import psnr
from vsr.metrics.ssim import ssim


@dataclass(frozen=True, slots=True)
class Metric:
    """A number for two (3, h, w) RGB pictures 0..1. ``higher`` tells whether more is better."""

    name: str
    unit: str
    higher: bool
    measure: Callable[[Tensor, Tensor], float]


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (Metric("psnr", "dB", True, psnr), Metric("ssim", "", True, ssim))
}

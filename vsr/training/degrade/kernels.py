"""The blur kernels of Real-ESRGAN (Wang et al., ICCV 2021 workshops, sections 3.1 and 3.3).

Bells and plateaus of two sigmas at any angle, and sinc filters, which ring as bad resizes and
sharpening do. Ranges and shares are those of the options that the authors published.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from vsr.training.degrade.base import happens

Kernel = NDArray[np.float32]
Picture = NDArray[np.float32]
"""(h, w, 3), code values 0..255."""

DIRECT_SIDE = 11
"""The widest kernel that OpenCV applies directly; wider ones take it a slow Fourier transform."""
MAX_TERMS, NEGLIGIBLE = 8, 1e-3


def bell(side: int, across: float, along: float, angle: float, beta: float = 1.0) -> Kernel:
    """exp(-d^beta / 2), normalised; d is Mahalanobis' distance squared, for sigmas in pixels.

    A Gaussian at a ``beta`` of 1; broader in the shoulders above, more pointed below.
    """
    return _normalised(np.exp(-0.5 * _distance(side, across, along, angle) ** beta))


def plateau(side: int, across: float, along: float, angle: float, beta: float) -> Kernel:
    """1 / (1 + d^beta), normalised."""
    return _normalised(1 / (1 + _distance(side, across, along, angle) ** beta))


def sinc(side: int, cutoff: float) -> Kernel:
    """What passes frequencies up to ``cutoff`` radians a pixel in every direction, normalised.

    cutoff / (2 pi r) J1(cutoff r), r being the distance from the middle, J1 Bessel's function.
    """
    reach = side // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    radius = np.hypot(x, y)
    radius[reach, reach] = 1.0
    bessel: Tensor = torch.special.bessel_j1(torch.from_numpy(cutoff * radius))  # pyright: ignore[reportUnknownVariableType]  # untyped
    waves = cast(NDArray[np.float64], bessel.numpy())
    kernel = cutoff * waves / (2 * np.pi * radius)
    kernel[reach, reach] = cutoff**2 / (4 * np.pi)  # the limit at r = 0
    return _normalised(kernel)


def _distance(side: int, across: float, along: float, angle: float) -> NDArray[np.float64]:
    reach = side // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return (u / across) ** 2 + (v / along) ** 2


def _normalised(kernel: NDArray[np.float64]) -> Kernel:
    return (kernel / kernel.sum()).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Kernels:
    """What kernels are drawn from.

    ``shares`` are of Gaussians, generalised ones and plateaus, each round and then oblong;
    ``ringing`` is the share of sinc filters before all of them. ``sigma`` is in pixels; shapes are
    drawn below and above a beta of 1 equally often.
    """

    sigma: tuple[float, float] = (0.2, 3.0)
    ringing: float = 0.1
    shares: tuple[float, ...] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    bell_beta: tuple[float, float] = (0.5, 4.0)
    plateau_beta: tuple[float, float] = (1.0, 2.0)
    sides: tuple[int, ...] = (7, 9, 11, 13, 15, 17, 19, 21)

    def draw(self, rng: Generator) -> Kernel:
        """One of them."""
        side = self.side(rng)
        if happens(self.ringing, rng):
            return ringing(side, rng, least=np.pi / 3 if side < 13 else np.pi / 5)
        kind = int(rng.choice(len(self.shares), p=self.shares))
        across = float(rng.uniform(*self.sigma))
        if kind % 2:
            along, angle = float(rng.uniform(*self.sigma)), float(rng.uniform(-np.pi, np.pi))
        else:
            along, angle = across, 0.0
        if kind < 2:
            return bell(side, across, along, angle)
        shape = plateau if kind > 3 else bell
        least, most = self.plateau_beta if kind > 3 else self.bell_beta
        beta = rng.uniform(least, 1.0) if happens(0.5, rng) else rng.uniform(1.0, most)
        return shape(side, across, along, angle, float(beta))

    def side(self, rng: Generator) -> int:
        """An odd side in pixels."""
        return self.sides[int(rng.integers(len(self.sides)))]


def ringing(side: int, rng: Generator, *, least: float = np.pi / 3) -> Kernel:
    """A sinc filter with a cut-off from ``least`` to pi."""
    return sinc(side, float(rng.uniform(least, np.pi)))


def filtered(pictures: list[Picture], kernel: Kernel) -> list[Picture]:
    """Each through the kernel, mirrored at the edges.

    A wide kernel is applied as a sum of separable ones (its singular vectors): a round Gaussian is
    one, the others a few, and what is left away is less than a thousandth of the sum.
    """
    terms = _terms(kernel) if len(kernel) > DIRECT_SIDE else []
    if not 0 < len(terms) <= MAX_TERMS:
        return [
            cv2.filter2D(one, -1, kernel, borderType=cv2.BORDER_REFLECT_101).astype(
                np.float32, copy=False
            )
            for one in pictures
        ]
    made: list[Picture] = []
    for one in pictures:
        total = np.zeros_like(one)
        for row, column in terms:
            total += cv2.sepFilter2D(one, -1, row, column, borderType=cv2.BORDER_REFLECT_101)
        made.append(total)
    return made


def _terms(kernel: Kernel) -> list[tuple[Kernel, Kernel]]:
    """Rows and columns whose outer products add up to the kernel, the large ones first."""
    columns, strengths, rows = np.linalg.svd(kernel.astype(np.float64))
    # What a term can add to a pixel of 0..1, at most.
    weight = strengths * np.abs(columns).sum(0) * np.abs(rows).sum(1)
    left_away = np.append(np.cumsum(weight[::-1])[::-1], 0.0)
    count = int(np.argmax(left_away < NEGLIGIBLE))
    return [
        (rows[n].astype(np.float32), (strengths[n] * columns[:, n]).astype(np.float32))
        for n in range(count)
    ]

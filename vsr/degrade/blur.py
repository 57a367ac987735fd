"""Blur and its opposite: Gaussian, of lenses and focus, sinc ringing, and sharpening."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from vsr.degrade.base import Frames, happens

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
    """What blur kernels are drawn from."""

    sigma: tuple[float, float] = (0.2, 3.0)
    """Bounds of the standard deviations, in pixels."""
    ringing: float = 0.1
    """Probability of a sinc filter in place of all others."""
    shares: tuple[float, ...] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    """Shares of Gaussians, generalised ones and plateaus, each round and then oblong; sum 1."""
    bell_beta: tuple[float, float] = (0.5, 4.0)
    """Bounds of a generalised Gaussian's shape: below and above 1 are drawn equally often."""
    plateau_beta: tuple[float, float] = (1.0, 2.0)
    """The same of a plateau's shape."""
    sides: tuple[int, ...] = (7, 9, 11, 13, 15, 17, 19, 21)
    """Sides of the kernels, in pixels, odd; each is drawn equally often."""

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


@dataclass(frozen=True, slots=True)
class Blur:
    """A Gaussian of two random standard deviations, turned at random.

    It runs before the shrink, so in high-resolution pixels.
    """

    chance: float = 0.5
    """Probability that it happens to a clip."""
    least: float = 0.3
    """Smallest standard deviation, in high-resolution pixels."""
    most: float = 2.5
    """Largest standard deviation, in high-resolution pixels."""
    frames: int = 1
    """One is enough: all frames get the same kernel."""
    margin: int = 2
    """Low-resolution pixels around a patch that the kernel looks at before the shrink."""

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """The same blur on every frame."""
        if not happens(self.chance, rng):
            return frames
        across, along = rng.uniform(self.least, self.most, size=2)
        kernel = gaussian(float(across), float(along), float(rng.uniform(0, np.pi)))
        blurred = [
            cv2.filter2D(frame, -1, kernel, borderType=cv2.BORDER_REFLECT_101) for frame in frames
        ]
        return np.stack(blurred).astype(np.uint8, copy=False)


def gaussian(across: float, along: float, angle: float) -> Kernel:
    """A normalised odd-sided kernel of two sigmas in pixels, turned by ``angle`` radians."""
    reach = max(1, round(3 * max(across, along)))
    return bell(2 * reach + 1, across, along, angle)


SIGMA = 8.0
"""Pixels: what OpenCV takes for the published radius of 50 px, 0.3 (50 / 2 - 1) + 0.8."""
STRENGTH, THRESHOLD = 0.5, 10.0


def sharpened(frames: Frames) -> Frames:
    """(t, h, w, 3): half of what a wide blur loses is added, softly, where that is above 10."""
    made = np.empty_like(frames)
    for source, target in zip(frames, made, strict=True):
        picture = source.astype(np.float32)
        lost = picture - blurred(picture)
        share = blurred((np.abs(lost) > THRESHOLD).astype(np.float32))
        sharp = np.clip(picture + STRENGTH * lost, 0, 255)
        target[:] = np.rint(picture + share * (sharp - picture))
    return made


def blurred(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """A Gaussian of SIGMA pixels, made at half the size for a fourth of the work."""
    height, width = picture.shape[:2]
    half = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    side = int(3 * SIGMA) + 1  # odd, and all of 6 sigmas at half the size
    wide = cv2.GaussianBlur(half, (side, side), SIGMA / 2)
    return cv2.resize(wide, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32)

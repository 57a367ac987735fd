"""Chains of degradations: real photographs spoilt twice, and real footage."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from vsr.degrade.base import Frames, happens
from vsr.degrade.blur import Kernels, Picture, filtered, ringing
from vsr.degrade.video_codec import through_jpeg

_MODES = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
"""Linear and cubic do not filter when they shrink: aliases are among what is to be mended."""
_LUMA = np.array([0.2989, 0.587, 0.114], np.float32)
FEW = 16
"""Photons from which on Poisson's distribution is taken for the normal one, five times as quick."""
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class DegradationRound:
    """One round of blur, resize, noise and JPEG: probabilities, and ranges that are drawn from."""

    blur: float
    """Probability of a blur."""
    kernels: Kernels
    """What its kernel is drawn from."""
    up: float
    """Probability of enlarging, by a factor from 1 to ``resize[1]``."""
    down: float
    """Probability of shrinking, by a factor from ``resize[0]`` to 1; else the size stays."""
    resize: Range
    """Least and largest factor."""
    sigma: Range
    """Bounds of Gaussian noise's standard deviation, in code values."""
    poisson: Range
    """Bounds of what Poisson noise is multiplied with; 1 leaves it as photons make it."""
    gaussian: float = 0.5
    """Probability of Gaussian noise; else it is Poisson's."""
    gray: float = 0.4
    """Probability of noise without colour."""
    jpeg: tuple[int, int] = (30, 95)
    """Least and highest quality of JPEG, of libjpeg's 1..100."""

    def factor(self, rng: Generator) -> float:
        """What this round resizes by."""
        drawn = rng.random()
        if drawn < self.up:
            return float(rng.uniform(1.0, self.resize[1]))
        return float(rng.uniform(self.resize[0], 1.0)) if drawn < self.up + self.down else 1.0

    def noisy(self, pictures: list[Picture], rng: Generator) -> list[Picture]:
        """One kind and strength for all of them."""
        shot = not happens(self.gaussian, rng)
        gray = happens(self.gray, rng)
        strength = float(rng.uniform(*(self.poisson if shot else self.sigma)))
        noise = poisson if shot else gaussian
        return [np.clip(one + noise(one, strength, gray, rng), 0, 255) for one in pictures]


FIRST = DegradationRound(1.0, Kernels((0.2, 3.0)), 0.2, 0.7, (0.15, 1.5), (1, 30), (0.05, 3.0))
SECOND = DegradationRound(0.8, Kernels((0.2, 1.5)), 0.3, 0.4, (0.3, 1.2), (1, 25), (0.05, 2.5))


@dataclass(frozen=True, slots=True)
class SecondOrder:
    """(t, h, w, 3) to (t, h / scale, w / scale, 3), spoilt twice.

    The last resize and its sinc filter come before the last JPEG as often as after it.
    """

    first: DegradationRound = FIRST
    """The round at the high resolution."""
    second: DegradationRound = SECOND
    """The round after it, at the size that the first one left."""
    ringing: float = 0.8
    """Probability of the sinc filter behind the last resize."""
    scale: int = 4
    """How many times smaller each side becomes."""
    frames: int = 1
    """One is enough: frames are spoilt each by itself, all alike."""
    margin: int = 8
    """Low-resolution pixels around a patch: a block of JPEG, and what kernels look at."""

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """Every frame alike, but for the noise."""
        height, width = frames.shape[1] // self.scale, frames.shape[2] // self.scale
        pictures = [frame.astype(np.float32) for frame in frames]
        first, second = self.first, self.second
        pictures = _blurred(pictures, first, rng)
        factor = first.factor(rng)
        size = round(frames.shape[1] * factor), round(frames.shape[2] * factor)
        pictures = first.noisy(_resized(pictures, *size, rng), rng)
        pictures = _stored(pictures, first, rng)
        pictures = _blurred(pictures, second, rng)
        factor = second.factor(rng)
        pictures = _resized(pictures, round(height * factor), round(width * factor), rng)
        pictures = second.noisy(pictures, rng)
        if stored_last := happens(0.5, rng):
            pictures = self._finished(pictures, height, width, rng)
        pictures = _stored(pictures, second, rng)
        if not stored_last:
            pictures = self._finished(pictures, height, width, rng)
        return np.stack([_rounded(one) for one in pictures])

    def _finished(
        self, pictures: list[Picture], height: int, width: int, rng: Generator
    ) -> list[Picture]:
        pictures = _resized(pictures, height, width, rng)
        if happens(self.ringing, rng):
            pictures = filtered(pictures, ringing(self.second.kernels.side(rng), rng))
        return pictures


def gaussian(picture: Picture, sigma: float, gray: bool, rng: Generator) -> Picture:
    """Noise of ``sigma`` code values: (h, w, 3), or (h, w, 1) where it is gray."""
    shape = (*picture.shape[:2], 1 if gray else 3)
    return np.float32(sigma) * rng.standard_normal(shape, dtype=np.float32)


def poisson(picture: Picture, strength: float, gray: bool, rng: Generator) -> Picture:
    """``strength`` times what Poisson's distribution adds to the brightness of each pixel.

    Brightness is counted in the levels that the picture has, to the next power of two: of 256
    levels each code value is a photon, and the variance of a pixel is its brightness.
    """
    levels = np.rint(np.clip(picture @ _LUMA[:, None] if gray else picture, 0, 255))
    used = np.count_nonzero(np.bincount(levels.astype(np.uint8).ravel(), minlength=256))
    photons = np.float32(2.0 ** np.ceil(np.log2(used)) / 255)  # for each code value
    expected = levels * photons
    noise = np.sqrt(expected) * rng.standard_normal(expected.shape, dtype=np.float32)
    few = expected < FEW
    noise[few] = rng.poisson(expected[few]) - expected[few]
    return np.float32(strength) / photons * noise


def _blurred(pictures: list[Picture], settings: DegradationRound, rng: Generator) -> list[Picture]:
    return (
        filtered(pictures, settings.kernels.draw(rng)) if happens(settings.blur, rng) else pictures
    )


def _resized(pictures: list[Picture], height: int, width: int, rng: Generator) -> list[Picture]:
    mode = _MODES[int(rng.integers(len(_MODES)))]
    if pictures[0].shape[:2] == (height, width):
        return pictures
    return [
        cv2.resize(one, (width, height), interpolation=mode).astype(np.float32, copy=False)
        for one in pictures
    ]


def _stored(pictures: list[Picture], settings: DegradationRound, rng: Generator) -> list[Picture]:
    quality = int(rng.integers(settings.jpeg[0], settings.jpeg[1] + 1))
    return [through_jpeg(_rounded(one), quality).astype(np.float32) for one in pictures]


def _rounded(picture: Picture) -> Frames:
    return np.rint(np.clip(picture, 0, 255)).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Oversharpen:
    """An unsharp mask as cameras and encoders apply it: halos around edges, and more noise.

    It adds a share of what a Gaussian takes away. It runs at the low size.
    """

    chance: float = 0.25
    """Probability that it happens to a clip."""
    least: float = 0.3
    """Smallest share that is added."""
    most: float = 1.5
    """Largest share that is added."""
    radius: float = 1.5
    """Largest standard deviation of the Gaussian, in low-resolution pixels; the least is 0.5."""
    frames: int = 1
    """One is enough: all frames get the same mask."""
    margin: int = 4
    """Low-resolution pixels around a patch that the Gaussian looks at."""

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """The same on every frame."""
        if not happens(self.chance, rng):
            return frames
        share, sigma = rng.uniform(self.least, self.most), rng.uniform(0.5, self.radius)
        made = np.empty_like(frames)
        for source, target in zip(frames, made, strict=True):
            pixels = source.astype(np.float32)
            soft = np.asarray(
                cv2.GaussianBlur(pixels, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101),
                np.float32,
            )
            target[:] = np.clip(np.rint(pixels + np.float32(share) * (pixels - soft)), 0, 255)
        return made


@dataclass(frozen=True, slots=True)
class Interlaced:
    """What is left of interlacing: every second line is of the next moment, in part or whole.

    The last frame has no next one, and stays.
    """

    chance: float = 0.08
    """Probability that it happens to a clip."""
    blended: float = 0.5
    """Probability that the two fields were averaged by a vertical filter, which leaves a ghost of
    what moves in place of the comb."""
    frames: int = 2
    """A frame and the next one."""
    margin: int = 1
    """Low-resolution pixels around a patch that the vertical filter looks at."""

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """As many frames as came."""
        if len(frames) < 2 or not happens(self.chance, rng):
            return frames
        pixels = frames.astype(np.float32)
        woven = pixels.copy()
        line, share = int(rng.integers(2)), np.float32(rng.uniform(0.4, 1.0))
        here, there = pixels[:-1, line::2], pixels[1:, line::2]
        woven[:-1, line::2] = here + share * (there - here)
        if happens(self.blended, rng):
            lines = np.array([[1], [2], [1]], np.float32) / 4
            for frame in woven[:-1]:
                frame[:] = cv2.filter2D(frame, -1, lines, borderType=cv2.BORDER_REFLECT_101)
        return np.clip(np.rint(woven), 0, 255).astype(np.uint8)

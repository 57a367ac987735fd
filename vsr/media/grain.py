"""Measure a source's film grain, and make more of the same: in frames, at the target's size.

Grain is what differs between two frames in places that are flat and do not move; there it has the
same deviation in time and in space, which a codec's blocks and a still texture have not. What is
made of it depends on the grain and on a frame's time alone: whoever encodes the frame, it is alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vsr.color import ColorSpec
from vsr.geometry import Size
from vsr.media.clean import Filters
from vsr.media.read.probe import MediaInfo
from vsr.media.samples import Plane, samples

Coded = NDArray[np.uint8 | np.uint16]
PLACES, RUN = 8, 3
"""So many frames in a row, at so many places of a video."""
TILE = 32  # pixels, the side of what is measured at once
LEVELS, BANDS = 8, 16
"""Steps of luma, and of frequency up to half a cycle a pixel, that are told apart."""
SMOOTH = 5.0  # pixels: deviation of the blur that tells flat and still places
FLAT = 4.0
"""Code values: deviation, once blurred, of what is still flat."""
STILL = 0.6
"""Share of a difference that may be left once it is blurred: of what moved, most is."""
CALM = 0.2
"""Of flat tiles, the share with the least change: where nothing but grain changes."""
LEAST_TILES = 6
MOVED = 0.3
"""Correlation of a difference with what moving makes of a tile, at least, where something moved."""
FOUND = 1.5
"""Code values from which on it is grain: coding leaves less than 1."""
BLOCKS = 1.5
"""How much steeper differences may be at the edges of 8x8 blocks: in grain they are not."""
GENTLE = 0.6
"""Deviation of the grain of chroma for luma's, at most."""
UNIT = 32  # what a texture has for a deviation of 1
PERIODS = (421, 577)
"""Sides of two textures that are laid over each other: the sum repeats after their product."""


@dataclass(frozen=True, slots=True)
class Grain:
    """The grain of a video, as it was measured and as it is to be made."""

    levels: tuple[float, ...]
    """Standard deviations at luma of 16, 48 and so on to 240, in code values of 8 bits,
    (LEVELS,)."""
    spectrum: tuple[float, ...]
    """Power density of grain of deviation 1, at radial frequencies in equal steps from 0 to half a
    cycle a pixel of the source, (BANDS,)."""
    chroma: tuple[float, float] = (0.0, 0.0)
    """Standard deviations in U and V, in code values of 8 bits."""
    stretch: tuple[float, float] = (1.0, 1.0)
    """How many target pixels a source pixel became, across and down."""
    removed: float = 0.0
    """Standard deviation that was measured, which is taken out before the network, in code values
    of 8 bits; 0: nothing is."""

    @property
    def strength(self) -> float:
        """The deviation over all levels, in code values of 8 bits."""
        return float(np.mean(self.levels))

    def of_strength(self, wanted: float) -> Grain:
        """The same at another mean deviation."""
        factor = wanted / self.strength if self.strength else 0.0
        levels = tuple(level * factor for level in self.levels) if factor else (wanted,) * LEVELS
        first, second = (amount * factor for amount in self.chroma)
        return replace(self, levels=levels, chroma=(first, second))

    def enlarged(self, source: Size, target: Size) -> Grain:
        """The same on frames of another size: its spots are as much larger as the picture."""
        across, down = target.width / source.width, target.height / source.height
        return replace(self, stretch=(across, down))

    def at(self, luma: NDArray[np.float64]) -> NDArray[np.float64]:
        """The deviation at values of luma, 0 to 255."""
        width = 256 / LEVELS
        return np.interp(luma, (np.arange(LEVELS) + 0.5) * width, self.levels)

    def density(self, height: int, width: int) -> NDArray[np.float64]:
        """Power by frequency of a texture of the target's pixels, as FFTs have it, (h, w)."""
        down = np.fft.fftfreq(height)[:, None] * self.stretch[1]
        across = np.fft.fftfreq(width)[None] * self.stretch[0]
        bands = (np.arange(BANDS) + 0.5) / (2 * BANDS)
        power = np.interp(np.hypot(down, across), bands, self.spectrum)
        return power * (abs(down) <= 0.5) * (abs(across) <= 0.5)  # the source has nothing beyond


PLAIN = Grain(
    (0.0,) * LEVELS, tuple(float(np.exp(-2 * (n / BANDS * 1.6) ** 2)) for n in range(BANDS))
)
"""None at all; of the spectrum that grain has where none was measured."""


def removal(grain: Grain, depth: int) -> Filters:
    """The filter that takes grain out of frames of so many bits.

    Of FFmpeg's that look at one frame alone, `nlmeans` is nearest to the truth, and takes 8 bits
    only: docs/benchmarks.md.
    """
    if not grain.removed:
        return ()
    if depth > 8:
        return (("fftdnoiz", f"sigma={2 * grain.removed:.2f}:overlap=0.5"),)
    return (("nlmeans", f"s={min(30.0, max(1.0, grain.removed)):.2f}:p=5:r=7"),)


def told(found: Grain | None, wanted: float | Literal["auto"]) -> str:
    """For people: what was found, and what is done about it."""
    given = "and is given back" if wanted == "auto" else f"grain of {wanted:g} is given"
    if found is None:
        return "no grain was found" + ("" if wanted == "auto" else f": {given}")
    return f"grain of {found.removed:.1f} of 255 is taken out before the network, {given} behind it"


def measure(info: MediaInfo, *, first: int | None = None, last: int | None = None) -> Grain | None:
    """The grain of a video from ``first`` to before ``last``, in units of its time base.

    ``None`` where there is none. Raises :class:`MediaError` where it cannot be decoded.
    """
    tiles = [
        tile
        for frames in samples(info, PLACES, RUN, first=first, last=last)
        for tile in _tiles(frames)
    ]
    return grain_of(tiles)


@dataclass(frozen=True, slots=True)
class FlatTile:
    """A flat place that does not move, :data:`TILE` source pixels a side, in units of 8 bits."""

    luma: float
    """Mean of its luma, 0..255."""
    variance: float
    """Variance of its luma's grain."""
    power: NDArray[np.float64]
    """Power of that grain by radial frequency, (BANDS,)."""
    edges: float
    """How much steeper the change between two frames is at the edges of 8x8 blocks than
    elsewhere."""
    chroma: tuple[float, float]
    """Variances of the grain in U and V."""


def grain_of(tiles: Sequence[FlatTile]) -> Grain | None:
    """Of what many places show, the grain that all of them have."""
    tiles = [tile for tile in tiles if 24 <= tile.luma <= 232]  # black and white are cut off
    if len(tiles) < LEAST_TILES:
        return None
    calm = sorted(tiles, key=lambda tile: tile.variance)[: max(LEAST_TILES, len(tiles) // 2)]
    overall = _calm([tile.variance for tile in tiles])
    blocks = np.median([tile.edges for tile in calm]) > BLOCKS
    if overall < FOUND or blocks:
        return None
    levels = np.full(LEVELS, np.nan)
    for level in range(LEVELS):
        at = [tile.variance for tile in tiles if int(tile.luma * LEVELS / 256) == level]
        if len(at) >= LEAST_TILES:
            levels[level] = _calm(at)
    known = np.flatnonzero(~np.isnan(levels))
    if not len(known):
        levels[:], known = overall, np.arange(LEVELS)
    levels = np.interp(np.arange(LEVELS), known, levels[known])
    power = np.mean([tile.power / tile.variance for tile in calm], axis=0)
    chroma = [_calm([tile.chroma[of] for tile in calm]) for of in (0, 1)]
    most = GENTLE * overall
    first, second = (
        round(min(amount, most), 2) if amount > FOUND / 2 else 0.0 for amount in chroma
    )
    return Grain(
        tuple(round(float(level), 2) for level in levels),
        tuple(round(float(band), 4) for band in power),
        (first, second),
        removed=round(overall, 2),
    )


def _calm(variances: Sequence[float]) -> float:
    """The deviation where it is least."""
    return float(np.sqrt(np.quantile(variances, CALM)))


def _tiles(frames: Sequence[tuple[Plane, ...]]) -> Iterator[FlatTile]:
    for early, late in pairwise(frames):
        yield from tiles_of(early, late)


def tiles_of(early: Sequence[Plane], late: Sequence[Plane]) -> Iterator[FlatTile]:
    """The flat places of two frames that follow each other where nothing moves."""
    luma = (early[0] + late[0]) / 2
    change = late[0] - early[0]
    if min(luma.shape) < TILE:
        return
    level = cv2.GaussianBlur(luma, (0, 0), SMOOTH)
    drift = cv2.GaussianBlur(change, (0, 0), SMOOTH)
    fine = [frame[0] - cv2.GaussianBlur(frame[0], (0, 0), SMOOTH) for frame in (early, late)]
    window = np.hanning(TILE + 2)[1:-1]
    window = np.outer(window, window)
    window /= np.sqrt((window**2).mean())
    for y in range(0, luma.shape[0] - TILE + 1, TILE):
        for x in range(0, luma.shape[1] - TILE + 1, TILE):
            at = np.s_[y : y + TILE, x : x + TILE]
            one = change[at]
            spread = float(one.std())
            if spread < 0.1:
                still = np.zeros(BANDS)
                yield FlatTile(float(level[at].mean()), 0.01, still, 1.0, (0.0, 0.0))
                continue
            if (
                level[at].std() > FLAT
                or np.hypot(drift[at].std(), drift[at].mean()) > STILL * spread
            ):
                continue
            if _moved(fine[0][at], fine[1][at]):
                continue
            variance = min(spread**2 / 2, float(fine[0][at].var()))
            spectrum = np.abs(np.fft.rfft2((one - one.mean()) * window)) ** 2
            power = np.bincount(_bands().ravel(), spectrum.ravel(), BANDS + 1)[:BANDS]
            power /= np.bincount(_bands().ravel(), minlength=BANDS + 1)[:BANDS] * 2 * TILE**2
            chroma = _chroma(early, late, y, x)
            yield FlatTile(float(level[at].mean()), variance, power, _edges(one), chroma)


def _moved(one: Plane, other: Plane) -> bool:
    """Whether what differs between two tiles is for a good part their own detail, elsewhere.

    Less than a pixel away, what differs is the detail's slope; farther, they correlate there.
    """
    down, across = np.gradient(one + other)
    change = other - one
    change = change - change.mean()
    # The two slopes' least squares, written out: a library's takes longer than all of the rest.
    vv, uu, vu = float((down**2).sum()), float((across**2).sum()), float((down * across).sum())
    v, u = float((down * change).sum()), float((across * change).sum())
    explained = (v * v * uu - 2 * v * u * vu + u * u * vv) / max(vv * uu - vu * vu, 1e-6)
    if explained > MOVED**2 * float((change**2).sum()):
        return True
    first, second = (np.fft.rfft2(tile - tile.mean()) for tile in (one, other))
    size = float(one.std() * other.std()) * one.size
    found = np.fft.irfft2(first * np.conj(second)) / max(size, 1e-6)
    return float(found.max()) > max(MOVED, float(found[0, 0]) + 0.05)


@cache
def _bands() -> NDArray[np.int64]:
    """Which band each frequency of a tile is in; behind half a cycle, none."""
    radial = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None])
    return np.minimum(BANDS, (radial * 2 * BANDS).astype(np.int64))


def _edges(change: Plane) -> float:
    """How much steeper it is at the edges of 8x8 blocks."""
    ratios: list[float] = []
    for axis in (0, 1):
        steps = np.abs(np.diff(change, axis=axis)).mean(axis=1 - axis)
        inner = np.delete(steps, np.s_[7::8]).mean()
        ratios.append(float(steps[7::8].mean() / max(inner, 1e-6)))
    return max(ratios)


def _chroma(early: Sequence[Plane], late: Sequence[Plane], y: int, x: int) -> tuple[float, float]:
    """Variances of the grain in both planes of chroma."""
    if len(early) < 3:
        return 0.0, 0.0
    height, width = (a // b for a, b in zip(early[0].shape, early[1].shape, strict=True))
    at = np.s_[y // height : (y + TILE) // height, x // width : (x + TILE) // width]
    first, second = (float((late[n][at] - early[n][at]).var() / 2) for n in (1, 2))
    return first, second


@cache
def _texture(grain: Grain, period: int, seed: int) -> NDArray[np.int8]:
    """Noise of the grain's spectrum, (period, period), of deviation UNIT, that goes on at its ends.

    Of raw bits, which are the same in every version of NumPy: sums of four, nearly normal.
    """
    raw = np.random.PCG64(seed).random_raw(period * period)  # 64 bits each
    parts = np.stack([(raw >> np.uint64(16 * n)) & np.uint64(0xFFFF) for n in range(4)])
    white = parts.astype(np.float64).sum(axis=0).reshape(period, period)
    shaped = np.fft.fft2(white - white.mean()) * np.sqrt(grain.density(period, period))
    noise = np.fft.ifft2(shaped).real
    noise *= UNIT / np.sqrt(len(PERIODS)) / noise.std()
    return np.clip(np.rint(noise), -63, 63).astype(np.int8)


class GrainMaker:
    """Puts grain into the planes of frames of ``color``, one frame at a time."""

    def __init__(self, grain: Grain, color: ColorSpec) -> None:
        self._color = color
        self._shape = replace(grain, levels=(), chroma=(0.0, 0.0), removed=0.0)
        full = 1 << color.depth
        steps = grain.at(np.arange(full) * 256 / full)
        one = full / 256 * 256 / UNIT  # in 1/256 code values
        self._luma = np.rint(steps * one).astype(np.int32)
        self._chroma = [round(amount * one) for amount in grain.chroma]

    def add(self, planes: Sequence[Coded], time: int) -> None:
        """Put grain into (h, w) planes of the frame at ``time``: Y, U, V and alpha, or R, G, B."""
        rgb = self._color.layout == "rgb"
        for number, plane in enumerate(planes[: 1 if self._color.layout == "gray" else 3]):
            if rgb or number == 0:
                self._add(plane, time, 0, self._luma)
            elif self._chroma[number - 1]:
                self._add(plane, time, number, self._chroma[number - 1])

    def _add(self, plane: Coded, time: int, which: int, strength: NDArray[np.int32] | int) -> None:
        most, band = (1 << self._color.depth) - 1, 64
        corners = np.random.PCG64([abs(time), time < 0, which]).random_raw(2 * len(PERIODS))
        textures = [
            (
                _texture(self._shape, period, n),
                int(corners[2 * n] % period),
                int(corners[2 * n + 1] % period),
            )
            for n, period in enumerate(PERIODS)
        ]
        columns: list[NDArray[np.int64]] = [
            np.arange(left, left + plane.shape[1]) % len(t) for t, _, left in textures
        ]
        for y in range(0, plane.shape[0], band):  # few lines at once stay in the cache
            lines = plane[y : y + band]
            rows = np.arange(y, y + len(lines))
            noise = np.zeros(lines.shape, np.int32)
            for (texture, top, _), across in zip(textures, columns, strict=True):
                noise += texture[(rows + top) % len(texture)][:, across]
            scale = strength if isinstance(strength, int) else strength[lines]
            noise *= scale
            noise += 128
            noise >>= 8
            noise += lines
            lines[...] = np.clip(noise, 0, most, out=noise)

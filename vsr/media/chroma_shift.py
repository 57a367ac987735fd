"""Measure how far a source's chroma lies beside its luma, as that of tape often does.

Where luma has an edge, chroma mostly has one, too: the shift at which the two agree best is the
chroma's, where it is clearly better than none and most frames say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vsr.media.clean import Filters
from vsr.media.fields.plan import FieldPlan
from vsr.media.read.probe import MediaInfo
from vsr.media.samples import Plane, samples

FRAMES = 12
ACROSS, DOWN = 6, 3
"""Samples of chroma, the farthest shift that is looked for."""
SOFTNESS = (0.0, 1.0, 2.0, 3.0)
"""Samples of chroma: how much softer along lines chroma may be than luma. Tape's is a fifth as
sharp; the blur under which they agree best is the right one."""
LEAST_COLOUR = 1.0
"""Deviation of the steepness of chroma, in code values, below which there are no edges in it."""
STEEPEST = 98.0
"""Percentile at which steepness is cut off: a single edge, such as the frame's, outweighs all."""
LEAST_FRAMES = 3
PROMINENT = 0.1
"""Correlation by which the best shift stands out of the middle one of all: on clips whose chroma
has edges of its own it is below 0.08, on others 0.15 to 0.27."""
CLEARLY = 0.04
"""Share of that which a shift must gain, in each direction."""
MOST = 2 / 3
"""Of the frames, those that must say so."""
Map = NDArray[np.float32]
"""Correlations by shift: (down, across), none in the middle."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far chroma lies beside luma, in samples of chroma."""

    across: int
    """Samples that it lies to the right of luma; below 0, to the left."""
    down: int
    """Samples that it lies below luma; below 0, above it."""

    def resampled(self, of: tuple[int, int], to: tuple[int, int]) -> Shift:
        """The same in samples of another chroma: ``of`` and ``to`` are log2 of the subsampling."""
        across, down = (
            round(by * 2.0 ** (old - new))
            for by, old, new in zip((self.across, self.down), of, to, strict=True)
        )
        return Shift(across, down)

    def __str__(self) -> str:
        aside = f"{abs(self.across)} to the {'right' if self.across > 0 else 'left'}"
        below = f"{abs(self.down)} {'down' if self.down > 0 else 'up'}"
        parts = [text for text, amount in ((aside, self.across), (below, self.down)) if amount]
        return " and ".join(parts)


def moved_back(shift: Shift | None) -> Filters:
    """The filter that undoes a shift."""
    if shift is None:
        return ()
    back = (("h", -shift.across), ("v", -shift.down))
    return (("chromashift", ":".join(f"c{of}{way}={by}" for of in "br" for way, by in back)),)


def measure_shift(
    info: MediaInfo,
    *,
    first: int | None = None,
    last: int | None = None,
    fields: FieldPlan | None = None,
) -> Shift | None:
    """The shift of a video's chroma, over frames as :func:`vsr.media.samples.samples` gives them.

    ``None`` where there is none, or nothing in colour tells. Raises :class:`MediaError` where it
    cannot be decoded.
    """
    if info.color.layout != "yuv":
        return None
    taken = samples(info, FRAMES, 1, first=first, last=last, fields=fields)
    return shift_of([found for frames in taken for one in frames if (found := maps_of(one))])


def maps_of(planes: Sequence[Plane]) -> list[Map]:
    """How well the edges of one frame's luma and chroma agree, for each of SOFTNESS; empty where it
    has no colour, or is too small."""
    luma, *chroma = planes
    height, width = chroma[0].shape
    if width < 8 * ACROSS or height < 8 * DOWN:
        return []
    small = cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA)
    inner = _steepness(chroma)[DOWN:-DOWN, ACROSS:-ACROSS]
    if float(inner.std()) < LEAST_COLOUR:
        return []
    maps: list[Map] = []
    for sigma in SOFTNESS:
        soft = cv2.GaussianBlur(small, (0, 0), sigmaX=sigma, sigmaY=0.1) if sigma else small
        found = cv2.matchTemplate(
            _steepness([np.asarray(soft, np.float32)]),
            np.ascontiguousarray(inner),
            cv2.TM_CCOEFF_NORMED,
        )
        maps.append(np.asarray(found, np.float32)[::-1, ::-1])
    return maps


def shift_of(frames: Sequence[Sequence[Map]]) -> Shift | None:
    """What the :func:`maps_of` several frames say together."""
    if len(frames) < LEAST_FRAMES:
        return None
    means = np.mean(np.array(frames, np.float32), axis=0)
    soft = int(means.max(axis=(1, 2)).argmax())
    mean = means[soft]
    down, across = divmod(int(mean.argmax()), mean.shape[1])
    best = float(mean[down, across])
    prominence = best - float(np.median(mean))
    needed = CLEARLY * prominence
    if best - mean[down, ACROSS] < needed:
        across = ACROSS
    if best - mean[DOWN, across] < needed:
        down = DOWN
    agreeing = [one[soft][down, across] - one[soft][DOWN, ACROSS] > needed / 2 for one in frames]
    found = Shift(across - ACROSS, down - DOWN)
    if prominence < PROMINENT or sum(agreeing) < MOST * len(frames):
        return None
    return found if found.across or found.down else None


def _steepness(planes: Sequence[Plane]) -> Plane:
    steep = np.zeros_like(planes[0])
    for plane in planes:
        for order in ((1, 0), (0, 1)):
            steep += np.square(np.asarray(cv2.Sobel(plane, cv2.CV_32F, *order, ksize=3)))
    np.sqrt(steep, out=steep)
    inner = steep[2 * DOWN : -2 * DOWN, 2 * ACROSS : -2 * ACROSS]
    return np.minimum(steep, np.float32(np.percentile(inner, STEEPEST)))

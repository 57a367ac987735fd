"""Find out that a film runs some frames early or late. Looks at small pictures, decides nothing."""

from __future__ import annotations

import math
from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vsr.metrics.psnr import luma

REACH = 6
"""Frames early or late that are looked for."""
WINDOW = 48
"""Frames after which a verdict is given and counting begins anew."""
_WIDTH = 160
_CLEARLY = 0.6
"""A shift is believed when it makes the difference smaller than this part of it."""
_MOVING = 0.3
"""Levels of difference below which films are the same, or stand still, as they are."""

Small = NDArray[np.float32]


class OffsetFinder:
    """Give it the frames that were paired; it tells by how many the second film is late.

    Memory does not grow: it keeps :data:`REACH` small pictures of each film.
    """

    def __init__(self) -> None:
        self.found: list[tuple[int, int]] = []  # (first frame of a stretch, its shift)
        self._one: deque[Small] = deque(maxlen=REACH + 1)
        self._two: deque[Small] = deque(maxlen=REACH + 1)
        self._errors: dict[int, list[float]] = {}
        self._count = 0

    def add(self, reference: Tensor, candidate: Tensor) -> None:
        """One more pair of (3, h, w) RGB pictures 0..1."""
        self._one.append(_small(reference))
        self._two.append(_small(candidate))
        for back in range(len(self._one)):
            # The candidate's newest against the reference's older ones: it is late. And vice versa.
            self._note(back, self._one[-1 - back], self._two[-1])
            if back:
                self._note(-back, self._one[-1], self._two[-1 - back])
        self._count += 1
        if self._count % WINDOW == 0:
            self._decide()

    def finish(self) -> None:
        """Decide on what is left of the last window."""
        if self._count % WINDOW > 2 * REACH or not self.found:
            self._decide()

    def _note(self, shift: int, one: Small, two: Small) -> None:
        if one.shape == two.shape:
            difference = float(np.abs(one - two).mean())
            self._errors.setdefault(shift, []).append(difference)

    def _decide(self) -> None:
        begun = (self._count - 1) // WINDOW * WINDOW
        means = {
            shift: math.fsum(errors) / len(errors)
            for shift, errors in self._errors.items()
            if len(errors) >= 3
        }
        self._errors = {}
        if not means or 0 not in means:
            return
        best = min(means, key=lambda shift: (means[shift], abs(shift)))
        clear = means[0] > _MOVING and means[best] < _CLEARLY * means[0]
        shift = best if clear else 0
        still = means[0] <= _MOVING or max(means.values()) - min(means.values()) < _MOVING
        if self.found and (still or self.found[-1][1] == shift):
            return  # what stands still does not speak against what was found before
        self.found.append((begun, shift))


def _small(picture: Tensor) -> Small:
    plane = luma(picture).float().cpu().numpy()
    height, width = plane.shape
    if width > _WIDTH:
        size = (_WIDTH, max(1, round(height * _WIDTH / width)))
        plane = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return np.asarray(plane, dtype=np.float32)

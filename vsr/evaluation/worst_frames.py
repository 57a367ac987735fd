"""Keep a handful of a film's frames for a report: the worst of each stretch. Bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from vsr.errors import MediaError
from vsr.evaluation.result import Shown

UNKNOWN = 250
"""Frames of a stretch where nobody knows how many there will be."""


class WorstFrames:
    """The frame with the lowest score of each of about ``count`` stretches of a film.

    Neighbours look alike, so the worst few of a whole film would mostly show one moment.
    """

    def __init__(self, count: int, frames: int | None) -> None:
        self._count = count
        self._stretch = UNKNOWN if frames is None else max(1, -(-frames // max(1, count)))
        self._kept: dict[int, Shown] = {}

    def wants(self, place: int, score: float) -> bool:
        """Whether :meth:`offer` would keep this frame."""
        before = self._kept.get(place // self._stretch)
        return self._count > 0 and (before is None or score < before.score)

    def offer(self, place: int, score: float, pictures: Callable[[], Sequence[Tensor]]) -> None:
        """Keep a frame if it is worse than what its stretch has; (3, h, w) RGB 0..1 each."""
        if not self.wants(place, score):
            return
        shown = Shown(place, score, tuple(encoded(picture) for picture in pictures()))
        self._kept[place // self._stretch] = shown
        if len(self._kept) > self._count:
            best = max(self._kept, key=lambda stretch: self._kept[stretch].score)
            del self._kept[best]

    def worst_first(self) -> tuple[Shown, ...]:
        """What was kept."""
        return tuple(sorted(self._kept.values(), key=lambda shown: (shown.score, shown.place)))


def encoded(picture: Tensor) -> bytes:
    """A (3, h, w) RGB picture 0..1 as the bytes of an 8-bit png."""
    levels = picture.clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0)
    pixels = np.ascontiguousarray(levels.cpu().numpy()[..., ::-1])
    stored, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not stored:
        raise MediaError(f"a picture of {pixels.shape[1]}x{pixels.shape[0]} px cannot be encoded")
    return data.tobytes()


def decoded(data: bytes) -> np.ndarray:
    """Back to (h, w, 3) RGB of 8 bit."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert pixels is not None, "it was encoded here"
    return np.asarray(pixels, dtype=np.uint8)

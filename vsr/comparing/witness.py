"""Look at a handful of frames of an upscale while it runs, for a report. Reads no file again."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vsr.color import ColorSpec, to_rgb
from vsr.comparing.options import CompareOptions
from vsr.comparing.result import Comparison
from vsr.comparing.session import Session
from vsr.events import ignore
from vsr.media.clip import Clip

FRAMES = 8
EVERY = 250
"""Frames between two that are looked at, where nobody knows how many there will be."""


class Witness:
    """Give it every clip before and after; it keeps :data:`FRAMES` frames spread over the film.

    Each is shown as the source's own pixels, enlarged by bicubic, and as the model made it, before
    the encoder. There is no truth to measure against: only sharpness is measured.
    """

    def __init__(self, model: str, frames: int | None) -> None:
        plain = [("source pixels", "each repeated")]
        if model != "bicubic":
            plain.append(("bicubic", "the source, enlarged by bicubic"))
        self._films = [*plain, (model, "what was encoded")]
        self._every = EVERY if frames is None else max(1, frames // FRAMES)
        self.seen = 0
        options = CompareOptions(metrics=("sharpness",), shown=FRAMES, border=0)
        self._session = Session(None, self._films, options, FRAMES, ignore)
        self._zero: float | None = None

    def see(self, before: Clip, source: ColorSpec, after: Clip, name: str = "") -> None:
        """Consecutive frames, and what became of them. ``source`` has its matrix resolved."""
        for place, pts in enumerate(before.pts):
            seconds = float(pts * before.time_base)
            self._zero = seconds if self._zero is None else self._zero
            # The middle of each stretch: a film's first frame is often black.
            if self.seen % self._every == self._every // 2:
                self._add(before, source, after, place, seconds - self._zero, name)
            self.seen += 1

    def _add(
        self, before: Clip, source: ColorSpec, after: Clip, place: int, seconds: float, name: str
    ) -> None:
        low, made = _frame(before, source, place), _frame(after, after.color, place)
        size = list(made.shape[-2:])
        pixels = functional.interpolate(low[None], size=size, mode="nearest-exact")[0]
        smooth = functional.interpolate(low[None], size=size, mode="bicubic", antialias=True)[0]
        pictures = (pixels, smooth.clamp_(0, 1), made)
        if len(self._films) == 2:
            pictures = (pixels, made)
        self._session.add(seconds, pictures[-2], pictures, follows=False, name=name)

    @property
    def saw_nothing(self) -> bool:
        """Whether there is nothing to report: an earlier run had done it all, or nearly."""
        return self._session.frames == 0

    def report(self, settings: dict[str, str]) -> Comparison:
        """The frames that were kept."""
        note = f"{self._session.frames} of {self.seen} frames were looked at while they were made"
        return self._session.finish(notes=[note], settings=settings)


def _frame(clip: Clip, color: ColorSpec, place: int) -> Tensor:
    planes = tuple(plane[place : place + 1] for plane in clip.planes)
    with torch.inference_mode():
        return to_rgb(planes, color)[0, :3].clamp_(0, 1)

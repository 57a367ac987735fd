"""Look at a handful of frames of an upscale while it runs, for a report. Reads no file again."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vsr.color import ColorSpec, to_rgb
from vsr.evaluation.options import CompareOptions
from vsr.evaluation.result import Comparison
from vsr.evaluation.session import Session
from vsr.events import ignore

FRAMES = 8
EVERY = 250
"""Frames between two that are looked at, where nobody knows how many there will be."""


class FrameSampler:
    """Keeps :data:`FRAMES` of the frames that a job makes, spread over all of them.

    Each is shown as the source's own pixels, enlarged by bicubic, and as the model made it, before
    the encoder. There is no truth to measure against: only sharpness is measured. It is a
    :class:`vsr.jobs.enlarge.FrameObserver`.
    """

    def __init__(self, model: str) -> None:
        plain = [("source pixels", "each repeated")]
        if model != "bicubic":
            plain.append(("bicubic", "the source, enlarged by bicubic"))
        self._films = [*plain, (model, "what was encoded")]
        self._every = EVERY
        self._seen = 0
        self._session = Session(
            None,
            self._films,
            CompareOptions(metrics=("sharpness",), shown=FRAMES, border=0),
            FRAMES,
            ignore,
        )

    def begin(self, frames: int | None) -> None:
        """Look at some of so many frames, or of all that come where nobody knows."""
        self._every = EVERY if frames is None else max(1, frames // FRAMES)

    def look(
        self,
        source: tuple[Tensor, ...],
        source_color: ColorSpec,
        made: tuple[Tensor, ...],
        made_color: ColorSpec,
    ) -> None:
        """Keep those of consecutive frames, planes of (n, h, w), whose turn it is."""
        for place in range(source[0].shape[0]):
            # The middle of each stretch: a film's first frame is often black.
            if self._seen % self._every == self._every // 2:
                self._add(_frame(source, source_color, place), _frame(made, made_color, place))
            self._seen += 1

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to report: an earlier run had done it all, or nearly."""
        return self._session.frames == 0

    def report(self, settings: dict[str, str]) -> Comparison:
        """The frames that were kept."""
        note = f"{self._session.frames} of {self._seen} frames were looked at while they were made"
        return self._session.finish(notes=[note], settings=settings)

    def _add(self, low: Tensor, made: Tensor) -> None:
        size = list(made.shape[-2:])
        pixels = functional.interpolate(low[None], size=size, mode="nearest-exact")[0]
        smooth = functional.interpolate(low[None], size=size, mode="bicubic", antialias=True)[0]
        pictures = (pixels, smooth.clamp_(0, 1), made)
        if len(self._films) == 2:
            pictures = (pixels, made)
        name = f"frame {self._seen}"
        self._session.add(self._seen, pictures[-2], pictures, follows=False, name=name)


def _frame(planes: tuple[Tensor, ...], color: ColorSpec, place: int) -> Tensor:
    with torch.inference_mode():
        one = tuple(plane[place : place + 1].cpu() for plane in planes)
        return to_rgb(one, color)[0, :3].clamp_(0, 1)

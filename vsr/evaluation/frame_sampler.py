"""Look at a handful of frames of an upscale while it runs, for a report. Reads no file again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from vsr.color import ColorSpec, to_rgb
from vsr.evaluation.options import CompareOptions
from vsr.evaluation.result import Comparison
from vsr.evaluation.session import Session
from vsr.events import EventSink, ignore
from vsr.geometry import Size
from vsr.infer.engine import Engine
from vsr.infer.host_transfer import PendingFrames
from vsr.infer.reuse import CellMask
from vsr.models.arch import Upscaler
from vsr.motion import Motion
from vsr.options import EngineOptions

FRAMES = 8
EVERY = 250
"""Frames between two that are looked at, where nobody knows how many there will be."""


class FrameSampler(Engine):
    """An engine that keeps :data:`FRAMES` of the frames it enlarges, spread over ``expected``.

    Each is shown as the source's own pixels, enlarged by bicubic, and as the model made it, before
    the encoder. There is no truth to measure against: only sharpness is measured.
    """

    def __init__(
        self,
        upscaler: Upscaler,
        options: EngineOptions | None = None,
        on_event: EventSink = ignore,
    ) -> None:
        super().__init__(upscaler, options, on_event)
        plain = [("source pixels", "each repeated")]
        if upscaler.name != "bicubic":
            plain.append(("bicubic", "the source, enlarged by bicubic"))
        self._films = [*plain, (upscaler.name, "what was encoded")]
        self._every: int | None = None
        self._seen = 0
        self._session = Session(
            None,
            self._films,
            CompareOptions(metrics=("sharpness",), shown=FRAMES, border=0),
            FRAMES,
            ignore,
        )

    def expect(self, frames: int | None) -> None:
        """Look from now on, at some of so many frames: a trial run before is not the run."""
        self._every = EVERY if frames is None else max(1, frames // FRAMES)

    def begin(
        self,
        planes: tuple[Tensor, ...],
        source: ColorSpec,
        target: ColorSpec,
        size: Size,
        motion: Motion | None = None,
        changed: Sequence[CellMask | None] | None = None,
    ) -> PendingFrames:
        """As every engine does, and look at some."""
        pending = super().begin(planes, source, target, size, motion, changed)
        if self._every is None:
            return pending
        for place in range(planes[0].shape[0]):
            # The middle of each stretch: a film's first frame is often black.
            if self._seen % self._every == self._every // 2:
                made = pending.wait()
                self._look(_frame(planes, source, place), _frame(made, target, place))
            self._seen += 1
        return pending

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to report: an earlier run had done it all, or nearly."""
        return self._session.frames == 0

    def report(self, settings: dict[str, str]) -> Comparison:
        """The frames that were kept."""
        note = f"{self._session.frames} of {self._seen} frames were looked at while they were made"
        return self._session.finish(notes=[note], settings=settings)

    def _look(self, low: Tensor, made: Tensor) -> None:
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

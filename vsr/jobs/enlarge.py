"""The pipeline's middle stage, the same for videos, pictures and trial runs; and who looks on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from torch import Tensor

from vsr.color import ColorSpec
from vsr.infer.engine import Engine
from vsr.infer.footprint import Conversion
from vsr.media.clip import Clip

Made = Callable[[], Clip]
"""Waits for an enlarged clip."""


class FrameObserver(Protocol):
    """Is shown every frame that a job makes, before it is encoded."""

    def begin(self, frames: int | None) -> None:
        """The job begins, of so many frames, where that is known."""
        ...

    def look(
        self,
        source: tuple[Tensor, ...],
        source_color: ColorSpec,
        made: tuple[Tensor, ...],
        made_color: ColorSpec,
    ) -> None:
        """Consecutive frames as decoded, and what was made of them: planes of (n, h, w)."""
        ...


def enlarger(
    engine: Engine,
    conversion: Callable[[Clip], Conversion],
    segment_frames: int | None = None,
    observer: FrameObserver | None = None,
) -> Callable[[Clip], Made]:
    """A stage that enlarges clips with an engine, as ``conversion`` says of each.

    Every segment begins anew, so that it is the same whoever makes it, and whatever was made
    before; no clip has frames of two segments. The stage returns a function that waits for the
    enlarged clip: the next stage calls it while this one computes another.
    """
    done, led_in = 0, False

    def enlarge(clip: Clip) -> Made:
        nonlocal done, led_in
        if segment_frames is not None and done % segment_frames == 0 and not led_in:
            engine.forget()
        led_in = clip.lead_in
        wanted = conversion(clip)
        pending = engine.begin(clip.planes, wanted, clip.motion, clip.changed, lead_in=clip.lead_in)
        if clip.lead_in:
            lead_in = replace(clip, planes=(), motion=None)
            return lambda: lead_in
        done += len(clip.pts)
        seen = None if observer is None else clip.planes
        times = (
            clip.pts,
            clip.durations,
            clip.time_base,
        )  # these alone: planes can be freed

        def made() -> Clip:
            planes = pending.wait()
            if observer is not None and seen is not None:
                observer.look(seen, wanted.source, planes, wanted.target)
            return Clip(planes, wanted.target, *times)

        return made

    return enlarge

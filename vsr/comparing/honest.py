"""Is a network any good on this footage? A quick look before a long run, not a measurement.

Crops of the user's own frames are shrunk, enlarged by the network, and held to what they were,
beside bicubic. Networks that learnt with an adversary lose a little to bicubic here and are none
the worse for it; one that loses by :data:`MARGIN` has other weights or other input than it should.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from vsr.comparing.extremes import lost_on
from vsr.comparing.footage import Footage, Frame
from vsr.comparing.models import enlarged, shrunk
from vsr.events import EventSink, Warned
from vsr.infer.engine import Engine
from vsr.metrics.psnr import psnr
from vsr.models.arch import Upscaler
from vsr.options import EngineOptions, UpscaleOptions

MARGIN = 5.0
"""Decibels. SRGAN as published loses 0.8 on BSD100 (25.16 against 25.96), and is the better."""
ENOUGH = 30.0
"""Decibels that bicubic is counted for at most: on flat footage it reaches any number."""
PLACES = 3
SIDE, LEAST = 64, 12  # of a shrunk crop, in pixels


@dataclass(frozen=True, slots=True)
class Verdict:
    """Mean luma PSNR over so many crops, of a network and of bicubic, in decibels.

    ``mended`` are crops of which the network made what is no picture.
    """

    model: str
    crops: int
    psnr: float
    bicubic: float
    mended: int = 0

    @property
    def loses(self) -> bool:
        """Whether bicubic is nearer by more than taste can explain, or had to stand in."""
        return self.mended > 0 or self.psnr < min(self.bicubic, ENOUGH) - MARGIN

    def __str__(self) -> str:
        bicubic = "lossless" if self.bicubic == float("inf") else f"{self.bicubic:.1f} dB"
        if self.mended:
            return f"it makes no picture of {self.mended} of {self.crops} crops of it"
        return (
            f"{self.psnr:.1f} dB, bicubic {bicubic} (PSNR on {self.crops} crops of it, shrunk "
            "and enlarged again)"
        )


def check_model(
    upscaler: Upscaler, source: Path, options: UpscaleOptions, on_event: EventSink
) -> None:
    """Tell of a network that loses to bicubic on ``source``, where the options ask to look.

    Without being told, weights that are not of this project are looked at. What is known of a
    network's tiles is told, too.
    """
    if upscaler.note:
        on_event(Warned(upscaler.note))
    asked = options.check_model
    if not (upscaler.foreign and not options.allow_huge if asked is None else asked):
        return
    engine = Engine(upscaler, EngineOptions(options.device, options.dtype), on_event)
    verdict = judge(engine, source, start=options.start, end=options.end)
    if verdict is not None and verdict.loses:
        on_event(
            Warned(
                f"{upscaler.name} does worse than bicubic on this footage: {verdict}: its weights "
                "may be untrained, or made for pictures of another kind"
            )
        )
    elif lost := lost_on(Engine(upscaler, engine.options)):
        on_event(
            Warned(
                f"{upscaler.name} makes no picture of {', '.join(lost)}: where a frame is like "
                "that, it is interpolated"
            )
        )


def judge(
    engine: Engine, source: Path, *, start: float | None = None, end: float | None = None
) -> Verdict | None:
    """What a network makes of shrunk crops of ``source``; ``None`` where it is too small."""
    scale, mended = engine.upscaler.scale, engine.mended
    figures: list[tuple[float, float]] = []
    for frame in _frames(Footage(source), start or 0.0, end):
        high = _liveliest(frame.rgb(), scale)
        if high is None:
            continue
        low = high if scale == 1 else shrunk(high, scale)
        made = engine.upscale(low[None])[0].clamp(0, 1)
        figures.append((psnr(made, high), psnr(enlarged(low, scale), high)))
    if not figures:
        return None
    means = [sum(column) / len(figures) for column in zip(*figures, strict=True)]
    return Verdict(engine.upscaler.name, len(figures), means[0], means[1], engine.mended - mended)


def _frames(footage: Footage, start: float, end: float | None) -> Iterator[Frame]:
    """A frame from the middle of each of a few equal parts."""
    info = footage.info
    if info is None or info.duration_seconds is None:
        yield from islice(iter(footage), PLACES)
        return
    length = min(end or info.duration_seconds, info.duration_seconds) - start
    for place in range(PLACES):
        moment = start + length * (place + 0.5) / PLACES
        begin = footage.first.time + Fraction(moment).limit_denominator(90000)
        yield from islice(footage.read(begin), 1)


def _liveliest(picture: Tensor, scale: int) -> Tensor | None:
    """The one of nine crops of (3, h, w) with the greatest contrast, in whole shrunk pixels."""
    sides = [min(SIDE, side // scale) * scale for side in picture.shape[-2:]]
    if min(sides) < LEAST * scale:
        return None
    height, width = sides
    down, right = picture.shape[-2] - height, picture.shape[-1] - width
    crops = [
        picture[:, y : y + height, x : x + width]
        for y in (0, down // 2, down)
        for x in (0, right // 2, right)
    ]
    return crops[int(torch.stack([crop.std() for crop in crops]).argmax())]

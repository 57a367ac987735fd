"""Is a network any good on this footage? A quick look before a long run, not a measurement.

Crops of the user's own frames are shrunk, enlarged by the network, and held to what they were,
beside bicubic. Networks that learnt with an adversary lose a little to bicubic here and are none
the worse for it; one that loses by :data:`MARGIN` has other weights or other input than it should.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, product
from pathlib import Path

import torch
from torch import Tensor

from vsr.evaluation.footage import Footage
from vsr.evaluation.models import enlarged, shrunk
from vsr.events import EventSink, Warned
from vsr.infer.engine import Engine
from vsr.metrics.picture import psnr
from vsr.models.arch import Upscaler
from vsr.options import EngineOptions, UpscaleOptions

EXTREME_SIDE = 48  # pixels


def extremes(side: int = EXTREME_SIDE) -> Iterator[tuple[str, Tensor]]:
    """Names and (1, 3, side, side) RGB 0..1: noise, corners of the colour cube, checks, specks."""
    dice = torch.Generator().manual_seed(3)

    def noise(channels: int = 3) -> Tensor:
        return torch.rand(1, channels, side, side, generator=dice)

    yield "noise", noise()
    yield "noise of pure colours", noise().round()
    yield "noise of black and white", noise(1).round().expand(1, 3, -1, -1)
    places = torch.arange(side)
    for cell in (1, 2, 5):
        checks = ((places[:, None] // cell + places // cell) % 2).float()
        yield f"checks of {cell} px", checks.expand(1, 3, -1, -1)
    for share in (0.01, 0.1):
        specks = (noise(1) < share) * noise().round()
        yield f"specks on black, {share:.0%}", specks
        yield f"specks on white, {share:.0%}", 1 - specks
    for corner in product((0.0, 1.0), repeat=3):
        yield f"flat {corner}", torch.tensor(corner).view(1, 3, 1, 1).expand(1, 3, side, side)


def lost_on(engine: Engine) -> list[str]:
    """The names of those of which the engine's network makes what is no picture."""
    lost: list[str] = []
    for name, pixels in extremes():
        engine.forget()
        before = engine.mended
        engine.upscale(pixels)
        if engine.mended > before:
            lost.append(name)
    return lost


MARGIN = 5.0
"""Decibels. SRGAN as published loses 0.8 on BSD100 (25.16 against 25.96), and is the better."""
ENOUGH = 30.0
"""Decibels that bicubic is counted for at most: on flat footage it reaches any number."""
PLACES = 3
RECURRENT_BURST = 6
"""Frames that a recurrent network sees of a place; the last one counts."""
SIDE, MIN_CROP_SIDE = 64, 12  # of a shrunk crop, in pixels


@dataclass(frozen=True, slots=True)
class SanityResult:
    """What a network and bicubic made of shrunk crops."""

    model: str
    """The network's name."""
    crops: int
    """How many crops were made."""
    psnr: float
    """Mean luma PSNR of the network, in decibels."""
    bicubic: float
    """Mean luma PSNR of bicubic, in decibels."""
    mended: int = 0
    """How many frames the network made no picture of: one of each crop was looked at, or several
    with a recurrent network."""

    @property
    def loses(self) -> bool:
        """Whether bicubic is nearer by more than taste can explain, or had to stand in."""
        return self.mended > 0 or self.psnr < min(self.bicubic, ENOUGH) - MARGIN

    def __str__(self) -> str:
        bicubic = "lossless" if self.bicubic == float("inf") else f"{self.bicubic:.1f} dB"
        if self.mended:
            return f"it makes no picture of {self.mended} of its frames in {self.crops} crops"
        return (
            f"{self.psnr:.1f} dB, bicubic {bicubic} (PSNR on {self.crops} crops of it, shrunk "
            "and enlarged again)"
        )


def check_model(
    upscaler: Upscaler, source: Path, options: UpscaleOptions, on_event: EventSink
) -> None:
    """Tell of a network that loses to bicubic on ``source``, where the options ask to look.

    Without being told, weights that are not of this project are looked at, but with
    ``allow_huge``. What is known of a network's tiles is told in any case. So are the
    :func:`extremes` that it makes no picture of, where it does not lose.
    """
    if upscaler.note:
        on_event(Warned(upscaler.note))
    asked = options.check_model
    if not (upscaler.foreign and not options.allow_huge if asked is None else asked):
        return
    engine = Engine(upscaler, EngineOptions(options.device, options.dtype), on_event)
    verdict = sanity_check(engine, source, start=options.start, end=options.end)
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


def sanity_check(
    engine: Engine, source: Path, *, start: float | None = None, end: float | None = None
) -> SanityResult | None:
    """What a network makes of shrunk crops of ``source``; ``None`` where it is too small."""
    scale, mended = engine.upscaler.scale, engine.mended
    seen = RECURRENT_BURST if engine.upscaler.state_channels else 1
    figures: list[tuple[float, float]] = []
    for run in _runs(Footage(source), start or 0.0, end, seen):
        box = _highest_contrast(run[-1], scale)
        if box is None:
            continue
        engine.forget()
        lows = [crop if scale == 1 else shrunk(crop, scale) for crop in (box(one) for one in run)]
        made = [engine.follow(low[None])[0].clamp(0, 1) for low in lows][-1]
        high = box(run[-1])
        figures.append((psnr(made, high), psnr(enlarged(lows[-1], scale), high)))
    if not figures:
        return None
    means = [sum(column) / len(figures) for column in zip(*figures, strict=True)]
    return SanityResult(
        engine.upscaler.name, len(figures), means[0], means[1], engine.mended - mended
    )


def _runs(footage: Footage, start: float, end: float | None, length: int) -> Iterator[list[Tensor]]:
    """RGB of so many frames in a row, from the middle of each of a few equal parts.

    Pictures, and videos that do not tell how long they are, give single ones.
    """
    info = footage.info
    if info is None or info.duration_seconds is None:
        for frame in islice(iter(footage), PLACES):
            yield [frame.rgb()]
        return
    whole = min(end or info.duration_seconds, info.duration_seconds) - start
    for place in range(PLACES):
        moment = start + whole * (place + 0.5) / PLACES
        begin = footage.first.time + Fraction(moment).limit_denominator(90000)
        run = [frame.rgb() for frame in islice(footage.read(begin), length)]
        if run:
            yield [frame for frame in run if frame.shape == run[-1].shape]


def _highest_contrast(picture: Tensor, scale: int) -> Callable[[Tensor], Tensor] | None:
    """The one of nine crops of (3, h, w) with the greatest contrast, in whole shrunk pixels.

    As a function that cuts it from pictures of that size.
    """
    sides = [min(SIDE, side // scale) * scale for side in picture.shape[-2:]]
    if min(sides) < MIN_CROP_SIDE * scale:
        return None
    height, width = sides
    down, right = picture.shape[-2] - height, picture.shape[-1] - width
    places = [(y, x) for y in (0, down // 2, down) for x in (0, right // 2, right)]

    def cut(one: Tensor, y: int, x: int) -> Tensor:
        return one[:, y : y + height, x : x + width]

    contrasts = torch.stack([cut(picture, y, x).std() for y, x in places])
    y, x = places[int(contrasts.argmax())]
    return lambda one: cut(one, y, x)

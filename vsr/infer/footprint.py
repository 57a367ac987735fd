"""What an engine is asked for, and what a kept pixel depends on: computed once, in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vsr.chroma import DOWN_SUPPORT, chroma_reach
from vsr.color import ColorSpec
from vsr.geometry import Size
from vsr.infer.resample import support
from vsr.models.arch import Upscaler


@dataclass(frozen=True, slots=True)
class Conversion:
    """What is asked for: frames of one size and colour, to planes of another."""

    source: ColorSpec
    """What the source's code values mean, with its matrix resolved."""
    target: ColorSpec
    """What the target's code values mean, with its matrix resolved."""
    low: Size
    """The source's size."""
    high: Size
    """The target's size, which need not be the network's own enlargement."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """How far around a kept pixel its result depends on the source. In source pixels, where a name
    does not say otherwise."""

    halo: int
    """Receptive-field radius of the network."""
    margin: int
    """What resampling and the conversion to planes add to the halo."""
    chroma_reach: int
    """How far a chroma sample affects RGB: a change of chroma shows that much farther than one of
    luma."""
    overlap: int
    """What neighbouring tiles share on each side."""
    exact: bool
    """Whether tiles with this overlap equal the untiled frame; else they are cross-faded."""
    multiple: int
    """Windows begin at multiples of so many pixels."""
    conversion_support_target: int
    """Target pixels around a pixel that the conversion to planes reads."""
    align_target: int
    """Edges of pasted parts lie on multiples of so many target pixels."""

    @property
    def context(self) -> int:
        """How far a change of luma can show: halo and margin together."""
        return self.halo + self.margin


def footprint_of(
    upscaler: Upscaler, conversion: Conversion, overlap: int | None = None
) -> Footprint:
    """The footprint of an upscaler for a conversion. ``overlap`` is in source pixels; by default
    what makes tiles exact, or for networks that look too far, what hides their seams."""
    align = max(conversion.target.multiple)
    context = DOWN_SUPPORT * (align - 1)
    sides = (
        (conversion.low.width, conversion.high.width),
        (conversion.low.height, conversion.high.height),
    )
    margin = max(_margin(low, high, upscaler.scale, context, align) for low, high in sides)
    shared = upscaler.overlap(overlap, margin)
    # Windows begin where the target has whole samples of chroma, too.
    cells = align // math.gcd(align, upscaler.scale)
    return Footprint(
        upscaler.halo,
        margin,
        chroma_reach(max(conversion.source.multiple)),
        shared,
        upscaler.is_exact(shared, margin),
        math.lcm(upscaler.multiple_of, cells),
        context,
        align,
    )


def _margin(low: int, high: int, scale: int, context: int, align: int) -> int:
    """Along one axis, of ``low`` source and ``high`` target pixels."""
    large = low * scale
    if large == high and scale % align == 0:  # edges need not be moved
        return -(-context // scale)
    return math.ceil((support(large, high) + (context + align) * large / high) / scale)

"""The chains of damage, by name. To add a kind: its file, a line here, a test."""

from __future__ import annotations

from dataclasses import replace

from vsr.degrade.base import Degradation
from vsr.degrade.blur import Blur
from vsr.degrade.chains import Interlaced, Oversharpen, SecondOrder
from vsr.degrade.chroma import ChromaSubsample, RangeError
from vsr.degrade.noise import Noise
from vsr.degrade.resize import Rescale, Shrink
from vsr.degrade.video_codec import STREAMS, Jpeg, VideoCodec

CLEAN: tuple[Degradation, ...] = (Shrink(), ChromaSubsample(chance=0.5))
"""Half of what is enlarged came through planes of 4:2:0: video and most JPEG."""
VIDEO: tuple[Degradation, ...] = (
    Blur(chance=0.15),
    Shrink(detour=0.2),
    Noise(chance=0.2),
    Rescale(chance=0.15),
    Jpeg(chance=0.05),
    RangeError(chance=0.03),
    ChromaSubsample(chance=0.2),
    VideoCodec(),
)
"""Pictures as video has them: nearly all through a codec, at any rate that is still watched."""
STREAM: tuple[Degradation, ...] = (
    Shrink(detour=0.1),
    ChromaSubsample(chance=0.5),
    VideoCodec(chance=0.6, qualities=STREAMS, frames=9, margin=0),
)
"""Sequences as players get them: more than half through a codec at a rate that real files have."""
REAL: tuple[Degradation, ...] = (SecondOrder(), VideoCodec(chance=0.7, frames=3))
"""Real-ESRGAN's, and then our video codecs, which see three frames: each must be spoilt twice."""

FOOTAGE: tuple[Degradation, ...] = (
    Blur(chance=0.5, most=3.0),
    Shrink(detour=0.4),
    Oversharpen(),
    Noise(chance=0.5, most=10.0),
    Interlaced(),
    VideoCodec(chance=0.35, qualities=STREAMS, frames=9, margin=0),
    Rescale(chance=0.15),
    ChromaSubsample(chance=0.3),
    VideoCodec(chance=0.85, qualities=STREAMS, frames=9, margin=0),
)
"""Sequences as they come from cameras, tapes and the net: soft, noisy, sharpened, woven of fields,
and through two generations of codecs, between which the size may have changed."""

CHAINS: dict[str, tuple[Degradation, ...]] = {
    "clean": CLEAN,
    "video": VIDEO,
    "real": REAL,
    "stream": STREAM,
    "footage": FOOTAGE,
}


def chain(name: str, scale: int) -> tuple[Degradation, ...]:
    """The chain of that name, ending at 1 / ``scale`` of the size."""
    return tuple(
        replace(kind, scale=scale) if isinstance(kind, Shrink | SecondOrder) else kind
        for kind in CHAINS[name]
    )


DEGRADATIONS = (
    Blur, Shrink, Rescale, Noise, Jpeg, RangeError, ChromaSubsample, SecondOrder,
    VideoCodec, Oversharpen, Interlaced,
)  # fmt: skip

"""What a video is, from its pixels: fields, blocks, noise, grain, bars, and where it may be from.

Every frame is decoded once for its fields; the rest is measured on frames from a few places, whose
times are told, so that they can be looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from vsr.media.condition import Condition, condition_of
from vsr.media.crop import Bars, find_bars
from vsr.media.fields.look import Stretch, stretches_of
from vsr.media.grain import measure
from vsr.media.read.probe import MediaInfo
from vsr.media.read.reader import Reader

Luma = NDArray[np.float32]  # (h, w), 0..255
PLACES, PAIR = 6, 2
SOME = 0.05
"""Share of the frames from which on a kind of them is told."""
BLOCKY = 1.3
FILM_GRAIN = 3.5
"""Code values from which on what has no other sign of its origin may be film."""
FLAT, FLAT_SHARE = 0.5, 0.6
"""A picture was drawn, or is a screen, where so much of it differs by less from its neighbours."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a video is, from its pixels."""

    content: str
    """``progressive``, ``interlaced``, ``telecined``; ``mixed`` where several are common."""
    stretches: tuple[Stretch, ...]
    """The whole video by what its frames are, in order."""
    condition: Condition | None
    """What its codec left of it; ``None`` where too little can be seen."""
    grain: float
    """Standard deviation of film grain, in code values of 8 bits; 0 where none was found."""
    sharpness: float
    """Share of luma's contrast that is fine detail; the median of the frames measured."""
    flat: float
    """Share of pixels alike to their left neighbour, 0..1; the median of the frames measured."""
    bars: Bars
    """Black bars around the picture."""
    origin: str
    """A guess, for people: ``tape``, ``DVD``, ``broadcast``, ``phone``, ``film``, ``web``, or
    ``screen or drawn``."""
    flags: tuple[str, ...]
    """Options that are suggested to ``vsr upscale``, such as ``--clean vhs``; may be empty."""
    looked_at: tuple[float, ...]
    """Seconds from the video's start of the frames that ``sharpness`` and ``flat`` are of."""


def survey(info: MediaInfo) -> Survey:
    """Look at a video. Raises :class:`MediaError` where it cannot be decoded."""
    stretches = stretches_of(info)
    content = _content(stretches)
    pairs = list(_pairs(info))
    lumas = [luma for _, pair in pairs for luma in pair]
    measured = measure(info)
    grain = 0.0 if measured is None else measured.removed
    sharpness = float(np.median([_sharpness(luma) for luma in lumas] or [0.0]))
    flat = float(np.median([_flat(luma) for luma in lumas] or [0.0]))
    condition = condition_of(info.path)
    bars = find_bars(info)
    origin = _origin(info, content, grain, flat)
    return Survey(
        content=content,
        stretches=stretches,
        condition=condition,
        grain=grain,
        sharpness=sharpness,
        flat=flat,
        bars=bars,
        origin=origin,
        flags=_flags(condition, grain, origin, bars),
        looked_at=tuple(round(seconds, 3) for seconds, _ in pairs),
    )


def _content(stretches: Sequence[Stretch]) -> str:
    counts = Counter[str]()
    for stretch in stretches:
        counts[stretch.kind] += stretch.frames
    total = max(1, sum(counts.values()))
    kinds = [kind for kind, count in counts.items() if count >= SOME * total]
    return kinds[0] if len(kinds) == 1 else "mixed" if kinds else "progressive"


def _pairs(info: MediaInfo) -> Iterator[tuple[float, list[Luma]]]:
    """Two frames that follow each other from each of some places, and the seconds of the first."""
    duration = info.duration_seconds or 0.0
    for place in range(PLACES if duration > 1 else 1):
        start = info.start_seconds + duration * (place + 0.5) / PLACES if duration > 1 else None
        first = None if start is None else round(start / float(info.time_base))
        frames = Reader(info, clip_frames=PAIR, first=first)
        for clip in islice(frames, 1):
            scale = 1.0 / (1 << max(0, clip.color.depth - 8))
            plane = clip.planes[1 if clip.color.layout == "rgb" else 0]
            lumas = [luma.numpy().astype(np.float32) * np.float32(scale) for luma in plane]
            yield float(clip.pts[0] * clip.time_base) - info.start_seconds, lumas


def _sharpness(luma: Luma) -> float:
    laplacian = np.asarray(cv2.Laplacian(luma, cv2.CV_32F, ksize=1))
    return float(laplacian.var() / (luma.var() + 1))


def _flat(luma: Luma) -> float:
    steps = np.abs(np.diff(luma, axis=1))
    return float((steps < FLAT).mean())


def _origin(info: MediaInfo, content: str, grain: float, flat: float) -> str:
    """Where it may be from: a guess by format first, then by looks."""
    keys = " ".join([*info.metadata, *info.metadata.values()]).lower()
    standard = info.size.height in (480, 486, 576) and info.size.width in (704, 720)
    fields = content != "progressive" or info.flagged_interlaced
    if info.codec == "dvvideo" or (standard and fields and info.codec != "mpeg2video"):
        return "tape"
    if info.codec == "mpeg2video" and standard and "mpegts" not in info.container:
        return "DVD"
    if "mpegts" in info.container or (fields and info.size.height >= 720):
        return "broadcast"
    if any(word in keys for word in ("android", "quicktime.make", "apple", "iphone")):
        return "phone"
    if flat > FLAT_SHARE and not grain:
        return "screen or drawn"
    return "film" if grain > FILM_GRAIN else "web"


def _flags(condition: Condition | None, grain: float, origin: str, bars: Bars) -> tuple[str, ...]:
    """What differs from doing nothing; fields are found by themselves."""
    blocky = condition is not None and condition.blockiness > BLOCKY
    crop = ("--crop auto",) if bars else ()
    if origin == "tape" and grain:
        return (*crop, "--clean vhs")
    if origin == "DVD" and blocky:
        return (*crop, "--clean dvd")
    if blocky:
        return (*crop, "--clean web")
    return (*crop, "--grain auto") if grain else crop

"""The table of codecs that vsr writes: encoders, their options, containers and limits."""

from __future__ import annotations

from dataclasses import dataclass

from vsr.geometry import Size
from vsr.system import processors

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}


@dataclass(frozen=True, slots=True)
class Codec:
    """An encoder of FFmpeg: the names of its options, and its limits."""

    encoder: str
    """FFmpeg's name of it."""
    quality: tuple[str, str] | None
    """Name and default of its option for ``--crf``; ``None``: it has none."""
    speed: tuple[str, str] | None
    """Name and default of its option for ``--preset``; ``None``: it has none."""
    containers: tuple[str, ...]
    """Containers that can hold it, by FFmpeg's names of their muxers."""
    alpha: bool = False
    """Whether it keeps transparency."""
    segment: str = "nut"
    """Container that segments are kept in. NUT keeps any time base exactly, but not every codec."""
    aspect: bool = True
    """Whether its bitstream can say the sample aspect ratio."""
    full_range: bool = True
    """Whether its bitstream can say that code values have the full range."""
    hdr10: bool = False
    """Whether it is told of HDR10's mastering display and light levels."""
    max_side: int = 16384
    """Pixels of a frame's longer side, at most."""
    most_quality: int = 51
    """Largest value of the ``quality`` option, which goes from 0."""
    speeds: tuple[str, ...] = ()
    """Values that the ``speed`` option takes; empty: they are not checked."""
    fixed: tuple[tuple[str, str], ...] = ()
    """Names and values of options that are always set."""


_X26 = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow",
    "placebo",
)  # fmt: skip
_SVT = tuple(map(str, range(-2, 14)))
_P = tuple(f"p{number}" for number in range(1, 8))
_NVENC = (("rc", "vbr"), ("b:v", "0"))
_COMMON = ("mp4", "mov", "matroska")
CODECS: dict[str, Codec] = {
    "h264": Codec("libx264", ("crf", "17"), ("preset", "medium"), _COMMON, speeds=_X26),
    "hevc": Codec("libx265", ("crf", "19"), ("preset", "medium"), _COMMON, hdr10=True, speeds=_X26),
    "av1": Codec(
        "libsvtav1",
        ("crf", "24"),
        ("preset", "8"),
        ("mp4", "matroska", "webm"),
        aspect=False,
        hdr10=True,
        most_quality=63,
        speeds=_SVT,
    ),
    "prores": Codec(
        "prores_ks",
        None,
        None,
        ("mov", "matroska"),
        alpha=True,
        segment="mov",
        full_range=False,
    ),
    "ffv1": Codec(
        "ffv1",
        None,
        None,
        ("matroska", "mp4"),
        alpha=True,
        aspect=False,
        fixed=(("level", "3"), ("slices", "4")),
    ),
    "h264_nvenc": Codec(
        "h264_nvenc",
        ("cq", "19"),
        ("preset", "p5"),
        _COMMON,
        max_side=4096,
        fixed=_NVENC,
        speeds=_P,
    ),
    "hevc_nvenc": Codec(
        "hevc_nvenc",
        ("cq", "21"),
        ("preset", "p5"),
        _COMMON,
        max_side=8192,
        fixed=_NVENC,
        speeds=_P,
    ),
    "av1_nvenc": Codec(
        "av1_nvenc",
        ("cq", "26"),
        ("preset", "p5"),
        ("mp4", "matroska", "webm"),
        aspect=False,
        max_side=8192,
        fixed=_NVENC,
        most_quality=63,
        speeds=_P,
    ),
}

SPEEDS: dict[str, dict[str, float]] = {
    "h264": {"medium": 23.0, "veryfast": 37.0, "ultrafast": 118.0},
    "hevc": {"medium": 10.0, "ultrafast": 35.0},
    "av1": {"8": 53.0, "10": 75.0, "12": 96.0},
}
"""Megapixels a second of one core by codec and preset: see docs/benchmarks.md."""

_NARROW = 64  # pixels
_HUGE = 1 << 24  # pixels; between 5K and 8K


def x265_limits(size: Size) -> list[str]:
    """What x265 must not do at a size. A user's own ``x265-params`` come behind, and win.

    Its lookahead (4.2) writes past its rows in 10 bit, 36 to 48 px wide: a crash. And each frame
    that it keeps takes 100 MB at 7680x4320, each B-frame half a gigabyte.
    """
    narrow = ["cutree=0"] if size.width < _NARROW else []
    return narrow + (["bframes=0", "rc-lookahead=5"] if size.pixels > _HUGE else [])


def encoder_threads(encoder: str) -> int | None:
    """What the encoder would choose for this machine; ``None`` where it makes no difference.

    Said aloud, it becomes part of the plan: a segment has to be the same wherever it is made.
    """
    count = processors()
    if encoder == "libx264":
        return min(128, max(1, count * 3 // 2))
    if encoder == "libx265":
        return next(n for least, n in ((32, 6), (16, 5), (8, 3), (4, 2), (0, 1)) if count >= least)
    return None

"""What a comparison can be told: frozen values, checked when made. Free of torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from vsr.errors import OptionsError
from vsr.geometry import Box
from vsr.metrics.catalog import COLUMNS
from vsr.options import EngineOptions
from vsr.restoration import parse_clean

Align = Literal["time", "overlap", "number", "shift"]
COMMON = Box(0, 0, 1 << 30, 1 << 30)
"""A crop that means: the part from the top left corner that all of them have."""


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """Everything that ``vsr compare`` can be told; see ``docs/guide/judging.md``."""

    align: Align = "time"
    """Pairs frames by presentation time, all or an error (``time``), those that all have
    (``overlap``), by their number (``number``), or by number after a constant shift was taken out
    (``shift``)."""
    crop: Box | None = None
    """The part that is compared alone, in pixels of the upright pictures compared, which of models
    are target pixels. :data:`COMMON`: what all have; ``None``: whole pictures."""
    border: int = 4
    """Pixels along its edges that PSNR, SSIM and MS-SSIM leave out."""
    metrics: tuple[str, ...] = ()
    """Names of columns; empty: all that can be had."""
    frames: int | None = None
    """How many to look at, spread over the film in short runs; ``None``: all, or of models on a
    video a few dozen."""
    start: float | None = None
    """Seconds from the first frame to begin at; ``None``: the first frame."""
    end: float | None = None
    """Seconds from the first frame to end at; ``None``: the last frame."""
    vgg: str = "none"
    """The network of the perceptual distance: a file of VGG19, ``auto`` to download it, or
    ``none``."""
    vmaf: bool | None = None
    """Whether VMAF is measured; ``None``: where there is an ffmpeg for it."""
    shown: int = 0
    """How many frames to keep for a report, at most."""
    shrink: bool = False
    """For models: the input is the reference, and they get it shrunk."""
    crf: float | None = None
    """Quality of x264, 0..51, that the shrunk input is compressed with; ``None``: it is not."""
    clean: str = "off"
    """For models: shows each once more, on the input cleaned so, as
    :func:`vsr.restoration.parse_clean` reads it; ``off``: not."""
    device: str = "auto"
    """Where models run, as :class:`~vsr.options.EngineOptions` has it."""
    dtype: str = "auto"
    """The type that models run in, as :class:`~vsr.options.EngineOptions` has it."""

    def __post_init__(self) -> None:
        if self.align not in get_args(Align):
            raise OptionsError(
                f"there is no alignment {self.align!r}", hint=f"one of {', '.join(get_args(Align))}"
            )
        unknown = [name for name in self.metrics if name not in COLUMNS]
        if unknown:
            raise OptionsError(
                f"there is no metric {unknown[0]!r}", hint=f"some of {', '.join(COLUMNS)}"
            )
        for name, value, least in (("border", self.border, 0), ("frames", self.frames, 1)):
            if value is not None and value < least:
                raise OptionsError(f"{name} must be at least {least}, got {value}")
        for name, value in (("start", self.start), ("end", self.end)):
            if value is not None and not 0 <= value < float("inf"):
                raise OptionsError(f"{name} must not be negative, got {value:g}")
        if self.end is not None and self.end <= (self.start or 0):
            raise OptionsError(
                f"end ({self.end:g} s) must come after start ({self.start or 0:g} s)"
            )
        if self.crf is not None and not self.shrink:
            raise OptionsError("--crf is for the shrunk input", hint="give --shrink too")
        if self.crf is not None and not 0 <= self.crf <= 51:
            raise OptionsError(f"crf must be from 0 to 51, got {self.crf:g}")
        parse_clean(self.clean)
        if "perceptual" in self.metrics and self.vgg == "none":
            raise OptionsError(
                "the perceptual distance needs a network",
                hint="--vgg PATH, or --vgg auto to download VGG19 (550 MB) once",
            )
        _ = self.engine  # checks what it shares with the engine's

    @property
    def engine(self) -> EngineOptions:
        """The part that the engine needs."""
        return EngineOptions(self.device, self.dtype)  # pyright: ignore[reportArgumentType]  # checked by it


def parse_crop(text: str) -> Box:
    """ "x,y,w,h" in pixels, or "common"."""
    if text == "common":
        return COMMON
    match = re.fullmatch(r"\s*(\d{1,6})\s*,\s*(\d{1,6})\s*,\s*(\d{1,6})\s*,\s*(\d{1,6})\s*", text)
    if match is None or not (int(match[3]) and int(match[4])):
        raise OptionsError(
            f"not a crop: {text!r}", hint="x,y,width,height, such as 100,50,320,240, or common"
        )
    return Box(int(match[1]), int(match[2]), int(match[3]), int(match[4]))

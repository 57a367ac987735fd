"""What is done to the source's frames around the network: cleaning, cropping, grain."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from vsr.errors import OptionsError
from vsr.geometry import Box

CleanPreset = Literal["vhs", "dvd", "film", "web"]
CLEAN_STRENGTH = 0.5


@dataclass(frozen=True, slots=True)
class Clean:
    """What is taken out of the source's frames before the network sees them."""

    preset: CleanPreset
    """The kind of source, which tells what dirt to expect."""
    strength: float = CLEAN_STRENGTH
    """From 0 (nothing) to 1."""

    def __post_init__(self) -> None:
        if self.preset not in get_args(CleanPreset):
            raise OptionsError(
                f"there is no clean {self.preset!r}",
                hint=f"one of off, {', '.join(get_args(CleanPreset))}",
            )
        if not 0 <= self.strength <= 1:
            raise OptionsError(f"the strength of clean must be from 0 to 1, got {self.strength:g}")


def parse_clean(text: str) -> Clean | None:
    """ "off", "vhs", or "vhs:0.7" with a strength; ``None`` where nothing is to be cleaned."""
    preset, colon, strength = text.partition(":")
    if text == "off":
        return None
    try:
        amount = float(strength) if colon else CLEAN_STRENGTH
    except ValueError as error:
        raise OptionsError(
            f"clean must be a preset and a strength, got {text!r}", hint="such as --clean vhs:0.7"
        ) from error
    made = Clean(cast(CleanPreset, preset), amount)  # checked by itself
    return made if made.strength else None


def parse_crop(text: str) -> Literal["auto"] | Box | None:
    """ "off" for ``None``, "auto", or "W:H:X:Y" in pixels of the source."""
    if text in ("off", "auto"):
        return None if text == "off" else "auto"
    if (found := re.fullmatch(r"([1-9]\d{0,5}):([1-9]\d{0,5}):(\d{1,6}):(\d{1,6})", text)) is None:
        raise OptionsError(
            f"crop must be auto, off or WIDTH:HEIGHT:LEFT:TOP, got {text!r}",
            hint="such as --crop 720:432:0:72",
        )
    width, height, x, y = map(int, found.groups())
    return Box(x, y, width, height)


MOST_GRAIN = 30.0


def parse_grain(text: str) -> Literal["auto"] | float | None:
    """ "off" for ``None``, "auto", or a standard deviation in code values of 8 bits."""
    if text == "off":
        return None
    if text == "auto":
        return "auto"
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if not 0 <= amount <= MOST_GRAIN:
        raise OptionsError(
            f"grain must be auto, off or a strength from 0 to {MOST_GRAIN:g}, got {text!r}",
            hint="such as --grain 4: code values of 8 bits",
        )
    return amount

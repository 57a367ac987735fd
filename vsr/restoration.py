"""What is taken out of the source's frames before the network sees them: names and strengths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from vsr.errors import OptionsError
from vsr.option_fields import one_of

CleanPreset = Literal["vhs", "dvd", "film", "web"]
CLEAN_STRENGTH = 0.5


@dataclass(frozen=True, slots=True)
class Clean:
    """What is taken out of the source's frames before the network sees them, 0 (nothing) to 1."""

    preset: CleanPreset
    strength: float = CLEAN_STRENGTH

    def __post_init__(self) -> None:
        one_of("clean", self.preset, get_args(CleanPreset))
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

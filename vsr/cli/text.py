"""Text in columns of a terminal, and figures of speed."""

from __future__ import annotations

import unicodedata


def columns(text: str) -> int:
    """How many columns of a terminal a text takes (Unicode's report 11); marks take none."""
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def padded(text: str, width: int) -> str:
    """A text with as many spaces as it lacks columns."""
    return text + " " * max(0, width - columns(text))


def pace(frames: int, seconds: float) -> str:
    """ "12.3 frames a second", or "4.2 s a frame" where it is less than one."""
    if not frames or seconds <= 0:
        return "0 frames a second"
    if frames < seconds:
        return f"{seconds / frames:.1f} s a frame"
    return f"{frames / seconds:.1f} frames a second"

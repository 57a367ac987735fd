"""Events as lines of JSON on stdout, for other programs. What is in a line is not decided here."""

from __future__ import annotations

import json
import os
import sys
import unicodedata

from vsr.errors import Stopped, VsrError
from vsr.event_rows import Progress, as_row
from vsr.events import Event, Failed


class Lines:
    """One line an event, flushed at once. A reader that goes away does not end the run."""

    def __init__(self) -> None:
        self._open = True

    def tell(self, event: Event, progress: Progress) -> None:
        """Write one event."""
        if not self._open:
            return
        try:
            sys.stdout.write(json.dumps(as_row(event, progress)) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            self._open = False
            # Python flushes once more when it exits, and would fail there.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def failure(error: BaseException | None) -> Failed | None:
    """What ended a run, as its last event; ``None`` for a bug, which keeps its traceback."""
    if isinstance(error, VsrError):
        return Failed(error.message, error.hint, error.exit_code)
    if isinstance(error, Stopped):
        return Failed(error.message, "the same command goes on", error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        return Failed("interrupted", "give the same command again to go on", 130)
    return None


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

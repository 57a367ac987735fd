"""Standard output and error that break no run: whoever listened may go, and a disk may be full."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import Any, TextIO, cast


class _Kept:
    """A text stream whose failures end in silence: what follows one goes nowhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As a text stream's. All of the text counts as written."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            self._silence()
            return len(text)

    def flush(self) -> None:
        """As a text stream's."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._silence()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _silence(self) -> None:
        """Lead what is buffered, and all that follows, to where it cannot fail."""
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        except (OSError, ValueError):  # it is closed, or not of the system
            self._stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # until the end


def keep_streams() -> None:
    """Have standard output and error never raise for the rest of the process.

    What their encoding has no letter for, such as cp1252 of a Windows pipe for most names of the
    world, is written as its number.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = (cast("TextIO", _Kept(s)) for s in (sys.stdout, sys.stderr))

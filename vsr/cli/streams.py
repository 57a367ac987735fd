"""Standard output and error that break no run, and through which no file commands a terminal.

Whoever listened may go, and a disk may be full. What a name or a title holds beyond letters is
written as its number.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from io import TextIOWrapper
from typing import Any, TextIO, cast

# Controls of ISO 6429 but for tab and line feed, and the signs by which Unicode turns directions
# (UAX 9) or breaks lines: they move the cursor, set colours and titles, hide and reorder text.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with each control as its number, as ``\\u001b``; tabs and line feeds stay."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: object) -> str:
    """What a file says of itself, such as its name: printable, and no lines of its own."""
    return printable(str(text)).replace("\n", "\\u000a").replace("\t", "\\u0009")


class _Kept:
    """A text stream whose failures end in silence: what follows one goes nowhere.

    ``unfiltered`` is the same stream for what moves the cursor on purpose.
    """

    def __init__(self, stream: TextIO, *, filtered: bool = True) -> None:
        self._stream, self._filtered = stream, filtered
        self.unfiltered = _Kept(stream, filtered=False) if filtered else self

    def write(self, text: str) -> int:
        """As a text stream's. All of the text counts as written."""
        try:
            self._stream.write(printable(text) if self._filtered else text)
        except (OSError, ValueError):
            self._silence()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """As a text stream's."""
        for line in lines:
            self.write(line)

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
            self._stream = _nowhere()


def bar_stream() -> TextIO:
    """Standard error for progress bars, which move the cursor; names in them are `one_line`."""
    return getattr(sys.stderr, "unfiltered", sys.stderr)


def keep_streams() -> None:
    """Have standard output and error never raise, and filter them, for the rest of the process.

    What their encoding has no letter for, such as cp1252 of a Windows pipe for most names of the
    world, is written as its number. To be called before anything is opened: what was closed, as by
    ``>&-``, leads nowhere, or the next file would be opened as standard output.
    """
    _open_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = (
        cast("TextIO", _Kept(stream or _nowhere())) for stream in (sys.stdout, sys.stderr)
    )


def _open_closed() -> None:
    """Have all of the descriptors 0, 1 and 2 be open, here and in processes started from here."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # until the end

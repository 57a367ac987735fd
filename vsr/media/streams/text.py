"""Convert text subtitles from one codec to another: their texts and times."""

from __future__ import annotations

import html
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Line:
    """A text that is on the screen for a while."""

    start: int
    """When it appears, in a unit that the caller chooses."""
    end: int
    """When it disappears, in the same unit."""
    text: str
    """Plain text, whose lines are parted by newlines."""


def merged(lines: Iterable[Line]) -> list[Line]:
    """Lines one after the other: where several are shown at once, one with all of them.

    MP4's text tracks (3GPP TS 26.245) show one sample at a time. In the order they begin.
    """
    ordered = sorted(lines, key=lambda line: line.start)
    edges = sorted({edge for line in ordered for edge in (line.start, line.end)})
    result: list[Line] = []
    first = 0
    for start, end in pairwise(edges):
        while first < len(ordered) and ordered[first].end <= start:
            first += 1
        shown: list[str] = []
        for line in ordered[first:]:
            if line.start > start:
                break
            if line.end > start:
                shown.append(line.text)
        text = "\n".join(shown)
        if result and text and result[-1].end == start and result[-1].text == text:
            result[-1] = Line(result[-1].start, end, text)
        elif text:
            result.append(Line(start, end, text))
    return result


def encoded(text: str, codec: str) -> bytes:
    """A text as a packet's payload."""
    if codec == "webvtt":  # where < begins a tag, and & an escape (W3C WebVTT, 4.2.2)
        return html.escape(text, quote=False).encode()
    data = text.encode()
    return struct.pack(">H", len(data[:65535])) + data[:65535] if codec == "mov_text" else data


def plain_text(data: bytes, codec: str) -> str:
    """What a text subtitle's packet shows, without its codec's markup."""
    if codec == "mov_text":
        length = struct.unpack(">H", data[:2])[0] if len(data) >= 2 else 0
        return data[2 : 2 + length].decode("utf-8", "replace")
    text = data.decode("utf-8", "replace")
    if codec == "webvtt":
        return html.unescape(re.sub(r"<[^>]*>", "", text)).strip("\r\n")
    if codec in ("ass", "ssa"):  # ReadOrder,Layer,Style,Name,MarginL,MarginR,MarginV,Effect,Text
        text = text.split(",", 8)[-1]
        text = re.sub(r"\{[^}]*\\p[1-9][^}]*\}.*?(\{[^}]*\\p0[^}]*\}|$)", "", text)  # drawings
        text = re.sub(r"\{[^}]*\}", "", text).replace(r"\N", "\n").replace(r"\n", "\n")
        return text.replace(r"\h", " ")
    text = re.sub(r"\{\\[^}]*\}", "", text)  # SubRip borrows ASS's overrides, such as {\an8}
    return re.sub(r"</?[a-zA-Z][^>]*>", "", text).strip("\r\n")

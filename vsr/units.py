"""Amounts of bytes, times and sizes, as people read them and as they write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from vsr.errors import OptionsError
from vsr.geometry import Size


def amount(count: int) -> str:
    """ "1.2 GB", in powers of 1000 as disks are sold.

    Example:

        >>> amount(1_234_000_000)
        '1.23 GB'
    """
    size, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size /= 1000
        del units[0]
    return f"{size:.3g} {units[0]}"


def binary(count: int) -> str:
    """ "512MB", in powers of 1024 as memory is asked for: what :func:`parse_bytes` reads."""
    size, units = float(count), ["", "KB", "MB", "GB", "TB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        del units[0]
    return f"{size:.4g}{units[0] or ' bytes'}"


def clock(seconds: float) -> str:
    """ "4.2 s", "12:05 min" or "3:04:05 h".

    Example:

        >>> clock(725.0)
        '12:05 min'
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02} min"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02} h"


def parse_bytes(text: str) -> int:
    """ "4GB", "512 MiB", "2.5g" or plain bytes, in powers of 1024.

    Example:

        >>> parse_bytes("512 MiB")
        536870912
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", text.lower())
    if match is None:
        raise OptionsError(f"not an amount of memory: {text!r}", hint="such as 4GB or 512MB")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


def parse_seconds(text: str) -> float:
    """Seconds ("83.5") or a clock time ("1:23.5", "0:01:23.500").

    Example:

        >>> parse_seconds("1:23.5")
        83.5
    """
    match = re.fullmatch(r"\s*(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d*)?)\s*", text)
    if match is None:
        raise OptionsError(f"not a time: {text!r}", hint="seconds, or h:mm:ss.mmm")
    return int(match[1] or 0) * 3600 + int(match[2] or 0) * 60 + float(match[3])


def parse_size(text: str) -> Size:
    """ "1920x1080".

    Example:

        >>> parse_size("1920x1080")
        Size(width=1920, height=1080)
    """
    match = re.fullmatch(r"\s*(\d{1,6})\s*[xX]\s*(\d{1,6})\s*", text)
    if match is None:
        raise OptionsError(f"not a size: {text!r}", hint="width x height, such as 1920x1080")
    return Size(int(match[1]), int(match[2]))


def auto_or_number(name: str) -> Callable[[str], int | None]:
    """Reads "auto", which is ``None``, or a whole number; ``name`` is for the error."""

    def parse(text: str) -> int | None:
        if text == "auto":
            return None
        try:
            return int(text)
        except ValueError as error:
            raise OptionsError(f"{name} must be auto or a whole number, got {text!r}") from error

    return parse


def pairs(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """ "k=v" texts as pairs."""
    split = [text.partition("=") for text in texts]
    for key, equals, value in split:
        if not (key and equals):
            raise OptionsError(
                f"an encoder option is written key=value, got {key + equals + value!r}"
            )
    return tuple((key, value) for key, _, value in split)

"""Amounts of bytes and of time as people read them. It parses none: that is for the options."""

from __future__ import annotations


def amount(count: int) -> str:
    """ "1.2 GB", in powers of 1000 as disks are sold."""
    size, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size /= 1000
        del units[0]
    return f"{size:.3g} {units[0]}"


def clock(seconds: float) -> str:
    """ "4.2 s", "12:05 min" or "3:04:05 h"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02} min"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02} h"

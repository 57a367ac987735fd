"""Reports as tables of plain text. They are returned, not printed."""

from __future__ import annotations

import os
from pathlib import Path

from vsr.events import BatchReport, Outcome

STATES = ("finished", "skipped", "failed", "left")


def batch_table(report: BatchReport) -> str:
    """A line for each file of a batch, and one for all of them."""
    common = _common([outcome.source.parent for outcome in report.outcomes])
    rows = [
        (outcome.state, os.path.relpath(outcome.source, common), _said(outcome))
        for outcome in report.outcomes
    ]
    width = max((len(name) for _, name, _ in rows), default=0)
    lines = [f"{state:8}  {name:{min(width, 60)}}  {said}" for state, name, said in rows]
    counts = [f"{report.count(state)} {state}" for state in STATES if report.count(state)]
    if report.others:
        counts.append(f"{report.others} other files left alone")
    lines.append(f"{', '.join(counts) or 'nothing done'}, in {clock(report.seconds)}")
    return "\n".join(lines)


def clock(seconds: float) -> str:
    """ "4.2 s", "12:05 min" or "3:04:05 h"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02} min"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02} h"


def _common(folders: list[Path]) -> Path:
    """The deepest folder that all lie in: what is above it need not be repeated."""
    return Path(os.path.commonpath([folder.absolute() for folder in folders] or ["."]))


def _said(outcome: Outcome) -> str:
    if outcome.state != "finished":
        return outcome.message
    return f"{outcome.frames} frames, {clock(outcome.seconds)}, {outcome.bytes / 1e6:.1f} MB"

"""What ``vsr compare`` prints: a table on stdout, notes and where files went on stderr."""

from __future__ import annotations

import sys

from vsr.cli.streams import one_line
from vsr.evaluation.result import Comparison
from vsr.metrics.catalog import COLUMNS
from vsr.report.data import table, verdict
from vsr.report.front import ReportTargets


def show_comparison(comparison: Comparison, targets: ReportTargets, *, quiet: bool) -> None:
    """The table, one sentence, what to know, and what was written."""
    rows = [[one_line(cell) for cell in row] for row in table(comparison)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        # A star stands behind its number, so that the digits stay below each other.
        right = [_aligned(cell, width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        print("  ".join([*left, *right]).rstrip())
    said = verdict(comparison)
    if said:
        print(one_line(said))
    if quiet:
        return
    for track in comparison.tracks:
        summary = track.summary("psnr")
        if summary is not None and summary.worst < summary.mean:
            place = comparison.names[summary.frame] if comparison.names else ""
            when = place or f"{comparison.times[summary.frame]:.2f} s"
            _say(f"worst frame of {track.name} by {COLUMNS['psnr'].title}: {when}")
    for note in comparison.notes:
        _say(f"note: {note}")
    _say(
        f"{comparison.frames} frames of {comparison.size} in {comparison.seconds:.1f} s"
        + ("" if "perceptual" in comparison.metrics else "; --vgg adds a perceptual distance")
    )
    for path in targets.paths:
        _say(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")


def _aligned(cell: str, width: int) -> str:
    return cell.rjust(width + 1) if cell.endswith("*") else f"{cell} ".rjust(width + 1)


def _say(text: str) -> None:
    print(one_line(text), file=sys.stderr)

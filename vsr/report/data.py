"""Convert a comparison to JSON, to CSV, and to the rows of a table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from vsr.evaluation.result import Comparison, Track
from vsr.metrics.catalog import COLUMNS
from vsr.version import __version__


def to_json(comparison: Comparison) -> dict[str, object]:
    """Returns all but the pictures as JSON; values that could not be measured are ``null``."""
    names = comparison.metrics
    reference = comparison.reference
    return {
        "vsr": __version__,
        "reference": None if reference is None else reference.name,
        "size": str(comparison.size),
        "frames": comparison.frames,
        "seconds": round(comparison.seconds, 3),
        "settings": dict(comparison.settings),
        "notes": list(comparison.notes),
        "metrics": {
            name: {"title": c.title, "unit": c.unit, "best": c.best, "about": c.about}
            for name in names
            for c in (COLUMNS[name],)
        },
        "best": {name: best for name in names if (best := comparison.best(name)) is not None},
        "films": [
            {
                "name": track.name,
                "path": track.path,
                "shift_frames": track.shift,
                "seconds_per_frame": track.seconds,
                **_summaries(track, names, comparison),
            }
            for track in comparison.tracks
        ],
        "reference_own": {} if reference is None else _summaries(reference, names, comparison),
        "times": [round(time, 6) for time in comparison.times],
        "names": list(comparison.names),
        "per_frame": {
            track.name: {name: _known(track.values.get(name, ())) for name in names}
            for track in comparison.tracks
        },
    }


def to_csv(comparison: Comparison) -> str:
    """Returns CSV with a line for each frame of each film; unmeasured cells are empty."""
    names = comparison.metrics
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["film", "frame", "seconds", "picture", *names])
    for track in comparison.tracks:
        film = _inert(track.name)
        for place, time in enumerate(comparison.times):
            numbers = [_cell(track.values.get(name, ()), place) for name in names]
            picture = _inert(comparison.names[place]) if comparison.names else ""
            writer.writerow([film, place, f"{time:.6f}", picture, *numbers])
    return text.getvalue()


def table(comparison: Comparison) -> list[list[str]]:
    """A header, then for each film a row of means and one of the worst, and the reference's own.

    The best film by a metric has a star behind its mean.
    """
    names = comparison.metrics
    timed = any(track.seconds is not None for track in comparison.tracks)
    rows = [["film", "", *map(heading, names), *(["s/frame"] if timed else [])]]
    best = {name: comparison.best(name) for name in names}
    for track in comparison.tracks:
        means, worsts = [track.name, "mean"], ["", "worst"]
        for name in names:
            found, digits = track.summary(name), COLUMNS[name].digits
            star = "*" if best[name] == track.name else ""
            means.append("-" if found is None else f"{found.mean:.{digits}f}{star}")
            worsts.append("-" if found is None else f"{found.worst:.{digits}f}")
        if timed:
            means.append("-" if track.seconds is None else f"{track.seconds:.3f}")
            worsts.append("")
        rows.append(means)
        if comparison.frames > 1:
            rows.append(worsts)
    if comparison.reference is not None:
        own = [comparison.reference.summary(name) for name in names]
        cells = [
            "-" if s is None else f"{s.mean:.{COLUMNS[name].digits}f}"
            for s, name in zip(own, names, strict=True)
        ]
        if any(s is not None for s in own):
            rows.append([comparison.reference.name, "itself", *cells, *([""] if timed else [])])
    return rows


def heading(name: str) -> str:
    """A metric's title with its unit."""
    column = COLUMNS[name]
    return f"{column.title}, {column.unit}" if column.unit else column.title


def verdict(comparison: Comparison) -> str:
    """One sentence on which film is best by what; empty where there is nothing to choose."""
    by: dict[str, list[str]] = {}
    for name in comparison.metrics:
        best = comparison.best(name)
        if best is not None:
            by.setdefault(best, []).append(COLUMNS[name].title)
    if not by or comparison.reference is None:
        return ""
    parts = [f"{film} by {', '.join(titles)}" for film, titles in by.items()]
    return "closest to the reference: " + "; ".join(parts)


def _summaries(track: Track, names: Sequence[str], comparison: Comparison) -> dict[str, object]:
    found = {name: s for name in names if (s := track.summary(name)) is not None}
    return {
        "mean": {name: s.mean for name, s in found.items()},
        "worst": {
            name: {"value": s.worst, "frame": s.frame, "seconds": comparison.times[s.frame]}
            for name, s in found.items()
        },
    }


def _inert(name: str) -> str:
    """A name that no spreadsheet takes for a formula, and no reader for several lines.

    After https://owasp.org/www-community/attacks/CSV_Injection.
    """
    name = name.replace("\r", "\\r").replace("\n", "\\n")
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t")) else name


def _known(values: Sequence[float]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values]


def _cell(values: Sequence[float], place: int) -> str:
    if not values or math.isnan(values[place]):
        return ""
    return f"{values[place]:.6f}"

"""Write a comparison as one HTML file that opens offline, with its data and pictures inside."""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Sequence
from importlib import resources

import cv2

from vsr.errors import OptionsError
from vsr.evaluation.result import Comparison, Shown, Track
from vsr.evaluation.session import decoded
from vsr.metrics.catalog import COLUMNS
from vsr.report.data import table, verdict
from vsr.version import __version__

PICTURE_BUDGET = 40 << 20
"""Bytes of lossless pictures above which they become JPEG, so that browsers open the page."""
POINTS = 1200
"""Points of a plot at most; of more frames, each point shows the worst of its group."""
_JPEG = [
    cv2.IMWRITE_JPEG_QUALITY, 95,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]  # fmt: skip


def to_html(comparison: Comparison) -> str:
    """Returns the page. Raises :class:`OptionsError` where the comparison kept no frames."""
    if not comparison.shown:
        raise OptionsError("no frame was kept for the report")
    lossy = sum(len(p) for s in comparison.shown for p in s.pictures) > PICTURE_BUDGET
    settings = {
        **comparison.settings,
        "pictures here": "JPEG, quality 95, 4:4:4" if lossy else "PNG, lossless",
        "took": f"{comparison.seconds:.1f} s",
        "made by": f"vsr {__version__}",
    }
    said = verdict(comparison)
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in comparison.notes)
    parts = {
        "title": html.escape(_title(comparison)),
        "subtitle": html.escape(_subtitle(comparison)),
        "verdict": f'<p class="verdict">{html.escape(said[:1].upper() + said[1:])}.</p>'
        if said
        else "",
        "table": _table(comparison),
        "notes": f"<ul>{notes}</ul>" if notes else "",
        "settings": "".join(
            f"<dt>{html.escape(key)}</dt><dd>{html.escape(value)}</dd>"
            for key, value in settings.items()
        ),
        "css": _own("page.css"),
        "script": _own("page.js"),
        # "</script>" in a file's name would end the element.
        "data": json.dumps(_data(comparison, lossy), allow_nan=False).replace("<", "\\u003c"),
    }
    page = _own("page.html")
    pieces = page.split("{{")
    return pieces[0] + "".join(
        parts[name] + rest for name, rest in (piece.split("}}", 1) for piece in pieces[1:])
    )


def _own(name: str) -> str:
    return resources.files("vsr.report").joinpath(name).read_text(encoding="utf-8")


def _title(comparison: Comparison) -> str:
    names = [track.name for track in comparison.tracks]
    source = comparison.settings.get("input")
    on = "" if source is None else f" on {source}"
    against = on if comparison.reference is None else f" against {comparison.reference.name}"
    return ", ".join(names) + against


def _subtitle(comparison: Comparison) -> str:
    count = comparison.frames
    return f"{count} frame{'s' if count != 1 else ''} of {comparison.size}"


def _table(comparison: Comparison) -> str:
    header, *rows = table(comparison)
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
    body: list[str] = []
    for row in rows:
        cells = "".join(
            f'<td class="best">{html.escape(cell[:-1])}</td>'
            if place > 1 and cell.endswith("*")
            else f"<td>{html.escape(cell)}</td>"
            for place, cell in enumerate(row)
        )
        body.append(f'<tr class="{row[1]}">{cells}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _data(comparison: Comparison, lossy: bool) -> dict[str, object]:
    metrics = comparison.metrics
    first = 0 if comparison.reference is None else 1
    films = {first + place: track for place, track in enumerate(comparison.tracks)}
    best = next((b for m in metrics if (b := comparison.best(m)) is not None), None)
    return {
        "films": list(comparison.films),
        "reference": bool(first),
        "best": -1 if best is None else comparison.films.index(best, first),
        "metrics": [
            {"name": m, "title": c.title, "unit": c.unit, "digits": c.digits, "about": c.about}
            for m in metrics
            for c in (COLUMNS[m],)
        ],
        "frames": [_frame(comparison, shown, films, lossy) for shown in comparison.shown],
        "plot": _plot(comparison, films),
    }


def _frame(
    comparison: Comparison, shown: Shown, films: dict[int, Track], lossy: bool
) -> dict[str, object]:
    place = shown.place
    height, width = decoded(shown.pictures[0]).shape[:2]
    worst = [
        f"{COLUMNS[metric].title} {min(found):.{COLUMNS[metric].digits}f}"
        for metric in ("psnr", "psnr_rgb", "ssim")
        if (found := [v for t in films.values() if not math.isnan(v := _at(t, metric, place))])
    ]
    name = comparison.names[place] if comparison.names else ""
    return {
        "label": name or f"{comparison.times[place]:.2f} s",
        "score": worst[0] if worst else "",
        "time": comparison.times[place],
        "width": width,
        "height": height,
        "pictures": [_address(picture, lossy) for picture in shown.pictures],
        "values": {
            film: {
                metric: value
                for metric in comparison.metrics
                if not math.isnan(value := _at(track, metric, place))
            }
            for film, track in films.items()
        },
    }


def _at(track: Track, metric: str, place: int) -> float:
    values = track.values.get(metric, ())
    return values[place] if place < len(values) else math.nan


def _address(picture: bytes, lossy: bool) -> str:
    kind = "png"
    if lossy:
        stored, data = cv2.imencode(".jpg", decoded(picture)[..., ::-1], _JPEG)
        assert stored, "what is a png can be a jpeg"
        picture, kind = data.tobytes(), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def _plot(comparison: Comparison, films: dict[int, Track]) -> dict[str, object]:
    bins = _bins(comparison.frames)
    return {
        "times": [round(comparison.times[part.start], 4) for part in bins],
        "unit": "" if comparison.names else "s",
        "films": list(films),
        "values": {
            film: {
                metric: [_worst(track, metric, part) for part in bins]
                for metric in comparison.metrics
            }
            for film, track in films.items()
        },
    }


def _bins(frames: int) -> list[range]:
    step = -(-frames // POINTS)
    return [range(start, min(start + step, frames)) for start in range(0, frames, step)]


def _worst(track: Track, metric: str, places: Sequence[int]) -> float | None:
    values = [value for p in places if not math.isnan(value := _at(track, metric, p))]
    if not values:
        return None
    low = COLUMNS[metric].best == "low"
    return round(max(values) if low else min(values), 5)

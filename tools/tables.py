"""Figures of the shipped models: measured, kept in ``weights/figures.json``, put into pages.

    python -m tools.tables --media DIR --vgg FILE    # measures what is new, writes the tables
    python -m tools.tables                           # writes the tables from what was measured

DIR holds ``data/bench`` with the test sets and ``media/clips``. FILE is the VGG19 that judges: one
that few of them learnt from. A model is measured again when its weights have changed.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vsr import api
from vsr.errors import OptionsError, VsrError
from vsr.evaluation.scores import Score
from vsr.weights import folder, index

ROOT = Path(__file__).parent.parent
FIGURES = "figures.json"
BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
SETS = ("Set5", "Set14", "BSD100")
RATES: tuple[float | None, ...] = (None, 23, 33)
"""Of x264, for the clips; the first is none at all."""
FRAMES = 6  # of each clip
KEYS = ("psnr", "ssim", "perceptual", "flicker", "sharpness", "blockiness")
OTHERS = {
    "SRResNet of the paper": {"Set5": "32.05", "Set14": "28.49", "BSD100": "27.58"},
    "SRGAN of the paper": {"Set5": "29.40", "Set14": "26.02", "BSD100": "25.16"},
}
"""PSNR as published: their weights are not at hand."""
Row = dict[str, Any]


def measured(
    media: Path, vgg: str, known: Sequence[Row], only: Sequence[str] = ()
) -> Iterator[Row]:
    """The rows of every model, ``only`` of some data; unchanged ones are taken as they are."""
    models = {"bicubic": "", **{name: entry.sha256 for name, entry in index().items()}}
    for name, weights in models.items():
        old = [row for row in known if (row["model"], row["weights"]) == (name, weights)]
        there = {row["data"] for row in old}
        yield from old
        facts = {"model": name, "weights": weights}
        for data in SETS:
            if data not in there and (not only or data in only):
                (score,) = api.evaluate([name], [media / "data" / "bench" / data], vgg=vgg)
                yield {**facts, "data": data, **_means([score])}
        for rate in RATES:
            data = "clips" if rate is None else f"clips, CRF {rate:g}"
            if data not in there and (not only or data in only):
                clips = [media / "media" / "clips"]
                scores = list(api.evaluate([name], clips, vgg=vgg, crf=rate, frames=FRAMES))
                yield {**facts, "data": data, **_means(scores)}


def table_of_sets(rows: Sequence[Row]) -> str:
    """Nearness and looks on the test sets, a line a model."""
    sets = [data for data in SETS if any(row["data"] == data for row in rows)]
    heads = [f"{data}: PSNR / SSIM / perceptual distance / sharpness" for data in sets]
    lines = [f"| model | {' | '.join(heads)} |", "|---" * (1 + len(sets)) + "|"]
    for model in dict.fromkeys(row["model"] for row in rows):
        own = {row["data"]: row for row in rows if row["model"] == model}
        if not set(sets) <= own.keys():
            continue
        cells = [
            f"{row['psnr']:.2f} / {row['ssim']:.3f} / {row['perceptual']:.3f} "
            f"/ {row['sharpness']:.2f}"
            for row in (own[data] for data in sets)
        ]
        lines.append(f"| {model} | {' | '.join(cells)} |")
    for name, figures in OTHERS.items():
        lines.append(f"| {name} | {' | '.join(figures[data] for data in sets)} |")
    return "\n".join(lines)


def table_of_clips(rows: Sequence[Row]) -> str:
    """The same and flicker, sharpness and blocks on the clips, a line a model and rate."""
    lines = [
        "| clips | model | PSNR | perceptual distance | flicker | sharpness | blocks |",
        "|---|---|---|---|---|---|---|",
    ]
    found = [row for row in rows if row["data"].startswith("clips")]
    if not found:
        return ""
    for data in dict.fromkeys(row["data"] for row in found):
        name = "clean" if data == "clips" else data.removeprefix("clips, ")
        lines += [
            f"| {name} | {row['model']} | {row['psnr']:.2f} | {row['perceptual']:.3f} "
            f"| {row['flicker']:+.2f} | {row['sharpness']:.2f} | {row['blockiness']:.2f} |"
            for row in found
            if row["data"] == data
        ]
    return "\n".join(lines)


def put(page: Path, text: str) -> bool:
    """Between a page's marks, whether it has any; at its end where it has none and is a card."""
    before = page.read_text(encoding="utf-8")
    block = f"{BEGIN}\n{text}\n{END}"
    if BEGIN in before:
        after = re.sub(f"{BEGIN}.*?{END}", lambda _: block, before, flags=re.DOTALL)
    elif page.parent == folder():
        after = f"{before.rstrip()}\n\n{block}\n"
    else:
        return False
    page.write_text(after, encoding="utf-8")
    return True


def write(rows: Sequence[Row], page: Path) -> None:
    """Every table into its page: all models into ``page``, each into its card beside bicubic."""
    if not put(page, f"{table_of_sets(rows)}\n\n{table_of_clips(rows)}".strip()):
        raise OptionsError(f"{page} has no place for figures", hint=f"{BEGIN} and {END}")
    for name in index():
        own = [row for row in rows if row["model"] in ("bicubic", name)]
        if any(row["model"] == name for row in own):
            sets = "\n".join(
                line
                for line in table_of_sets(own).splitlines()
                if not line.startswith(tuple(f"| {other}" for other in OTHERS))
            )
            put(folder() / f"{name}.md", f"{sets}\n\n{table_of_clips(own)}".strip())


def _keep(path: Path, rows: Sequence[Row]) -> None:
    lines = ",\n".join(json.dumps(row) for row in rows)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def _means(scores: Sequence[Score]) -> Row:
    found: Row = {}
    for key in KEYS:
        values = [value for score in scores if (value := getattr(score, key)) is not None]
        if values:
            found[key] = round(math.fsum(values) / len(values), 4)
    return found


def main(given: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tools.tables", description=__doc__)
    parser.add_argument("--media", type=Path, help="Folder with data/bench and media/clips.")
    parser.add_argument("--vgg", help="The VGG19 that judges.")
    parser.add_argument("--only", action="append", metavar="DATA", help="Set5, 'clips, CRF 23' …")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "guide" / "models.md")
    options = parser.parse_args(given)
    path = folder() / FIGURES
    try:
        if not options.page.is_file():
            raise OptionsError(f"there is no page {options.page}", hint="check the path")
        known: list[Row] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        if options.media is not None:
            if options.vgg is None:
                raise OptionsError("--media needs --vgg", hint="one that few networks learnt from")
            rows: list[Row] = []
            for row in measured(options.media, options.vgg, known, options.only or ()):
                rows.append(row)
                print(json.dumps(row), flush=True)
                _keep(path, [*rows, *(one for one in known if one not in rows)])
            known = rows
            _keep(path, rows)
        write(known, options.page)
    except VsrError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

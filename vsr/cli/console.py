"""Events as a progress bar on stderr; plans, reports and descriptions as text or JSON on stdout."""

from __future__ import annotations

import json as jsonlib
import logging
import sys
from collections.abc import Iterable
from dataclasses import asdict, fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from vsr.events import Advanced, BackedOff, Comparing, Event, Report, SegmentDone, Started, Warned

if TYPE_CHECKING:
    from vsr.evaluation import Score
    from vsr.media.probe import MediaInfo


class Console:
    """Draws a run's events. A context: the bar is closed when it is left, however it is left."""

    def __init__(self, *, quiet: bool, verbose: bool) -> None:
        self._quiet, self._verbose = quiet, verbose
        self._bar: tqdm[Any] | None = None
        if verbose:
            logging.basicConfig(level=logging.INFO, stream=sys.stderr)

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def say_default(self, model: str) -> None:
        """One line about the model that was chosen for the person."""
        self._say(f"model: {model} (the default; see `vsr models list`)")

    def on_event(self, event: Event) -> None:
        """Show one event."""
        if self._quiet:
            return
        if isinstance(event, Started):
            self._say(f"{event.source.name}: {event.size} to {event.target_size}")
            self._begin(event.frames)
        elif isinstance(event, Comparing):
            against = "" if event.reference is None else f" against {event.reference}"
            self._say(f"{', '.join(event.candidates)}{against}: {event.size}")
            self._begin(event.frames)
        elif isinstance(event, Advanced) and self._bar is not None:
            if event.bottleneck:
                self._bar.set_postfix_str(f"waiting for: {event.bottleneck}", refresh=False)
            self._bar.update(event.frames)
        elif isinstance(event, SegmentDone) and event.resumed and self._bar is not None:
            self._bar.update(event.frames)
            self._say(f"segment {event.index + 1} was finished by an earlier run")
        elif isinstance(event, Warned):
            self._say(f"note: {event.message}")
        elif isinstance(event, BackedOff):
            self._say(
                f"note: {event.reason}: going on with tiles of {event.tile}, "
                f"batch {event.batch}, {event.dtype}"
            )
        elif self._verbose:
            self._say(str(event))

    def _begin(self, frames: int | None) -> None:
        self._bar = tqdm(total=frames, unit=" frames", file=sys.stderr, dynamic_ncols=True)

    def _say(self, text: str) -> None:
        if not self._quiet:
            tqdm.write(text, file=sys.stderr)


def show_report(report: Report, *, json: bool, quiet: bool) -> None:
    """What was done: JSON on stdout, or a few lines on stderr."""
    if json:
        print(as_json(report))
        return
    if quiet:
        return
    rate = report.frames / report.seconds if report.seconds else 0.0
    lines = [
        f"wrote {report.target}",
        f"  {report.frames} frames, {report.size} to {report.target_size}, "
        f"{report.seconds:.1f} s ({rate:.1f} frames a second), {report.bytes / 1e6:.1f} MB",
        f"  {report.model} on {report.device}" + (f", {report.encoder}" if report.encoder else ""),
        "  waiting: "
        + ", ".join(f"{stage} {share:.0%}" for stage, share in report.waiting.items()),
    ]
    for title in ("kept", "converted", "dropped", "warnings"):
        items: tuple[str, ...] = getattr(report, title)
        if items:
            lines.append(f"  {title}: " + "; ".join(items))
    print("\n".join(lines), file=sys.stderr)


def show_scores(scores: Iterable[Score], *, json: bool) -> None:
    """One line a score as soon as it is there: JSON, or a table that Markdown understands."""
    if not json:
        print("| model | data | pictures | PSNR | SSIM | perceptual | drift | ms for 160x90 |")
        print("|---|---|---|---|---|---|---|---|")
    for score in scores:
        if json:
            print(as_json(score), flush=True)
            continue
        perceptual = "-" if score.perceptual is None else f"{score.perceptual:.3f}"
        print(
            f"| {score.model} | {score.data} | {score.pictures} | {score.psnr:.2f} "
            f"| {score.ssim:.3f} | {perceptual} | {score.drift:.2f} | {score.milliseconds:.0f} |",
            flush=True,
        )


def show_models(rows: list[dict[str, Any]]) -> None:
    """Name, quality and speed, purpose; on stdout."""
    width = max(len(row["name"]) for row in rows)
    print(f"{'':{width}}  Set5   Set14  BSD100  ms for 160x90 on two cores")
    for row in rows:
        figures = " " * 30
        if "psnr" in row:
            decibels = "  ".join(f"{value:5.2f}" for value in row["psnr"])
            figures = f"{decibels}   {row['milliseconds']:5.0f}"
        note = f" (the default on {', '.join(row['default_on'])})" if row.get("default_on") else ""
        print(f"{row['name']:{width}}  {figures:30}  {row['about']}{note}")


def show_rows(rows: dict[str, Any], *, json: bool) -> None:
    """A description as aligned text or as JSON, on stdout."""
    if json:
        print(as_json(rows))
        return
    width = max(map(len, rows))
    for key, value in rows.items():
        items: list[object] = list(value) if isinstance(value, list | tuple) else [value]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        for number, item in enumerate(items or ["-"]):
            print(f"{key.replace('_', ' ') if not number else '':{width}}  {_shown(item)}")


def describe(info: MediaInfo) -> dict[str, Any]:
    """A media file's description as rows."""
    color = info.color
    return {
        "path": str(info.path),
        "container": info.container,
        "video": f"{info.codec} {info.size} {info.pix_fmt}",
        "frames": info.frames,
        "frame_rate": str(info.frame_rate),
        "time_base": str(info.time_base),
        "start_seconds": info.start_seconds,
        "duration_seconds": info.duration_seconds,
        "sample_aspect": None if info.sample_aspect is None else str(info.sample_aspect),
        "rotation": info.rotation,
        "field_order": info.field_order,
        "bit_depth": color.depth,
        "matrix": color.matrix,
        "range": color.range,
        "primaries": color.primaries,
        "transfer": color.transfer,
        "siting": color.siting,
        "alpha": color.alpha,
        "hdr10": info.hdr is not None,
        "streams": [str(stream) for stream in info.streams],
        "chapters": info.chapters,
        "metadata": [f"{key}={value}" for key, value in info.metadata.items()],
    }


def as_json(value: object) -> str:
    """Any of the library's values as one line of JSON."""
    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    return jsonlib.dumps(plain, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Path | Fraction):
        return str(value)
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return str(value)


def _shown(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)

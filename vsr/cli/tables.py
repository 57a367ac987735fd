"""Reports as tables of plain text. They are returned, not printed."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsr.cli.lines import columns, pace, padded
from vsr.cli.streams import one_line
from vsr.events import BatchReport, Forecast, Outcome, Report
from vsr.units import amount, clock

if TYPE_CHECKING:
    from vsr.evaluation.inspection import Inspection
    from vsr.evaluation.scores import Score
    from vsr.jobs.estimate.library import LibraryPlan  # it needs torch, which --help does without
    from vsr.media.read.probe import MediaInfo
    from vsr.media.survey import Survey

MAX_STRETCHES = 8
STATES = ("finished", "skipped", "failed", "left", "planned")
COLORS = {
    key: dict(enumerate(names.split()))
    for key, names in {
        "matrix": "gbr bt709 unknown reserved fcc bt470bg smpte170m smpte240m ycgco bt2020nc "
        "bt2020c smpte2085 chroma-derived-nc chroma-derived-c ictcp ipt-c2 ycgco-re ycgco-ro",
        "range": "unknown tv pc",
        "primaries": "reserved bt709 unknown reserved bt470m bt470bg smpte170m smpte240m film "
        f"bt2020 smpte428 smpte431 smpte432{' reserved' * 9} ebu3213",
        "transfer": "reserved bt709 unknown reserved bt470m bt470bg smpte170m smpte240m linear "
        "log100 log316 iec61966-2-4 bt1361e iec61966-2-1 bt2020-10 bt2020-12 smpte2084 smpte428 "
        "arib-std-b67",
        "siting": "unspecified left center topleft top bottomleft bottom",
    }.items()
}
"""FFmpeg's names of what H.273 numbers, and of its own colour ranges and chroma locations."""


def batch_table(report: BatchReport) -> str:
    """A line for each file of a batch, and one for all of them."""
    common = _common([outcome.source.parent for outcome in report.outcomes])
    rows = [
        (outcome.state, one_line(os.path.relpath(outcome.source, common)), one_line(_said(outcome)))
        for outcome in report.outcomes
    ]
    width = min(60, max((columns(name) for _, name, _ in rows), default=0))
    lines = [f"{state:8}  {padded(name, width)}  {said}".rstrip() for state, name, said in rows]
    counts = [f"{report.count(state)} {state}" for state in STATES if report.count(state)]
    if report.others:
        counts.append(f"{report.others} other files left alone")
    planned = [outcome for outcome in report.outcomes if outcome.state == "planned"]
    if planned:
        seconds, size = sum(o.seconds for o in planned), sum(o.bytes for o in planned)
        counts.append(f"which take {clock(seconds)} and {amount(size)}")
        lines.append(", ".join(counts))
    else:
        lines.append(f"{', '.join(counts) or 'nothing done'}, in {clock(report.seconds)}")
    return "\n".join(lines)


SCORE_HEAD = (
    "| model | data | pictures | PSNR | SSIM | perceptual | flicker | sharpness | blocks | drift "
    "| ms for 160x90 |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def score_row(score: Score) -> str:
    """One model on one set as a row below :data:`SCORE_HEAD`."""
    perceptual = "-" if score.perceptual is None else f"{score.perceptual:.3f}"
    flicker = "-" if score.flicker is None else f"{score.flicker:+.2f}"
    return (
        f"| {score.model} | {score.data} | {score.pictures} | {score.psnr:.2f} | {score.ssim:.3f} "
        f"| {perceptual} | {flicker} | {score.sharpness:.2f} | {score.blockiness:.2f} "
        f"| {score.drift:.2f} | {score.milliseconds:.0f} |"
    )


def inspection_rows(found: Inspection) -> dict[str, object]:
    """What a model is and costs, by rows."""
    megabytes = found.bytes_per_megapixel / (1 << 20)
    rows: dict[str, object] = {
        "name": found.name + (" (not of this project's format)" if found.foreign else ""),
        "architecture": found.arch,
        "settings": ", ".join(f"{key} {value}" for key, value in found.hparams.items()) or "none",
        "enlarges": f"{found.scale} times",
        "parameters": f"{found.parameters:,}",
        "receptive_field": _field(found.receptive_field_px),
        "tiled": found.tiles,
        "precision": ", ".join(found.dtypes),
        "multiply-adds": f"{found.multiply_adds_per_pixel:,} per input pixel",
        "memory": f"{megabytes:,.0f} MB per megapixel of input ({found.placement})",
        "speed": f"{found.milliseconds:.0f} ms for 160x90 ({found.placement})",
    }
    if found.state_channels:
        rows["remembers"] = (
            f"{found.state_channels} features a pixel of the frame before, moved along with the "
            "motion, which counts neither above nor in the speed"
        )
    if found.verdict is not None:
        verdict = found.verdict
        better = "beats" if verdict.psnr > verdict.bicubic else "does not beat"
        rows["on_this_video"] = f"{better} bicubic: {verdict}"
    return {**rows, **{key: value for key, value in found.card.items() if key != "arch"}}


def model_rows(facts: dict[str, Any]) -> dict[str, Any]:
    """What :func:`vsr.evaluation.inspection.describe` says, for people."""
    return {
        name.removesuffix("_px"): _field(value) if name == "receptive_field_px" else value
        for name, value in facts.items()
    }


def _field(pixels: int | None) -> str:
    return "unbounded" if pixels is None else f"{pixels} px ({pixels // 2} px around a pixel)"


def forecast_rows(estimate: Forecast) -> dict[str, object]:
    """A dry run's answer, by rows; what is not known is left out."""
    rows: dict[str, object] = {
        "source": estimate.source,
        "target": estimate.target,
        "size": f"{estimate.size} to {estimate.target_size}",
        "frames": estimate.frames,
        "model": f"{estimate.model} on {estimate.device}",
    }
    if estimate.frame_rate is None:
        return rows
    rows |= {
        "frame_rate": estimate.frame_rate,
        "encoder": f"{estimate.encoder}, opens at {estimate.target_size}",
        "deinterlace": estimate.deinterlace,
        "kept": estimate.kept,
        "converted": estimate.converted,
        "dropped": estimate.dropped,
        "notes": estimate.notes,
    }
    if estimate.frames_per_second is not None:
        stages = estimate.stage_seconds or {}
        parts = ", ".join(f"{stage} {1000 * seconds:.3g}" for stage, seconds in stages.items())
        rows["speed"] = (
            f"{pace(1, 1 / estimate.frames_per_second)}, measured on {estimate.measured_frames} "
            f"({parts} ms a frame)"
        )
    if estimate.expected_seconds is not None:
        rows["time"] = f"about {clock(estimate.expected_seconds)}"
    if estimate.disk_bytes is not None and estimate.target_bytes is not None:
        rows["disk"] = (
            f"about {amount(estimate.target_bytes)}, "
            f"at most {amount(estimate.disk_bytes)} on the way; "
            f"{amount(estimate.disk_free_bytes or 0)} free"
        )
    return rows


def forecast_line(estimate: Forecast) -> str:
    """The same for a file among many."""
    parts = [f"{estimate.source.name}: {estimate.size} to {estimate.target_size}"]
    if estimate.expected_seconds is not None:
        parts.append(f"{estimate.frames} frames in about {clock(estimate.expected_seconds)}")
    if estimate.target_bytes is not None:
        parts.append(f"about {amount(estimate.target_bytes)}")
    return ", ".join(parts)


def library_text(plan: LibraryPlan) -> str:
    """A library's size, and a line for each number of workers."""
    lines = [
        f"{plan.files} videos, {clock(plan.hours * 3600)}, {plan.frames} frames, "
        f"{amount(plan.source_bytes)}",
        f"targets {amount(plan.target_bytes)}, and {amount(plan.work_bytes)} at work beside them",
    ]
    if plan.left_out:
        lines.append(f"{plan.left_out} files left out: pictures, or not to be planned")
    lines += ["", "workers        time  speed-up  at work        cost"]
    for row in plan.scenarios:
        cost = "-" if row.cost is None else f"{row.cost:.2f}"
        lines.append(
            f"{row.workers:7}  {clock(row.seconds):>10}  {row.speedup:8.2f}  "
            f"{row.utilisation:7.0%}  {cost:>10}"
        )
    return "\n".join(lines)


def _common(folders: list[Path]) -> Path:
    """The deepest folder that all lie in: what is above it need not be repeated."""
    return Path(os.path.commonpath([folder.absolute() for folder in folders] or ["."]))


def _said(outcome: Outcome) -> str:
    if outcome.state not in ("finished", "planned"):
        return outcome.message
    return f"{outcome.frames} frames, {clock(outcome.seconds)}, {amount(outcome.bytes)}"


def report_lines(report: Report) -> str:
    """What was done, in a few lines."""
    waited = ", ".join(f"{stage} {share:.0%}" for stage, share in report.waiting.items())
    lines = [
        f"wrote {report.target}",
        f"  {report.frames} frames, {report.size} to {report.target_size}, "
        f"{clock(report.seconds)} ({pace(report.frames, report.seconds)}), {amount(report.bytes)}",
        f"  {report.model} on {report.device}" + (f", {report.encoder}" if report.encoder else ""),
        f"  slowest: {slowest(report.waiting)}; waited for others: {waited}",
    ]
    lines += [
        f"  {share.name}: {share.segments} segments, {share.frames} frames, "
        f"{pace(share.frames, share.seconds)}, at work {share.utilisation:.0%} of the time"
        for share in report.workers
    ]
    for title in ("kept", "converted", "dropped", "warnings"):
        items: tuple[str, ...] = getattr(report, title)
        if items:
            lines.append(f"  {title}: " + "; ".join(items))
    return "\n".join(map(one_line, lines))


def slowest(waiting: dict[str, float]) -> str:
    """The stage that the others wait for: as :attr:`vsr.pipeline.Waits.slowest` has it."""
    if waiting.get("enlarge", 0.0) < 0.3:
        return "enlarge"
    return min(("decode", "encode"), key=lambda stage: waiting.get(stage, 0.0))


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


def named_colors(rows: dict[str, Any]) -> dict[str, Any]:
    """What :func:`describe` says, with FFmpeg's names beside the numbers of colour."""
    return {
        key: f"{value} ({COLORS[key].get(value, 'reserved')})" if key in COLORS else value
        for key, value in rows.items()
    }


def survey_rows(found: Survey, source: Path) -> dict[str, Any]:
    """What a video is, from its pixels, as rows; and the command that is suggested for it."""
    condition, bars = found.condition, found.bars
    most = sorted(found.stretches, key=lambda stretch: -stretch.frames)[:MAX_STRETCHES]
    most.sort(key=lambda stretch: stretch.start_seconds)
    target = source.with_name(f"{source.stem}-large.mkv")
    return {
        "content": found.content,
        "stretches": [
            f"{stretch.kind} from {clock(stretch.start_seconds)}, {stretch.frames} frames"
            for stretch in most
        ],
        "blockiness": None if condition is None else round(condition.blockiness, 2),
        "noise": None if condition is None else round(condition.noise, 1),
        "grain": round(found.grain, 2),
        "sharpness": round(found.sharpness, 3),
        "black_bars": str(bars) if bars else "none",
        "origin": f"probably {found.origin}",
        "looked_at": [f"{seconds:.3f} s" for seconds in found.looked_at],
        "suggested": " ".join(
            ["vsr upscale", shlex.quote(str(source)), shlex.quote(str(target)), *found.flags]
        ),
    }

"""Measurements as tables that Markdown understands, or as JSON; on stdout."""

from __future__ import annotations

import platform
from collections.abc import Sequence

import torch

from vsr.bench.encoders import EncoderSpeed
from vsr.bench.model import ModelSpeed
from vsr.bench.peers import PeerSpeed
from vsr.bench.pipeline import PipelineSpeed, SizeSpeed
from vsr.bench.train import TrainSpeed
from vsr.cli.console import as_json
from vsr.units import amount
from vsr.version import __version__


def show_model(rows: list[ModelSpeed], *, json: bool) -> None:
    """A line for each size, batch and tile of one model."""
    if json:
        _lines(rows)
        return
    print(f"{rows[0].model} on {rows[0].device} {rows[0].dtype}, {machine()}:")
    _table(
        (
            "size",
            "batch",
            "tile",
            "frames/s",
            "ms a frame",
            "TFLOP/s",
            "of the ceiling",
            "textbook",
        ),
        [
            (
                row.size,
                row.batch,
                row.tile,
                f"{row.frames_per_second:.2f}",
                f"{1000 / row.frames_per_second:.1f}",
                f"{row.tflops:.3f}",
                f"{row.share:.2f} of {row.ceiling_tflops:.2f}",
                "-"
                if row.textbook_seconds is None
                else f"{row.textbook_seconds / row.seconds:.2f} times slower",
            )
            for row in rows
        ],
    )


def show_encoders(rows: list[EncoderSpeed], *, json: bool) -> None:
    """A line for each codec and preset."""
    if json:
        _lines(rows)
        return
    print(f"{rows[0].frames} frames of {rows[0].size} on {rows[0].cores} cores, {machine()}:")
    _table(
        ("codec", "preset", "frames/s", "Mpx/s", "Mpx/s a core", "KB a frame"),
        [
            (row.codec, row.preset, row.refused, "", "", "")
            if row.refused
            else (
                row.codec,
                row.preset,
                f"{row.frames_per_second:.2f}",
                f"{row.megapixels_per_second:.1f}",
                f"{row.megapixels_per_second / row.cores:.1f}",
                f"{row.bytes_per_frame / 1000:.0f}",
            )
            for row in rows
        ],
    )


def show_train(rows: list[TrainSpeed], *, json: bool) -> None:
    """A line for each recipe."""
    if json:
        _lines(rows)
        return
    print(f"{rows[0].device} {rows[0].dtype}, {machine()}:")
    _table(
        ("recipe", "network", "batch", "pairs made", "steps/s", "waiting", "GPU memory"),
        [
            (
                row.recipe,
                row.network,
                f"{row.batch} of {row.patch} px",
                row.data,
                f"{row.steps_per_second:.2f}",
                f"{row.waiting:.0%}",
                "" if row.device_peak is None else amount(row.device_peak),
            )
            for row in rows
        ],
    )


def show_pipeline(speed: PipelineSpeed, *, json: bool) -> None:
    """Each stage, the whole, and where the time and memory went."""
    if json:
        _lines([speed])
        return
    print(
        f"{speed.clip}, {speed.frames} frames, {speed.size} to {speed.target_size}, "
        f"{speed.model} on {speed.device}, {speed.encoder}, tile {speed.tile}, "
        f"batch {speed.batch}, {machine()}:"
    )
    network = speed.frames_per_second["network"]
    _table(
        ("alone", "frames/s", "of the network"),
        [
            (name, f"{rate:.2f}", f"{rate / network:.2f}")
            for name, rate in speed.frames_per_second.items()
        ],
    )
    if speed.shares:
        parts = ", ".join(f"{part} {share:.0%}" for part, share in speed.shares.items())
        print(f"of a frame's work: {parts}")
    if speed.waiting:
        waits = ", ".join(f"{stage} {share:.0%}" for stage, share in speed.waiting.items())
        print(f"waiting in the pipeline: {waits}")
    peaks = ((speed.host_peak, ""), (speed.device_peak, " on the device"))
    told = [f"{amount(peak)}{where}" for peak, where in peaks if peak is not None]
    if told:
        print(f"peak memory: {', '.join(told)}")


def show_peers(rows: list[PeerSpeed], *, json: bool) -> None:
    """Each way, and how often faster ours is."""
    if json:
        _lines(rows)
        return
    print(f"{machine()}:")
    _table(
        ("way", "frames/s", "ours is faster by"),
        [(row.way, f"{row.frames_per_second:.2f}", f"{row.times:.2f}") for row in rows],
    )


def show_sizes(rows: list[SizeSpeed], *, json: bool) -> None:
    """Time and memory by size."""
    if json:
        _lines(rows)
        return
    print(f"{machine()}:")
    _table(
        ("size", "frames", "seconds", "s a frame and megapixel", "peak memory"),
        [
            (
                row.size,
                row.frames,
                f"{row.seconds:.1f}",
                f"{row.seconds_per_megapixel:.2f}",
                amount(row.host_peak),
            )
            for row in rows
        ],
    )


def machine() -> str:
    """What the figures hold for."""
    cores = f"{torch.get_num_threads()} threads of {platform.machine()}"
    return f"{cores}, torch {torch.__version__}, vsr {__version__}"


def _lines(rows: Sequence[object]) -> None:
    for row in rows:
        print(as_json(row), flush=True)


def _table(heads: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)

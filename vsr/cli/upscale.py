"""``vsr upscale``: options from flags, one library call, and a report."""

from __future__ import annotations

import os
from typing import Any, cast

from vsr.cli import params
from vsr.cli.console import Console, show_report, show_rows
from vsr.options import UpscaleOptions, parse_bytes, parse_seconds, parse_size


def upscale(
    source: params.Source,
    target: params.Target,
    model: params.Model = "auto",
    scale: params.Scale = None,
    height: params.Height = None,
    width: params.Width = None,
    size: params.TargetSize = None,
    device: params.Device = "auto",
    dtype: params.Dtype = "auto",
    tile: params.Tile = "auto",
    overlap: params.Overlap = "auto",
    batch: params.Batch = "auto",
    vram: params.Vram = None,
    codec: params.Codec = "auto",
    crf: params.Crf = None,
    preset: params.Preset = None,
    pix_fmt: params.PixFmt = None,
    encoder_option: params.EncoderOption = None,
    start: params.Start = None,
    end: params.End = None,
    deinterlace: params.DeinterlaceMode = "auto",
    fps: params.Fps = None,
    compare: params.Compare = None,
    overwrite: params.Overwrite = False,
    dry_run: params.DryRun = False,
    json: params.Json = False,
    quiet: params.Quiet = False,
    verbose: params.Verbose = False,
) -> None:
    """Upscale a video, a picture or a folder of pictures."""
    options = UpscaleOptions(
        model=model,
        scale=scale,
        height=height,
        width=width,
        size=None if size is None else parse_size(size),
        device=device,
        dtype=cast(Any, dtype),  # checked by the options themselves
        tile=params.auto_or_number("tile", tile),
        overlap=params.auto_or_number("overlap", overlap),
        batch=params.auto_or_number("batch", batch),
        vram=None if vram is None else parse_bytes(vram),
        codec=cast(Any, codec),
        crf=crf,
        preset=preset,
        pix_fmt=pix_fmt,
        encoder_options=params.pairs(encoder_option),
        start=None if start is None else parse_seconds(start),
        end=None if end is None else parse_seconds(end),
        deinterlace=cast(Any, deinterlace),
        fps=fps,
        compare=compare,
        overwrite=overwrite,
    )
    # Torch's threads would spin while they wait, on cores that the encoder's threads need.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from vsr import api  # torch takes seconds to import: not for --help

    console = Console(quiet=quiet, verbose=verbose)
    if model == "auto":
        console.say_default(api.default_model(options))
    if dry_run:
        show_rows(api.preview(source, target, options), json=json)
        return
    with console:
        report = api.upscale(source, target, options, console.on_event)
    show_report(report, json=json, quiet=quiet)

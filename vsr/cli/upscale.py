"""``vsr upscale``: options from flags, one library call, and a report."""

from __future__ import annotations

from typing import Any, cast

import typer

from vsr.cli import params
from vsr.cli.console import Console, show_report
from vsr.cli.places import sources_and_target
from vsr.cli.signals import stop_on_signals
from vsr.events import Planned
from vsr.options import BatchOptions, UpscaleOptions
from vsr.runtime import let_threads_sleep
from vsr.units import parse_bytes, parse_seconds, parse_size


def upscale(
    ctx: typer.Context,
    places: params.Places,
    to: params.To = None,
    model: params.Model = "auto",
    then: params.Then = None,
    denoise: params.Denoise = None,
    check_model: params.CheckModel = None,
    scale: params.Scale = None,
    height: params.Height = None,
    width: params.Width = None,
    size: params.TargetSize = None,
    device: params.Device = "auto",
    devices: params.Devices = None,
    cluster: params.Cluster = None,
    workers: params.Workers = None,
    cores: params.Cores = None,
    ship: params.Ship = False,
    dtype: params.Dtype = "auto",
    tile: params.Tile = "auto",
    overlap: params.Overlap = "auto",
    batch: params.Batch = "auto",
    vram: params.Vram = None,
    reuse: params.Reuse = "exact",
    compile: params.Compile = "auto",  # noqa: A002  # the flag's name
    hwaccel: params.HwAccel = "auto",
    encoders: params.Encoders = "auto",
    codec: params.Codec = "auto",
    crf: params.Crf = None,
    preset: params.Preset = None,
    pix_fmt: params.PixFmt = None,
    encoder_option: params.EncoderOption = None,
    start: params.Start = None,
    end: params.End = None,
    deinterlace: params.Deinterlace = "auto",
    ivtc: params.Ivtc = "auto",
    clean: params.CleanChain = "off",
    fps: params.Fps = None,
    compare: params.Compare = None,
    preview: params.Preview = None,
    recursive: params.Recursive = False,
    include: params.Include = None,
    exclude: params.Exclude = None,
    name: params.Name = "{stem}{suffix}",
    on_error: params.Failing = "continue",
    skip_broken: params.SkipBroken = False,
    order: params.Sorting = "name",
    watch: params.Watch = False,
    poll: params.Poll = 5.0,
    overwrite: params.Overwrite = False,
    restart: params.Restart = False,
    fresh: params.Fresh = False,
    allow_huge: params.AllowHuge = False,
    accept_truncated: params.AcceptTruncated = False,
    stall: params.Stall = 300.0,
    verify: params.Verify = "packets",
    force: params.Force = False,
    dry_run: params.DryRun = False,
    json: params.Events = False,
    quiet: params.Quiet = False,
    verbose: params.Verbose = False,
) -> None:
    """Upscale a video, a picture, or a folder of either."""
    with Console(json=json, quiet=quiet, verbose=verbose) as console:
        options = UpscaleOptions(
            model=model,
            then=tuple(then or ()),
            denoise=denoise,
            check_model=check_model,
            scale=scale,
            height=height,
            width=width,
            size=None if size is None else parse_size(size),
            device=device,
            devices=devices,
            cluster=cluster,
            workers=workers,
            cores=cores,
            ship=ship,
            dtype=cast(Any, dtype),  # checked by the options themselves
            tile=params.auto_or_number("tile", tile),
            overlap=params.auto_or_number("overlap", overlap),
            batch=params.auto_or_number("batch", batch),
            vram=None if vram is None else parse_bytes(vram),
            reuse=reuse,
            compile=cast(Any, compile),
            hwaccel=cast(Any, hwaccel),
            encoders=encoders,
            codec=cast(Any, codec),
            crf=crf,
            preset=preset,
            pix_fmt=pix_fmt,
            encoder_options=params.pairs(encoder_option),
            start=None if start is None else parse_seconds(start),
            end=None if end is None else parse_seconds(end),
            deinterlace=cast(Any, deinterlace),
            ivtc=cast(Any, ivtc),
            clean=clean,
            fps=fps,
            compare=compare,
            preview=preview,
            overwrite=overwrite,
            restart=restart,
            fresh=fresh,
            force=force,
            allow_huge=allow_huge,
            accept_truncated=accept_truncated,
            stall=stall,
            verify=cast(Any, verify),
        )
        several = BatchOptions(
            recursive=recursive,
            include=tuple(include or ()),
            exclude=tuple(exclude or ()),
            name=name,
            on_error=cast(Any, on_error),
            skip_broken=skip_broken,
            order=cast(Any, order),
            watch=watch,
            poll=poll,
        )
        given = sources_and_target(places, to)
        let_threads_sleep()
        from vsr import api  # torch takes seconds to import: not for --help

        sources, target = given.sources, given.target
        if target is None:
            target = api.default_target(sources[0], options, console.on_event)
            console.say_target(target)
        several_asked = given.several or params.is_asked(ctx, BatchOptions)
        if several_asked or api.is_batch(sources[0], target):
            with stop_on_signals(console.say_finishing) as stop:
                made = api.upscale_batch(
                    sources, target, options, several, console.on_event, stop, dry=dry_run
                )
            params.check_complete(made, stopped=stop.exit_code if stop() else None)
            return
        if dry_run:
            forecast = api.dry_run(sources[0], target, options, console.on_event)
            console.on_event(Planned(forecast))
            if not force:
                api.check_enough(forecast)
            return
        with stop_on_signals(console.say_finishing) as stop:
            report = api.upscale(sources[0], target, options, console.on_event, stop)
    if not quiet and not json:
        show_report(report)

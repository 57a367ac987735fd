"""``vsr upscale``: options from flags, one library call, and a report."""

from __future__ import annotations

import typer

from vsr.batch_options import BatchOptions
from vsr.cli import params
from vsr.cli.console import Console, show_report
from vsr.cli.flags import with_options
from vsr.cli.places import sources_and_target
from vsr.cli.signals import stop_on_signals
from vsr.events import Planned
from vsr.options import UpscaleOptions
from vsr.runtime import let_threads_sleep


@with_options
def upscale(
    ctx: typer.Context,
    places: params.Places,
    options: UpscaleOptions,
    several: BatchOptions,
    to: params.To = None,
    dry_run: params.DryRun = False,
    json: params.Events = False,
    quiet: params.Quiet = False,
    verbose: params.Verbose = False,
) -> None:
    """Upscale a video, a picture, or a folder of either."""
    with Console(json=json, quiet=quiet, verbose=verbose) as console:
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
            if not options.force:
                api.check_enough(forecast)
            return
        with stop_on_signals(console.say_finishing) as stop:
            report = api.upscale(sources[0], target, options, console.on_event, stop)
    if not quiet and not json:
        show_report(report)

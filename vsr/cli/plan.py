"""``vsr plan``: what a folder of videos takes on so many workers, before anything is spent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from vsr.batch_options import BatchOptions
from vsr.cli import params
from vsr.cli.console import as_json
from vsr.cli.places import expanded
from vsr.cli.tables import library_text
from vsr.options import UpscaleOptions
from vsr.runtime import let_threads_sleep

Sources = Annotated[
    list[Path], typer.Argument(metavar="FOLDER...", help="Folders of videos, or videos.")
]
Workers = Annotated[
    list[int] | None,
    typer.Option("--workers", metavar="N", help="How many; repeatable. Default 1, 2, 4, 8."),
]
Price = Annotated[
    float | None,
    typer.Option("--price-per-hour", metavar="P", help="Of one worker, in any currency."),
]


def plan(
    sources: Sources,
    workers: Workers = None,
    price_per_hour: Price = None,
    recursive: params.Recursive = False,
    model: params.Model = "auto",
    height: params.Height = None,
    device: params.Device = "auto",
    codec: params.Codec = "auto",
    preset: params.Preset = None,
    json: params.Json = False,
) -> None:
    """Say what a library of videos takes on N workers: time, storage, money."""
    let_threads_sleep()
    options = UpscaleOptions(
        model=model, height=height, device=device, codec=cast(Any, codec), preset=preset
    )
    from vsr import api  # torch takes seconds to import: not for --help
    from vsr.jobs.estimate.library import plan_library

    made = plan_library(
        expanded(sources),
        api.chooser(options),
        options,
        BatchOptions(recursive=recursive),
        workers or (1, 2, 4, 8),
        price_per_hour,
    )
    if json:
        print(as_json(made))
    else:
        print(library_text(made))

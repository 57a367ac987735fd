"""`vsr extract`: frames worth learning from, out of videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vsr.cli import params
from vsr.options import STALL_SECONDS

Places = Annotated[
    list[Path], typer.Argument(metavar="VIDEO... FOLDER", help="Videos, then where frames go.")
]
Every = Annotated[
    float | None, typer.Option(help="A frame for so many seconds of a scene. [default: one each]")
]
Most = Annotated[int | None, typer.Option("--max", help="At most so many frames.")]
Side = Annotated[int | None, typer.Option("--size", help="Cut square crops of so many pixels.")]
Crops = Annotated[int, typer.Option(help="Crops a frame at most.")]
Burst = Annotated[int, typer.Option(help="Consecutive frames at each place.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier extraction.")]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON on stdout.")]


def extract(
    places: Places,
    every: Every = None,
    most: Most = None,
    size: Side = None,
    crops: Crops = 4,
    burst: Burst = 1,
    overwrite: Overwrite = False,
    stall: params.Stall = STALL_SECONDS,
    json: Json = False,
) -> None:
    """Pick sharp, different, clean frames of every scene as pictures to train on."""
    # Here, so that --help does not wait for torch and FFmpeg.
    from vsr.cli.places import expanded
    from vsr.cli.train_console import ExtractConsole, finish_extraction
    from vsr.errors import OptionsError
    from vsr.jobs.extraction import extract as run
    from vsr.media.extract.selection import ExtractOptions

    if len(places) < 2:
        raise OptionsError("give videos and, last, a folder", hint="vsr extract film.mp4 frames/")
    options = ExtractOptions(
        tuple(expanded(places[:-1])), places[-1], every=every, most=most, size=size, crops=crops,
        burst=burst, overwrite=overwrite, stall=stall,
    )  # fmt: skip
    with ExtractConsole() as console:
        report = run(options, console.show)
    finish_extraction(report, as_json=json)

"""``vsr probe``: what is in a file, and what an upscale would keep, convert or drop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vsr.cli import params
from vsr.options import STALL_SECONDS


def probe(
    file: Annotated[Path, typer.Argument(help="A video file.")],
    deep: Annotated[
        bool, typer.Option("--deep", help="Decode it all: fields, noise, grain, bars, origin.")
    ] = False,
    allow_huge: params.AllowHuge = False,
    stall: params.Stall = STALL_SECONDS,
    json: params.Json = False,
) -> None:
    """Say what is in a video file, and what an upscale would keep, convert or drop."""
    from vsr import api
    from vsr.cli.console import show_rows
    from vsr.cli.tables import describe, named_colors, survey_rows

    info = api.probe(file, allow_huge=allow_huge, stall=stall)
    rows = describe(info)
    rows.update(api.mapping_by_target(info))
    if deep:
        rows.update(survey_rows(api.survey(info, stall=stall), file))
    show_rows(rows if json else named_colors(rows), json=json)

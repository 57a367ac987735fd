"""``vsr probe``: what is in a file, and what an upscale would keep, convert or drop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vsr.cli import params


def probe(
    file: Annotated[Path, typer.Argument(help="A video file.")],
    allow_huge: params.AllowHuge = False,
    json: params.Json = False,
) -> None:
    """Say what is in a video file, and what an upscale would keep, convert or drop."""
    from vsr import api
    from vsr.cli.console import show_rows
    from vsr.cli.tables import describe

    info = api.probe(file, allow_huge=allow_huge)
    rows = describe(info)
    rows.update(api.fate(info))
    show_rows(rows, json=json)

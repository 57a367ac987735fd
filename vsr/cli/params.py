"""Parameters that several commands share, and what is done with the answer of a batch."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from vsr.cli.flags import flag
from vsr.errors import BatchIncomplete, Stopped
from vsr.events import BatchReport

Places = Annotated[
    list[Path],
    typer.Argument(
        metavar="SOURCE [TARGET]",
        help="A video, a picture, or a folder of either, and where to: the same kinds; a folder "
        "has no suffix. Without a target: beside the source, as in_4x.mp4. With --to: any number "
        "of videos and folders of them. Quoted patterns are expanded.",
    ),
]
To = Annotated[
    Path | None,
    typer.Option("--to", metavar="FOLDER", help="Folders: the folder that takes every target."),
]
Model = Annotated[str, flag("model")]
Height = Annotated[int | None, flag("height")]
Device = Annotated[str, flag("device")]
Dtype = Annotated[str, flag("dtype")]
Tile = Annotated[str, flag("tile")]
Vram = Annotated[str | None, flag("vram")]
Codec = Annotated[str, flag("codec")]
Preset = Annotated[str | None, flag("preset")]
Start = Annotated[str | None, flag("start")]
End = Annotated[str | None, flag("end")]
Recursive = Annotated[bool, flag("recursive")]
Overwrite = Annotated[bool, flag("overwrite")]
AllowHuge = Annotated[bool, flag("allow_huge")]
Stall = Annotated[float, flag("stall")]
Events = Annotated[bool, typer.Option("--json", help="Write events to stdout, one a line.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be done and what it takes.")
]
Json = Annotated[bool, typer.Option("--json", help="Write the result as JSON to stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no report.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Every event, and the library's log.")
]


def is_asked(ctx: typer.Context, options: type[Any]) -> bool:
    """Whether a flag of these options stands on the command line, and not only in vsr.toml."""
    sources = (ctx.get_parameter_source(field.name) for field in fields(options))
    return any(source is not None and source.name == "COMMANDLINE" for source in sources)


def check_complete(report: BatchReport, *, stopped: int | None) -> None:
    """Raise :class:`Stopped` where files are left, :class:`BatchIncomplete` where some failed."""
    if stopped is not None and report.count("left"):
        raise Stopped(f"stopped, {report.count('left')} files are left", exit_code=stopped)
    failed = report.count("failed")
    if failed:
        raise BatchIncomplete(
            f"{failed} of {len(report.outcomes)} files failed",
            hint="the same command tries them again, and skips what is finished; --skip-broken "
            "leaves those alone that are damaged",
        )

"""The ``vsr`` command: its commands, and what an error looks like to a person."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vsr.cli.bench import bench
from vsr.cli.compare import compare
from vsr.cli.doctor import doctor
from vsr.cli.eval import evaluate
from vsr.cli.extract import extract
from vsr.cli.models import models
from vsr.cli.plan import plan
from vsr.cli.probe import probe
from vsr.cli.streams import one_line
from vsr.cli.train import train
from vsr.cli.upscale import upscale
from vsr.errors import Stopped, VsrError
from vsr.version import __version__


class VsrGroup(TyperGroup):
    """Turns a :class:`VsrError` into ``error:`` and ``hint:`` on stderr and its exit code."""

    def invoke(self, ctx: Any) -> Any:  # typer vendors its context's type
        """Run a command; anything but a VsrError and Ctrl-C is a bug and keeps its traceback."""
        try:
            return super().invoke(ctx)
        except VsrError as error:
            print(f"error: {one_line(error.message)}", file=sys.stderr)
            if error.hint:
                print(f"hint: {one_line(error.hint)}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from None
        except Stopped as stop:
            print(f"\n{stop.message}", file=sys.stderr)
            raise typer.Exit(stop.exit_code) from None
        except KeyboardInterrupt:
            print("\ninterrupted: give the same command again to go on", file=sys.stderr)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=VsrGroup,
    name="vsr",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Upscale videos and pictures four times: sharp, complete and on time.",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"vsr {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Upscale videos and pictures four times: sharp, complete and on time."""
    del version  # its callback has answered
    os.environ.setdefault("SVT_LOG", "1")  # or SVT-AV1 writes its settings to stderr


app.command()(upscale)
app.command()(compare)
app.command()(plan)
app.command()(probe)
app.command()(extract)
app.command()(train)
app.command()(doctor)
app.command("eval")(evaluate)
app.add_typer(models, name="models")
app.add_typer(bench, name="bench")

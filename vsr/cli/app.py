"""The ``vsr`` command: its commands, and what an error looks like to a person."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vsr.cli.bench import bench
from vsr.cli.compare import compare
from vsr.cli.config import config
from vsr.cli.doctor import doctor
from vsr.cli.eval import evaluate
from vsr.cli.extract import extract
from vsr.cli.models import models
from vsr.cli.plan import plan
from vsr.cli.probe import probe
from vsr.cli.settings import as_defaults, settings, told
from vsr.cli.streams import one_line
from vsr.cli.train import train
from vsr.cli.upscale import upscale
from vsr.errors import Stopped, VsrError
from vsr.version import __version__


class VsrGroup(TyperGroup):
    """Turns a :class:`VsrError` into ``error:`` and ``hint:`` on stderr and its exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take ``--profile NAME`` wherever it stands, as every command has it."""
        end = args.index("--") if "--" in args else len(args)
        for place in range(end):
            name, equals, _ = args[place].partition("=")
            if name == "--profile":
                taken = slice(place, place + (1 if equals else 2))
                args = [*args[taken], *args[: taken.start], *args[taken.stop :]]
                break
        ctx.obj = not {"-q", "--quiet", "--json"} & set(args[:end])  # whether to tell of settings
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # typer vendors its context's type
        """Run a command; anything but a VsrError and Ctrl-C is a bug and keeps its traceback."""
        try:
            return super().invoke(ctx)
        except VsrError as error:
            print(f"error: {one_line(error.message)}", file=sys.stderr)
            if error.hint:
                print(f"hint: {one_line(error.hint)}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from None
        except typer.BadParameter as error:
            error.message = told(error)
            raise
        except Stopped as stop:
            raise _ended(stop) from None
        except KeyboardInterrupt:
            print("\ninterrupted: give the same command again to go on", file=sys.stderr)
            raise typer.Exit(130) from None
        except typer.Exit:
            raise
        except Exception as error:
            # A signal may come inside of a library's own clean-up, which then fails on top of it.
            context: BaseException | None = error
            while context is not None and not isinstance(context, Stopped):
                context = context.__context__
            if context is None:
                raise
            raise _ended(context) from None


def _ended(stop: Stopped) -> typer.Exit:
    print(f"\n{stop.message}", file=sys.stderr)
    return typer.Exit(stop.exit_code)


app = typer.Typer(
    cls=VsrGroup,
    name="vsr",
    no_args_is_help=True,
    add_completion=True,
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
    ctx: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option("--profile", metavar="NAME", help="Of vsr.toml, for any command: see config."),
    ] = None,
) -> None:
    """Upscale videos and pictures four times: sharp, complete and on time."""
    del version  # its callback has answered
    if ctx.invoked_subcommand not in (None, "config"):
        found = [
            item for item in settings(ctx, profile) if item.command[0] == ctx.invoked_subcommand
        ]
        ctx.default_map = as_defaults(found)
        if found and ctx.obj:
            flags = ", ".join(dict.fromkeys(item.flag for item in found))
            files = ", ".join(dict.fromkeys(str(item.path) for item in found))
            print(f"settings: {flags} (from {files})", file=sys.stderr)
    os.environ.setdefault("SVT_LOG", "1")  # or SVT-AV1 writes its settings to stderr


app.command()(upscale)
app.command()(compare)
app.command()(plan)
app.command()(probe)
app.command()(extract)
app.command()(train)
app.command()(doctor)
app.command()(config)
app.command("eval")(evaluate)
app.add_typer(models, name="models")
app.add_typer(bench, name="bench")

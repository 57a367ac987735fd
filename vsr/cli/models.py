"""``vsr models``: what there is to upscale with."""

from __future__ import annotations

from typing import Annotated

import typer

from vsr.cli import params

models = typer.Typer(no_args_is_help=True, help="List the models, or describe one.")


@models.command("list")
def list_models(json: params.Json = False) -> None:
    """List every model that can be given by name."""
    from vsr import api
    from vsr.cli.console import as_json, show_models

    rows = api.list_models()
    if json:
        print(as_json(rows))
        return
    show_models(rows)


@models.command("info")
def info(
    name: Annotated[str, typer.Argument(help="A name, or a path to weights.")],
    json: params.Json = False,
) -> None:
    """Describe one model: architecture, scale, parameters, receptive field, card."""
    from vsr import api
    from vsr.cli.console import show_rows

    show_rows(api.describe_model(name), json=json)

"""``vsr models``: what there is to upscale with, and what a file is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from vsr.cli import params
from vsr.cli.streams import one_line

models = typer.Typer(
    no_args_is_help=True, help="List, fetch, describe, inspect, blend and export models."
)

NameOrPath = Annotated[str, typer.Argument(metavar="NAME|PATH", help="A name, or a file.")]
Out = Annotated[Path, typer.Option("--out", metavar="FILE.safetensors", help="What to write.")]
On = Annotated[
    Path | None, typer.Option("--on", metavar="VIDEO", help="Try it on crops of your own footage.")
]


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


@models.command("get")
def get(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="NAME|OWNER/REPOSITORY[/FILE][@REVISION]",
            help="A model of OpenModelDB, or weights in a Hugging Face repository.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="What to call it here, if not as there.")
    ] = None,
    sha256: Annotated[
        str | None,
        typer.Option("--sha256", metavar="HEX", help="What the file must have; as stated there."),
    ] = None,
    overwrite: params.Overwrite = False,
    json: params.Json = False,
) -> None:
    """Fetch a model by name, to be held to its SHA-256 from then on."""
    from vsr import weights
    from vsr.cli.console import Console, as_json
    from vsr.cli.signals import stop_on_signals

    with Console(json=False, quiet=False, verbose=False) as console, stop_on_signals(patient=()):
        found = weights.get(
            reference,
            name=name,
            sha256=sha256,
            overwrite=overwrite,
            on_event=console.on_event,
        )
    if json:
        print(as_json({"name": found.name, "path": found.path, **found.whole_card()}))
        return
    print(one_line(f"{found.path}: licence {found.card['licence']}, sha256 {found.sha256}"))
    print(f"use it with --model {found.name}")


@models.command("info")
def info(name: NameOrPath, json: params.Json = False) -> None:
    """Describe one model: architecture, scale, parameters, receptive field, card."""
    from vsr.cli.console import show_rows
    from vsr.cli.tables import model_rows
    from vsr.evaluation.inspection import describe

    facts = describe(name)
    show_rows(facts if json else model_rows(facts), json=json)


@models.command("inspect")
def inspect(
    name: NameOrPath,
    on: On = None,
    device: params.Device = "auto",
    dtype: params.Dtype = "auto",
    json: params.Json = False,
) -> None:
    """Say what a model is and what it costs; with --on, whether it beats bicubic there."""
    from vsr.cli.console import as_json, show_rows
    from vsr.cli.tables import inspection_rows
    from vsr.evaluation import inspection
    from vsr.options import EngineOptions

    options = EngineOptions(device=device, dtype=cast(Any, dtype))
    found = inspection.inspect(name, options, on)
    if json:
        print(as_json(found))
        return
    show_rows(inspection_rows(found), json=False)


@models.command("blend")
def blend(
    first: NameOrPath,
    second: NameOrPath,
    out: Out,
    alpha: Annotated[float, typer.Option(help="The share of the second, 0 to 1.")] = 0.5,
    overwrite: params.Overwrite = False,
) -> None:
    """Write a network between two of one shape: (1 - alpha) x first + alpha x second."""
    from vsr import weights
    from vsr.weights.blend import blend

    made = blend(weights.find(first), weights.find(second), alpha)
    weights.save_stored(out, made, overwrite=overwrite)
    print(f"wrote {out}: {made.card['about']}")


@models.command("export")
def export(
    name: NameOrPath,
    kind: Annotated[str, typer.Option("--format", metavar="onnx|torchscript|safetensors")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="NAME.onnx and so on unless told.")
    ] = None,
    dtype: Annotated[str, typer.Option(metavar="fp32|fp16", help="What it computes in.")] = "fp32",
    overwrite: params.Overwrite = False,
) -> None:
    """Write a model for another program, and check that it computes the same."""
    from vsr.weights.export import export

    made = export(name, cast(Any, kind), out, dtype=dtype, overwrite=overwrite)
    checked = (
        "not checked: pip install onnxruntime"
        if made.difference is None
        else f"differs from ours by {made.difference:.1e} at most"
    )
    print(f"wrote {made.path} ({made.path.stat().st_size / 1e6:.1f} MB): {checked}")

"""``vsr eval``: the quality of models on test sets, as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from vsr.cli import params

Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MODEL...]", help="Names, or paths to weights. [default: bicubic and all shipped]"
    ),
]
Data = Annotated[
    list[Path],
    typer.Option(help="A folder with HR and LR, pictures, or a video; repeatable."),
]
VggPath = Annotated[
    str, typer.Option("--vgg", help="VGG19 for the perceptual distance: none, auto or PATH.")
]
LpipsWanted = Annotated[bool, typer.Option("--lpips", help="LPIPS, too (the extra vsr[lpips]).")]
Crf = Annotated[
    float | None, typer.Option(help="Compress what is shrunk here with x264 at this quality.")
]
Frames = Annotated[int, typer.Option(min=1, help="Consecutive frames of a video.")]


def evaluate(
    data: Data,
    models: Models = None,
    vgg: VggPath = "none",
    lpips: LpipsWanted = False,
    crf: Crf = None,
    frames: Frames = 16,
    device: params.Device = "auto",
    dtype: params.Dtype = "auto",
    json: params.Json = False,
) -> None:
    """Measure models on test sets: nearness, looks, flicker, sharpness, blocks, drift of colour."""
    from vsr import api
    from vsr.cli.console import show_scores
    from vsr.options import EngineOptions

    options = EngineOptions(device=device, dtype=cast(Any, dtype))
    show_scores(
        api.evaluate(models or [], data, options, vgg=vgg, lpips=lpips, crf=crf, frames=frames),
        json=json,
    )

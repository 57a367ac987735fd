"""``vsr compare``: films against a reference, or models on one input."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from vsr.cli import params
from vsr.cli.console import Console, as_json

Places = Annotated[
    list[Path],
    typer.Argument(metavar="REFERENCE CANDIDATE...", help="Or, with --models, one INPUT."),
]
Models = Annotated[
    str | None, typer.Option(metavar="A,B", help="Compare models on INPUT: names or paths.")
]
Shrink = Annotated[
    bool, typer.Option("--shrink", help="INPUT is the reference: shrink it, upscale it again.")
]
Crf = Annotated[
    float | None, typer.Option("--crf", help="Compress the shrunk input: x264, 0..51, 23 is usual.")
]
CleanChain = Annotated[
    str, typer.Option("--clean", metavar="vhs|dvd|film|web[:0..1]", help="Models: and cleaned.")
]
Alignment = Annotated[
    str, typer.Option("--align", metavar="time|overlap|number|shift", help="How frames are paired.")
]
Crop = Annotated[
    str | None, typer.Option("--crop", metavar="X,Y,W,H|common", help="Compare this region alone.")
]
Border = Annotated[int, typer.Option(help="Pixels left out along edges, as in the papers.")]
Frames = Annotated[
    int | None,
    typer.Option(help="Look at so many, spread out. [default: all; 24 with --models]"),
]
Metrics = Annotated[str | None, typer.Option(metavar="A,B", help="Some alone: psnr,ssim,ms_ssim…")]
VggChoice = Annotated[
    str, typer.Option("--vgg", help="VGG19 for the perceptual distance: PATH, auto or none.")
]
VmafChoice = Annotated[
    bool | None, typer.Option("--vmaf/--no-vmaf", help="VMAF by an ffmpeg. [default: if found]")
]
Html = Annotated[Path | None, typer.Option(help="Write a page to look at: one file, no network.")]
Sheet = Annotated[Path | None, typer.Option(help="Write a contact sheet: png.")]
Csv = Annotated[Path | None, typer.Option("--csv", help="Write each frame's numbers.")]
Shown = Annotated[int, typer.Option(min=1, help="Frames on the page.")]


def compare(
    places: Places,
    models: Models = None,
    shrink: Shrink = False,
    crf: Crf = None,
    clean: CleanChain = "off",
    align: Alignment = "time",
    crop: Crop = None,
    border: Border = 4,
    frames: Frames = None,
    start: params.Start = None,
    end: params.End = None,
    metrics: Metrics = None,
    vgg: VggChoice = "none",
    vmaf: VmafChoice = None,
    html: Html = None,
    sheet: Sheet = None,
    csv: Csv = None,
    shown: Shown = 8,
    device: params.Device = "auto",
    dtype: params.Dtype = "auto",
    overwrite: params.Overwrite = False,
    json: params.Json = False,
    quiet: params.Quiet = False,
    verbose: params.Verbose = False,
) -> None:
    """Compare films or pictures with a reference, or models on one input."""
    # Here, so that --help does not wait for torch and FFmpeg.
    from vsr.cli.comparison_console import show_comparison
    from vsr.evaluation.options import CompareOptions, parse_crop
    from vsr.report.data import to_json
    from vsr.report.front import ReportTargets
    from vsr.report.front import compare as run
    from vsr.units import parse_seconds

    options = CompareOptions(
        align=cast(Any, align),  # checked by the options themselves
        crop=None if crop is None else parse_crop(crop),
        border=border,
        metrics=_listed(metrics or ""),
        frames=frames,
        start=None if start is None else parse_seconds(start),
        end=None if end is None else parse_seconds(end),
        vgg=vgg,
        vmaf=vmaf,
        shown=shown if html or sheet else 0,
        shrink=shrink,
        crf=crf,
        clean=clean,
        device=device,
        dtype=dtype,
    )
    targets = ReportTargets(html=html, sheet=sheet, csv=csv, overwrite=overwrite)
    with Console(json=False, quiet=quiet, verbose=verbose) as console:
        comparison = run(
            places[0], places[1:], options, console.on_event,
            models=None if models is None else _listed(models), targets=targets,
        )  # fmt: skip
    if json:
        print(as_json(to_json(comparison)))
    else:
        show_comparison(comparison, targets, quiet=quiet)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())

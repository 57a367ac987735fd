"""`vsr train`: pictures or videos in, weights out."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from vsr.options import DtypeName
from vsr.training.options import Adversarial, Content, Degrade, Head, PixelLoss

ENDING = (signal.SIGINT, signal.SIGTERM)
"""A step is short: whichever comes first, it is finished and saved."""

Frames = Annotated[
    list[Path], typer.Argument(metavar="FRAMES...", help="Pictures, videos, or folders of them.")
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for weights, log and sheets.")]
Recipe = Annotated[
    str,
    typer.Option(
        # By hand, as recipes need torch: tests/training/test_recipes.py compares.
        help="psnr, srgan, esrgan or real-esrgan; or a preset: srcnn, srresnet, compact, tiny, "
        "video, video-tiny, video-gan, compact-video, compact-gan."
    ),
]
Arch = Annotated[
    str | None,
    typer.Option(
        help="Network: srcnn, srresnet, compact, tiny, rrdb, video or video-tiny. "
        "[default: by the recipe]",
    ),
]
Init = Annotated[str | None, typer.Option(help="Weights to start from, by name or path.")]
Steps = Annotated[int | None, typer.Option(help="Steps to train. [default: by the recipe]")]
Minutes = Annotated[
    float | None, typer.Option(help="Train for so long; the learning rate follows the clock.")
]
Pause = Annotated[
    float | None, typer.Option(help="Stop this process after so long, saved, to be resumed.")
]
Batch = Annotated[int | None, typer.Option(help="Patches a step. [default: by the recipe]")]
Patch = Annotated[int | None, typer.Option(help="Side of a patch in low-resolution pixels.")]
Rate = Annotated[float | None, typer.Option("--lr", help="Learning rate. [default: by the recipe]")]
Seed = Annotated[int, typer.Option(help="Of weights, crops and damage.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Dtype = Annotated[DtypeName, typer.Option(help="Type of the network's arithmetic.")]
Workers = Annotated[int | None, typer.Option(help="Threads that make patches.")]
Val = Annotated[
    Path | None,
    typer.Option(help="Pictures to validate with, or HR and LR folders. [default: some held out]"),
]
Every = Annotated[int | None, typer.Option(help="Steps between validations.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on, even with other settings.")]
Damage = Annotated[
    Degrade | None, typer.Option(help="What spoils the low pictures. [default: by the recipe]")
]
VggChoice = Annotated[str, typer.Option("--vgg", help="VGG19 for the content: auto, none or PATH.")]
Pixel = Annotated[PixelLoss | None, typer.Option(help="Pixel loss. [default: by the recipe]")]
PixelFirst = Annotated[
    float | None,
    typer.Option(
        help="Share of the run before an adversary comes, 0 to 1. [default: by the recipe]"
    ),
]
ContentChoice = Annotated[
    Content | None, typer.Option("--content", help="Content loss. [default: by the recipe]")
]
Loss = Annotated[Adversarial | None, typer.Option(help="Adversarial loss.")]
Weights = Annotated[
    str | None,
    typer.Option(
        "--loss-weights",
        help="Weights of losses, such as pixel=1,adversarial=0.003. [default: by the recipe]",
    ),
]
HeadChoice = Annotated[
    Head | None, typer.Option(help="Discriminator: one answer, a map, or each pixel.")
]
Net = Annotated[str | None, typer.Option(help="Size of the network, such as features=32,layers=8.")]
Branches = Annotated[
    bool, typer.Option("--branches", help="Train 3x3 convolutions as sums of branches (slower).")
]
Compile = Annotated[bool, typer.Option("--compile", help="Use torch.compile.")]
CacheSize = Annotated[str, typer.Option("--cache", help="Memory for decoded pictures.")]
Board = Annotated[Path | None, typer.Option(help="Folder for TensorBoard (an optional extra).")]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON on stdout.")]


def train(
    frames: Frames,
    out: Out = Path("training"),
    recipe: Recipe = "psnr",
    arch: Arch = None,
    init: Init = None,
    steps: Steps = None,
    minutes: Minutes = None,
    pause_minutes: Pause = None,
    batch: Batch = None,
    patch: Patch = None,
    lr: Rate = None,
    seed: Seed = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    workers: Workers = None,
    val: Val = None,
    validate_every: Every = None,
    resume: Resume = False,
    degrade: Damage = None,
    vgg: VggChoice = "auto",
    pixel: Pixel = None,
    pixel_first: PixelFirst = None,
    content: ContentChoice = None,
    adversarial: Loss = None,
    loss_weights: Weights = None,
    head: HeadChoice = None,
    net: Net = None,
    branches: Branches = False,
    compile: Compile = False,  # noqa: A002  # the flag's name
    cache: CacheSize = "2GB",
    tensorboard: Board = None,
    json: Json = False,
) -> None:
    """Learn weights from your own footage: pictures, videos, or a folder of both."""
    # Here, so that --help does not wait for torch.
    from vsr.cli.places import expanded
    from vsr.cli.signals import stop_on_signals
    from vsr.cli.train_console import TrainConsole
    from vsr.training.loop import train as run
    from vsr.training.options import TrainOptions, parse_loss_weights, parse_net
    from vsr.units import parse_bytes

    options = TrainOptions(
        frames=tuple(expanded(frames)), out=out, recipe=recipe, arch=arch, init=init, steps=steps,
        minutes=minutes, pause_minutes=pause_minutes, batch=batch, patch=patch, lr=lr, seed=seed,
        device=device, dtype=dtype, workers=workers, val=val, validate_every=validate_every,
        resume=resume, degrade=degrade, vgg=vgg, pixel=pixel, pixel_first=pixel_first,
        content=content, adversarial=adversarial, loss_weights=parse_loss_weights(loss_weights),
        head=head, net=parse_net(net), branches=branches, compile=compile, cache=parse_bytes(cache),
        tensorboard=tensorboard,
    )  # fmt: skip
    with TrainConsole() as console, stop_on_signals(patient=ENDING) as stop:
        report = run(options, console.show, stop)
    console.finish(report, as_json=json)
    if stop():
        raise typer.Exit(stop.exit_code)

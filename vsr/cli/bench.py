"""``vsr bench``: how fast a network, the pipeline and the alternatives are on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import typer

from vsr.cli import params
from vsr.options import EngineOptions, UpscaleOptions
from vsr.runtime import let_threads_sleep
from vsr.units import auto_or_number, parse_bytes, parse_size

bench = typer.Typer(no_args_is_help=True)

Models = Annotated[
    list[str] | None, typer.Argument(metavar="[MODEL...]", help="[default: all shipped]")
]
Sizes = Annotated[
    list[str] | None, typer.Option("--size", metavar="WxH", help="Input size; repeatable.")
]
Batches = Annotated[
    list[int] | None, typer.Option("--batch", min=1, help="Pictures at once; repeatable.")
]
Tiles = Annotated[
    list[int] | None,
    typer.Option("--tile", metavar="N", min=16, help="In tiles of that side; repeatable."),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ROW",
        help="Beside network only decode, motion, enlarge, encode, 'encoder off', pipeline or "
        "reused; repeatable.",
    ),
]
Clip = Annotated[
    str, typer.Argument(metavar="CLIP", help="moving, terminal, slides, or a video of yours.")
]
Size = Annotated[str, typer.Option(metavar="WxH", help="Size of a clip that is made here.")]
Frames = Annotated[int, typer.Option(min=1, help="Frames of a clip that is made here.")]
Repeats = Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")]
Preset = Annotated[str, typer.Option(help="The encoder's speed.")]


@bench.callback()
def prepare() -> None:
    """Measure speed on this machine, in a process that is as `vsr upscale` has it."""
    let_threads_sleep()


@bench.command("model")
def model(
    models: Models = None,
    size: Sizes = None,
    batch: Batches = None,
    tile: Tiles = None,
    device: params.Device = "auto",
    dtype: params.Dtype = "auto",
    repeats: Repeats = 5,
    json: params.Json = False,
) -> None:
    """Networks alone: frames a second, and the share of what the machine can compute."""
    from vsr.bench.model import bench_model
    from vsr.cli.bench_tables import show_model
    from vsr.weights import names

    options = EngineOptions(device=device, dtype=cast(Any, dtype))
    sizes = [parse_size(text) for text in size or ["160x90", "320x180"]]
    for name in models or names():
        rows = bench_model(
            name,
            sizes,
            batches=batch or [1],
            tiles=[*tile] if tile else [None],
            options=options,
            repeats=repeats,
        )
        show_model(rows, json=json)


@bench.command("pipeline")
def pipeline(
    clip: Clip = "moving",
    model: params.Model = "auto",
    size: Size = "320x180",
    frames: Frames = 96,
    device: params.Device = "auto",
    dtype: params.Dtype = "auto",
    tile: params.Tile = "auto",
    vram: params.Vram = None,
    codec: params.Codec = "h264",
    preset: Preset = "veryfast",
    repeats: Repeats = 5,
    only: Only = None,
    json: params.Json = False,
) -> None:
    """The whole of `vsr upscale` against each of its stages alone, on one clip."""
    from vsr.bench.pipeline import bench_pipeline
    from vsr.cli.bench_tables import show_pipeline

    options = UpscaleOptions(
        model=model,
        device=device,
        dtype=cast(Any, dtype),
        tile=auto_or_number("tile")(tile),
        vram=None if vram is None else parse_bytes(vram),
        codec=cast(Any, codec),
        preset=preset,
    )
    made = parse_size(size)
    speed = bench_pipeline(
        clip, options, size=made, frames=frames, repeats=repeats, only=tuple(only or ())
    )
    show_pipeline(speed, json=json)


@bench.command("peers")
def peers(
    clip: Clip = "moving",
    model: params.Model = "auto",
    size: Size = "320x180",
    frames: Frames = 48,
    device: params.Device = "auto",
    preset: Preset = "veryfast",
    repeats: Repeats = 5,
    json: params.Json = False,
) -> None:
    """The same network driven the usual way, other people's networks, and plain interpolation."""
    from vsr.bench.peers import bench_peers
    from vsr.cli.bench_tables import show_peers

    options = UpscaleOptions(model=model, device=device, preset=preset)
    made = parse_size(size)
    rows = bench_peers(clip, options, size=made, frames=frames, repeats=repeats)
    show_peers(rows, json=json)


@bench.command("encoders")
def encoders(
    size: Size = "2560x1440",
    frames: Frames = 24,
    repeats: Repeats = 3,
    json: params.Json = False,
) -> None:
    """Encoders alone, by codec and preset: megapixels and frames a second on this machine."""
    from vsr.bench.encoders import bench_encoders, known_encoders
    from vsr.cli.bench_tables import show_encoders

    rows = bench_encoders(parse_size(size), known_encoders(), frames=frames, repeats=repeats)
    show_encoders(rows, json=json)


@bench.command("train")
def train(
    recipes: Annotated[
        list[str] | None, typer.Argument(metavar="[RECIPE...]", help="[default: psnr]")
    ] = None,
    frames: Annotated[
        list[Path] | None,
        typer.Option("--frames", metavar="DIR", help="Pictures; else some that are made here."),
    ] = None,
    device: params.Device = "auto",
    seconds: Annotated[float, typer.Option(min=0.1, help="For each recipe.")] = 20,
    workers: Annotated[int | None, typer.Option(min=0, help="Threads that make pairs.")] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="With torch.compile.")] = False,
    vgg: Annotated[str, typer.Option(help="As of `vsr train`.")] = "auto",
    json: params.Json = False,
) -> None:
    """Training: steps a second, and the share of the time in which they waited for pictures."""
    from vsr.bench.train import bench_train
    from vsr.cli.bench_tables import show_train

    rows = bench_train(
        recipes or ["psnr"],
        frames or [],
        device=device,
        seconds=seconds,
        workers=workers,
        compiles=compiled,
        vgg=vgg,
    )
    show_train(rows, json=json)


@bench.command("sizes")
def sizes(
    model: params.Model = "auto",
    size: Sizes = None,
    frames: Frames = 8,
    device: params.Device = "auto",
    vram: params.Vram = None,
    preset: Preset = "veryfast",
    json: params.Json = False,
) -> None:
    """Time and memory of the command, from small pictures to large ones."""
    from vsr.bench.pipeline import bench_sizes
    from vsr.cli.bench_tables import show_sizes

    budget = None if vram is None else parse_bytes(vram)
    options = UpscaleOptions(model=model, device=device, vram=budget, preset=preset)
    given = size or ["160x90", "320x180", "640x360", "1280x720", "1920x1080"]
    show_sizes(bench_sizes([parse_size(text) for text in given], options, frames=frames), json=json)

"""Every option of ``vsr upscale`` as a typed parameter: its flag, its help, its parser."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from vsr.errors import BatchIncomplete, OptionsError, Stopped
from vsr.events import BatchReport
from vsr.options import CodecName, DeinterlaceMode, DtypeName, OnError, Order, Switch

Places = Annotated[
    list[Path],
    typer.Argument(
        metavar="SOURCE [TARGET]",
        help="A video, a picture, or a folder of either, and where to: the same kinds; a folder "
        "has no suffix. Without a target: beside the source, as in_4x.mp4. With --to: any number "
        "of videos and folders of them. Quoted patterns are expanded.",
    ),
]

Model = Annotated[str, typer.Option("--model", metavar="NAME|PATH", help="See `vsr models list`.")]
Then = Annotated[
    list[str] | None,
    typer.Option("--then", metavar="NAME|PATH", help="A model that runs after; repeatable."),
]
Denoise = Annotated[
    float | None,
    typer.Option("--denoise", metavar="0..1", help="For realesr-general-x4v3.pth and its twin."),
]
CheckModel = Annotated[
    bool | None,
    typer.Option(
        "--check-model/--no-check-model",
        help="Warn of a model that loses to bicubic on a crop; by default of strangers' models.",
    ),
]
Scale = Annotated[
    float | None, typer.Option("--scale", help="1 to 8; the network's own factor unless told.")
]
Height = Annotated[int | None, typer.Option("--height", help="Target height; the width follows.")]
Width = Annotated[int | None, typer.Option("--width", help="Target width; the height follows.")]
TargetSize = Annotated[str | None, typer.Option("--size", metavar="WxH", help="Exact target size.")]
Device = Annotated[
    str, typer.Option("--device", metavar="auto|cuda[:n]|mps|cpu", help="Where the network runs.")
]
Devices = Annotated[
    str | None,
    typer.Option(
        "--devices", metavar="all|cuda:0,cuda:1|cpu:N", help="Several at once, for one video too."
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option("--cluster", metavar="auto|HOST:PORT", help="The workers of a Ray cluster."),
]
Workers = Annotated[
    int | None, typer.Option("--workers", metavar="N", help="Cluster: how many; as it has room.")
]
Cores = Annotated[
    int | None, typer.Option("--cores", metavar="N", help="Cluster: CPU cores of each worker.")
]
Ship = Annotated[
    bool, typer.Option("--ship", help="Cluster: send files where nodes share no storage.")
]
Dtype = Annotated[
    str, typer.Option("--dtype", metavar="|".join(get_args(DtypeName)), help="Precision.")
]
Tile = Annotated[
    str, typer.Option("--tile", metavar="auto|N", help="Side of a tile in input pixels.")
]
Overlap = Annotated[
    str,
    typer.Option(
        "--overlap",
        metavar="auto|N",
        help="Pixels that tiles share on each side; auto is exact, less is cross-faded.",
    ),
]
Batch = Annotated[str, typer.Option("--batch", metavar="auto|N", help="Tiles that run at once.")]
Vram = Annotated[
    str | None,
    typer.Option("--vram", metavar="4GB", help="Memory budget, from which tile and batch follow."),
]
Reuse = Annotated[
    str,
    typer.Option(
        "--reuse",
        metavar="exact|off|N",
        help="Compute only what changed since the frame before, by more than N code values. "
        "On a GPU exact is within one code value.",
    ),
]
Compile = Annotated[
    str,
    typer.Option(
        "--compile", metavar="auto|on|off", help="Build the network for its one shape first."
    ),
]
HwAccel = Annotated[
    str, typer.Option("--hwaccel", metavar="auto|off", help="Decode on the GPU, where it can.")
]
Encoders = Annotated[
    str, typer.Option("--encoders", metavar="auto|N", help="Segments encoded side by side.")
]
Codec = Annotated[
    str, typer.Option("--codec", metavar="|".join(get_args(CodecName)), help="Video codec.")
]
Crf = Annotated[float | None, typer.Option("--crf", help="Quality: lower is better and larger.")]
Preset = Annotated[
    str | None,
    typer.Option("--preset", help="The encoder's speed: veryfast, medium, slow; 0-13 for av1."),
]
PixFmt = Annotated[str | None, typer.Option("--pix-fmt", help="Pixel format, such as yuv420p10le.")]
EncoderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--encoder-option", metavar="K=V", help="Any option of the encoder's; repeatable."
    ),
]
Start = Annotated[
    str | None, typer.Option("--start", metavar="TIME", help="Begin here: seconds or h:mm:ss.mmm.")
]
End = Annotated[str | None, typer.Option("--end", metavar="TIME", help="Stop before this time.")]
Deinterlace = Annotated[
    str,
    typer.Option(
        "--deinterlace",
        metavar="|".join(get_args(DeinterlaceMode)),
        help="A frame for each frame, or for each field; auto finds fields that move.",
    ),
]
Ivtc = Annotated[
    str,
    typer.Option(
        "--ivtc", metavar="|".join(get_args(Switch)), help="Film in fields back to its pictures."
    ),
]
CleanChain = Annotated[
    str,
    typer.Option(
        "--clean",
        metavar="off|vhs|dvd|film|web[:0..1]",
        help="Take such dirt out before the network sees it.",
    ),
]
Fps = Annotated[
    str | None,
    typer.Option("--fps", metavar="N|N/D", help="For a folder of frames that becomes a video."),
]
Compare = Annotated[
    Path | None,
    typer.Option("--compare", metavar="FILE.html", help="Write a page of frames before and after."),
]
To = Annotated[
    Path | None,
    typer.Option("--to", metavar="FOLDER", help="Folders: the folder that takes every target."),
]
Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Folders: look into folders; the tree is kept.")
]
Include = Annotated[
    list[str] | None,
    typer.Option("--include", metavar="PATTERN", help="Folders: take only such names; repeatable."),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="PATTERN", help="Folders: leave such names; repeatable."),
]
Name = Annotated[
    str,
    typer.Option(
        "--name",
        metavar="TEMPLATE",
        help="Folders: names of targets, of {stem} {suffix} {extension} {width} {height} {scale} "
        "{model}.",
    ),
]
Failing = Annotated[
    str,
    typer.Option(
        "--on-error", metavar="|".join(get_args(OnError)), help="Folders: after a file that failed."
    ),
]
SkipBroken = Annotated[
    bool,
    typer.Option(
        "--skip-broken",
        help="Folders: leave files alone that failed as damaged, until they change.",
    ),
]
Sorting = Annotated[
    str,
    typer.Option("--order", metavar="|".join(get_args(Order)), help="Folders: what goes first."),
]
Watch = Annotated[bool, typer.Option("--watch", help="Folders: go on with new files.")]
Poll = Annotated[
    float, typer.Option("--poll", metavar="SECONDS", help="Folders: how often --watch looks.")
]
Preview = Annotated[
    float | None,
    typer.Option("--preview", metavar="SECONDS", help="Make only the liveliest stretch, so long."),
]
Force = Annotated[bool, typer.Option("--force", help="Begin though the disk seems too small.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the target if it exists.")]
Restart = Annotated[
    bool, typer.Option("--restart", help="Discard an interrupted run of other settings.")
]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Begin anew, whatever an interrupted run had finished.")
]
AllowHuge = Annotated[
    bool,
    typer.Option("--allow-huge", help="Believe frames of more than 128 million pixels."),
]
AcceptTruncated = Annotated[
    bool,
    typer.Option("--accept-truncated", help="Finish a video that ends long before it says."),
]
Stall = Annotated[
    float,
    typer.Option(
        "--stall", metavar="SECONDS", help="Fail when the source does not answer so long. 0: wait."
    ),
]
Verify = Annotated[
    str,
    typer.Option("--verify", metavar="packets|full", help="full decodes the whole target, too."),
]
Events = Annotated[bool, typer.Option("--json", help="Write events to stdout, one a line.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be done and what it takes.")
]
Json = Annotated[bool, typer.Option("--json", help="Write the result as JSON to stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no report.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Every event, and the library's log.")
]


def auto_or_number(name: str, text: str) -> int | None:
    """ "auto" is ``None``, anything else a whole number."""
    if text == "auto":
        return None
    try:
        return int(text)
    except ValueError as error:
        raise OptionsError(f"{name} must be auto or a whole number, got {text!r}") from error


def pairs(texts: list[str] | None) -> tuple[tuple[str, str], ...]:
    """ "k=v" texts as pairs."""
    split = [text.partition("=") for text in texts or []]
    for key, equals, value in split:
        if not (key and equals):
            raise OptionsError(
                f"an encoder option is written key=value, got {key + equals + value!r}"
            )
    return tuple((key, value) for key, _, value in split)


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

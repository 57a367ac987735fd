"""Every option of ``vsr upscale`` as a typed parameter: its flag, its help, its parser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from vsr.errors import OptionsError
from vsr.options import CodecName, Deinterlace, DtypeName

Source = Annotated[Path, typer.Argument(help="A video, a picture, or a folder of pictures.")]
Target = Annotated[Path, typer.Argument(help="Where to: the same kinds; a folder has no suffix.")]

Model = Annotated[str, typer.Option("--model", metavar="NAME|PATH", help="See `vsr models list`.")]
Scale = Annotated[float | None, typer.Option("--scale", help="2 to 8; the network's own is 4.")]
Height = Annotated[int | None, typer.Option("--height", help="Target height; the width follows.")]
Width = Annotated[int | None, typer.Option("--width", help="Target width; the height follows.")]
TargetSize = Annotated[str | None, typer.Option("--size", metavar="WxH", help="Exact target size.")]
Device = Annotated[
    str, typer.Option("--device", metavar="auto|cuda[:n]|mps|cpu", help="Where the network runs.")
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
DeinterlaceMode = Annotated[
    str,
    typer.Option(
        "--deinterlace", metavar="|".join(get_args(Deinterlace)), help="Auto finds combing."
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
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the target if it exists.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
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

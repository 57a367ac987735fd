"""The speed of encoders alone, at a size, as `vsr upscale` sets them up."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch

from vsr.bench.clips import RATE, generate, moving
from vsr.color import BT709, ColorSpec, from_rgb
from vsr.errors import VsrError
from vsr.geometry import Size
from vsr.media.clip import Clip
from vsr.media.read.probe import probe
from vsr.media.write.codecs import CODECS, SPEEDS
from vsr.media.write.encoding import choose
from vsr.media.write.writer import SegmentWriter, Timing
from vsr.options import UpscaleOptions
from vsr.system import processors

SMALL = Size(64, 48)  # of the file that tells what is encoded
CLIP_FRAMES = 4


@dataclass(frozen=True, slots=True)
class EncoderSpeed:
    """One encoder at one size."""

    codec: str
    """The codec by its name in vsr's options, such as "h264"."""
    preset: str
    """The encoder's preset; empty where it has none to choose."""
    size: Size
    """Size of the frames, in target pixels."""
    frames: int
    """Frames that were encoded."""
    cores: int
    """Processors that the encoder could use."""
    frames_per_second: float
    """From the median of the repeats; 0 where it does not run here."""
    megapixels_per_second: float
    """Of all ``cores`` together; 0 where it does not run here."""
    bytes_per_frame: float
    """The mean over the file; 0 where it does not run here."""
    refused: str = ""
    """Why it does not run here; empty where it does."""


def known_encoders() -> list[tuple[str, str | None]]:
    """The codecs and presets whose speed the tool knows, and those that it leaves to a card."""
    ours = [(codec, preset) for codec, presets in SPEEDS.items() for preset in presets]
    return [*ours, *((name, None) for name in CODECS if name.endswith("_nvenc"))]


def bench_encoders(
    size: Size, which: Sequence[tuple[str, str | None]], *, frames: int, repeats: int = 1
) -> list[EncoderSpeed]:
    """Encode frames that move everywhere with each codec and preset; medians of ``repeats``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "moving.mkv"
        generate("moving", source, SMALL, 2)
        spec = ColorSpec(matrix=BT709)
        clips = list(_clips(size, frames, spec))
        return [
            _measured(source, folder, size, codec, preset, clips, frames, repeats)
            for codec, preset in which
        ]


def _clips(size: Size, frames: int, spec: ColorSpec) -> Sequence[Clip]:
    """The frames as planes, a few to a clip, as the engine hands them on."""
    pictures = [torch.from_numpy(picture) for picture in moving(size, frames)]  # pyright: ignore[reportUnknownMemberType]
    made: list[Clip] = []
    for start in range(0, frames, CLIP_FRAMES):
        some = pictures[start : start + CLIP_FRAMES]
        rgb = (picture.permute(2, 0, 1)[None].float() / 255 for picture in some)
        planes = [from_rgb(pixels, spec) for pixels in rgb]
        stacked = tuple(torch.cat(plane) for plane in zip(*planes, strict=True))
        times = tuple(range(start, start + len(some)))
        made.append(Clip(stacked, spec, times, (1,) * len(some), Fraction(1, RATE)))
    return made


def _measured(
    source: Path,
    folder: Path,
    size: Size,
    codec: str,
    preset: str | None,
    clips: Sequence[Clip],
    frames: int,
    repeats: int,
) -> EncoderSpeed:
    speed = CODECS[codec].speed
    shown = preset or ("" if speed is None else speed[1])
    try:
        asked = UpscaleOptions(model="nearest", codec=codec, preset=preset)  # pyright: ignore[reportArgumentType]  # checked by it
        encoding = choose(probe(source), folder / "out.mkv", size, asked)
        timing = Timing(Fraction(1, RATE), Fraction(RATE), None)
        times: list[float] = []
        path = folder / f"made.{encoding.entry.segment}"
        for _ in range(repeats):
            begun = time.perf_counter()
            with SegmentWriter(0, path, encoding, timing) as writer:
                for clip in clips:
                    writer.write(clip)
                writer.finish()
            times.append(time.perf_counter() - begun)
    except VsrError as error:
        return EncoderSpeed(codec, shown, size, frames, processors(), 0.0, 0.0, 0.0, error.message)
    fps = frames / statistics.median(times)
    weight = path.stat().st_size / frames
    return EncoderSpeed(
        codec, shown, size, frames, processors(), fps, fps * size.pixels / 1e6, weight
    )

"""Compare models on one input: the same frames through each, with the input itself as reference.

With ``shrink`` the input is the reference and what is upscaled is made from it: shrunk by the
models' factor, compressed where asked. Without, nothing is known of the truth: the films are shown
side by side, and only flicker and sharpness are measured, against the input enlarged by bicubic.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from vsr.color import SMPTE170M, ColorSpec, from_rgb, to_rgb
from vsr.degrade.video_codec import Quality, through
from vsr.errors import OptionsError
from vsr.evaluation.files import BURST, exact, expected
from vsr.evaluation.footage import Footage, Frame
from vsr.evaluation.options import COMMON, CompareOptions
from vsr.evaluation.result import Comparison
from vsr.evaluation.session import Session
from vsr.events import EventSink, Started
from vsr.geometry import Size
from vsr.infer.engine import Engine
from vsr.media.chroma_shift import measure_shift, moved_back
from vsr.media.clean import Cleaner, Filters, chain
from vsr.media.pixels import Unpacker, name_of, pack
from vsr.metrics.picture import rounded
from vsr.models.arch import Upscaler
from vsr.restoration import Clean, parse_clean

GARBLED_BLOCK = 16
"""Pixels a side of the enlarged picture."""
GARBLED = 0.15
"""Mean distance over a block, of 0..1. Sharpening moves edges, and their blocks by less than half
of that: on three natural clips, clean and compressed, nothing shipped came to 0.03."""
FRAMES = 24
"""Frames that are looked at unless told: eight places of three frames each; with a recurrent
network twice as many, four places of :data:`RECURRENT_BURST`."""
RECURRENT_BURST = 12
"""Frames of a place where a model keeps a state, which takes some to fill."""
_CODED = ColorSpec("yuv", 8, (1, 1), matrix=SMPTE170M, range=1)
_HALF = Fraction(1, 2)
_GROUP = 12
"""Frames that are compressed together at most, as one group of pictures."""


def compare_models(
    source: Path,
    models: Mapping[str, Upscaler],
    options: CompareOptions,
    on_event: EventSink,
) -> Comparison:
    """One input through several models, by name. See the module; raises a :class:`VsrError`."""
    clean = parse_clean(options.clean)
    kinds = [False] * len(models)
    if clean is not None:  # each model once more, on the cleaned input
        kinds += [True] * len(models)
        again = {f"{name}, {clean.preset} {clean.strength:g}": one for name, one in models.items()}
        models = {**models, **again}
    upscalers = list(models.values())
    scale = upscalers[0].scale
    if any(upscaler.scale != scale for upscaler in upscalers):
        raise OptionsError("models with different factors cannot be compared on one reference")
    if options.crop is COMMON:
        raise OptionsError("--crop common is for files of different sizes")
    footage = Footage(source)
    frames = expected(footage, options)
    # A folder of pictures is looked at whole: they are not neighbours of each other.
    burst = RECURRENT_BURST if any(upscaler.state_channels for upscaler in upscalers) else BURST
    usual = FRAMES * burst // BURST // 2 if burst > BURST else FRAMES
    usual = usual if footage.info is not None or frames is None else frames
    wanted = usual if options.frames is None else options.frames
    count = wanted if frames is None else min(wanted, frames)
    filters = _filters(clean, footage, options)
    size = footage.first.size
    size = Size(size.width // scale * scale, size.height // scale * scale) if options.shrink else (
        size.scaled(scale)
    )  # fmt: skip
    _check_crop(options, size)
    films = [(name, model.card.get("about", model.arch)) for name, model in models.items()]
    engines = [Engine(upscaler, options.engine, on_event) for upscaler in upscalers]
    clocks = [_Clock() for _ in upscalers]
    reference = source.name if options.shrink else None
    if frames is None or frames > wanted:  # neighbours look alike: one of each three
        options = replace(options, shown=min(options.shown, -(-wanted // burst)))
    garbled = [_Garbled(name) for name in models]
    on_event(Started(source, source, count, footage.first.size, size))
    with Session(reference, films, options, count, on_event) as session:
        for group in _grouped(bursts(footage, wanted, burst, options)):
            highs = [_cut(frame.rgb(), scale) if options.shrink else None for frame, _ in group]
            lows = [
                frame.rgb() if high is None else shrunk(high, scale)
                for (frame, _), high in zip(group, highs, strict=True)
            ]
            if options.crf is not None:
                lows = compressed(lows, options.crf)
            given = [lows, [cleaned(low, filters) for low in lows]] if filters else [lows]
            if not group[0][1]:
                for engine, kind in zip(engines, kinds, strict=True):
                    engine.begin_film(torch.stack(given[kind]))
            for (frame, follows), high, *inputs in zip(group, highs, *given, strict=True):
                seconds = float(frame.time - footage.first.time)
                pictures = [
                    clock.timed(engine, inputs[kind])
                    for clock, engine, kind in zip(clocks, engines, kinds, strict=True)
                ]
                smooth = [enlarged(one, scale) for one in inputs]
                for found, picture, kind in zip(garbled, pictures, kinds, strict=True):
                    found.look(picture, smooth[kind], seconds)
                guide = smooth[0] if high is None else high
                guide, *pictures = (_region(picture, options) for picture in (guide, *pictures))
                session.add(seconds, guide, pictures, follows=follows, name=frame.name)
        return session.finish(
            notes=[*_notes(footage, source), *(found.note for found in garbled if found.note)],
            settings=_settings(options, scale, engines, footage, wanted),
            seconds=[clock.seconds for clock in clocks],
        )


def _filters(clean: Clean | None, footage: Footage, options: CompareOptions) -> Filters:
    """What the input is cleaned by. The truth that was shrunk keeps its chroma where it is."""
    if clean is None:
        return ()
    info = footage.info
    if info is None or clean.preset != "vhs" or options.shrink or info.rotation:
        return chain(clean)
    shift = measure_shift(info)
    same = shift and shift.resampled(info.color.shift, _CODED.shift)
    return moved_back(same) + chain(clean)


def cleaned(low: Tensor, filters: Filters) -> Tensor:
    """(3, h, w) RGB 0..1 after a chain of filters, which sees it as 4:2:0."""
    height, width = low.shape[-2:]
    even = functional.pad(low[None], (0, width % 2, 0, height % 2), mode="replicate")
    name = name_of(_CODED)
    frame = Cleaner(filters, name).clean(pack(from_rgb(even, _CODED), 0, _CODED, name))
    unpacker = Unpacker(_CODED, name, Size(even.shape[-1], even.shape[-2]))
    planes = unpacker.empty(1)
    unpacker.fill(planes, 0, frame)
    return to_rgb(planes, _CODED)[0, :3, :height, :width].clamp_(0, 1)


def shrunk(high: Tensor, scale: int) -> Tensor:
    """(3, h, w) to (3, h / scale, w / scale) by antialiased bicubic, rounded to 8 bits."""
    size = [side // scale for side in high.shape[-2:]]
    low = functional.interpolate(high[None], size=size, mode="bicubic", antialias=True)
    return rounded(low[0]).float()


def enlarged(low: Tensor, scale: int) -> Tensor:
    """(3, h, w) to (3, h * scale, w * scale) by bicubic, 0..1."""
    size = [side * scale for side in low.shape[-2:]]
    high = functional.interpolate(low[None], size=size, mode="bicubic", antialias=True)
    return high[0].clamp(0, 1)


def compressed(lows: Sequence[Tensor], crf: float) -> list[Tensor]:
    """(3, h, w) RGB pictures through x264 as one group of pictures, 4:2:0 of 8 bits, and back."""
    height, width = lows[0].shape[-2:]
    # Even sides, as 4:2:0 wants: a line or a column at the end is repeated, and cut off again.
    even = functional.pad(torch.stack(list(lows)), (0, width % 2, 0, height % 2), mode="replicate")
    planes = from_rgb(even, _CODED)
    decoded = through(
        planes,
        Quality("libx264", "h264", crf, crf, 1),
        {"crf": f"{crf:g}", "preset": "medium", "threads": "1"},
        len(lows),
    )
    return [picture[:, :height, :width].clamp(0, 1) for picture in to_rgb(decoded, _CODED)]


class _Clock:
    """How long a model takes for a frame, the first one apart, which pays for warming up."""

    def __init__(self) -> None:
        self._seconds: list[float] = []

    def timed(self, engine: Engine, low: Tensor) -> Tensor:
        begun = time.perf_counter()
        made = engine.follow(low[None])[0].clamp_(0, 1)
        self._seconds.append(time.perf_counter() - begun)
        # Rounded, as a file would hold it: what is shown is what was measured.
        return rounded(made).float()

    @property
    def seconds(self) -> float:
        counted = self._seconds[1:] or self._seconds
        return math.fsum(counted) / len(counted)


class _Garbled:
    """Frames of a model with a block that no sharpening explains."""

    def __init__(self, name: str) -> None:
        self._name, self._frames, self._first = name, 0, 0.0

    def look(self, made: Tensor, bicubic: Tensor, seconds: float) -> None:
        if worst_block(made, bicubic) > GARBLED:
            self._first = self._first if self._frames else seconds
            self._frames += 1

    @property
    def note(self) -> str:
        """For people; empty where there was none."""
        if not self._frames:
            return ""
        return (
            f"{self._name}: {self._frames} frames hold blocks that differ wildly from bicubic, the "
            f"first at {self._first:.2f} s"
        )


def bursts(
    footage: Footage, wanted: int, burst: int, options: CompareOptions
) -> Iterator[tuple[Frame, bool]]:
    """Frames to look at, each with whether it follows the one before right away."""
    info, zero = footage.info, footage.first.time
    frames, length = expected(footage, options), None if info is None else info.duration_seconds
    start, end = exact(options.start or 0.0), None if options.end is None else exact(options.end)
    if info is None or length is None or (frames is not None and frames <= wanted):
        found = iter(footage) if length is None or not start else footage.read(zero + start)
        chosen = itertools.islice(_between(found, zero, start, end), wanted)
        yield from ((frame, place > 0 and not frame.name) for place, frame in enumerate(chosen))
        return
    end = exact(length) if end is None else min(end, exact(length))
    places = -(-wanted // burst)
    left, last = wanted, zero - 1
    for place in range(places):
        # In the middle of each of as many equal parts, neither the first frame nor the last; or
        # earlier, where it would leave its part. Half a frame ahead: containers round times.
        most = min(burst, left)
        middle = start + (end - start) * (2 * place + 1) / (2 * places)
        latest = start + (end - start) * (place + 1) / places - (most + _HALF) / info.frame_rate
        begin = max(start, min(middle, latest))
        inside = _between(footage.read(zero + begin), zero, begin, end)
        for number, frame in enumerate(itertools.islice(_after(inside, last), most)):
            left, last = left - 1, frame.time
            yield frame, number > 0


def _after(frames: Iterator[Frame], last: Fraction) -> Iterator[Frame]:
    return (frame for frame in frames if frame.time > last)


def _between(
    frames: Iterator[Frame], zero: Fraction, start: Fraction, end: Fraction | None
) -> Iterator[Frame]:
    for frame in frames:
        seconds = frame.time - zero
        if end is not None and seconds >= end:
            return
        if seconds >= start:
            yield frame


def _grouped(frames: Iterator[tuple[Frame, bool]]) -> Iterator[list[tuple[Frame, bool]]]:
    """Runs of frames that follow each other, of one size, and at most :data:`_GROUP` long."""
    group: list[tuple[Frame, bool]] = []
    for frame, follows in frames:
        if group and (not follows or len(group) == _GROUP or frame.size != group[-1][0].size):
            yield group
            group = []
        group.append((frame, follows))
    if group:
        yield group


def _cut(picture: Tensor, scale: int) -> Tensor:
    """Without the lines and columns that are left over when dividing by ``scale``."""
    height, width = (side // scale * scale for side in picture.shape[-2:])
    if not (height and width):
        raise OptionsError(f"a picture of {picture.shape[-1]}x{picture.shape[-2]} is too small")
    return picture[:, :height, :width]


def _check_crop(options: CompareOptions, size: Size) -> None:
    crop = options.crop
    if crop is not None and (crop.right > size.width or crop.bottom > size.height):
        raise OptionsError(
            f"the crop ends at {crop.right}x{crop.bottom}, outside of the enlarged {size}",
            hint="--crop is in pixels of the enlarged picture",
        )


def _region(picture: Tensor, options: CompareOptions) -> Tensor:
    crop = options.crop
    return picture if crop is None else picture[:, crop.y : crop.bottom, crop.x : crop.right]


def _notes(footage: Footage, source: Path) -> list[str]:
    damaged = footage.damaged
    return [f"{source.name}: {damaged} damaged packets or frames, concealed"] if damaged else []


def _settings(
    options: CompareOptions, scale: int, engines: Sequence[Engine], footage: Footage, wanted: int
) -> dict[str, str]:
    frames, info = expected(footage, options), footage.info
    burst = RECURRENT_BURST if any(engine.upscaler.state_channels for engine in engines) else BURST
    coded = "" if options.crf is None else f", then x264 at crf {options.crf:g}"
    how = f"the input shrunk by {scale} (bicubic){coded}" if options.shrink else "the input"
    crop = options.crop
    spread = info is not None and info.duration_seconds is not None
    whole = "all" if frames == footage.frames else f"all {frames} of the range"
    return {
        "input": footage.path.name,
        "upscaled": how,
        "reference": "the input" if options.shrink else "none",
        "region": "whole frames"
        if crop is None
        else f"{crop.width}x{crop.height} from {crop.x},{crop.y}",
        "border left out": f"{options.border} px (PSNR, SSIM, MS-SSIM)",
        "frames": whole
        if frames is not None and frames <= wanted
        else f"{wanted}, spread over the film in runs of {burst}"
        if spread
        else f"the first {wanted}",
        "device": ", ".join(sorted({str(engine.placement) for engine in engines})),
        "VGG": options.vgg,
    }


def worst_block(made: Tensor, bicubic: Tensor) -> float:
    """The largest mean distance of a block and a channel, of two (3, h, w) pictures 0..1."""
    off = (made - bicubic)[None]
    side = min(GARBLED_BLOCK, *off.shape[-2:])
    return float(functional.avg_pool2d(off, side, ceil_mode=True).abs().max())

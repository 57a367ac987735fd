"""Measure models against originals: test sets, folders of pictures, videos. It prints nothing.

The figures are those of the literature: PSNR and SSIM on luma, 4 px shaved, means over pictures.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vsr.color import SMPTE170M, ColorSpec, to_rgb
from vsr.degrade.base import Frames
from vsr.degrade.chroma import LEFT, LIMITED_RANGE, to_frames, to_planes
from vsr.degrade.resize import bicubic
from vsr.degrade.video_codec import QUALITIES, through
from vsr.errors import DataError, OptionsError
from vsr.infer.engine import Engine
from vsr.media.files import check_reachable
from vsr.media.read.images import natural
from vsr.media.read.probe import probe
from vsr.media.read.reader import Reader
from vsr.media.read.rgb import read_rgb
from vsr.media.suffixes import TRAINING_PICTURE_SUFFIXES, VIDEO_SUFFIXES, is_hidden
from vsr.metrics.picture import SHAVE, WINDOW, luma, psnr, rounded, sharpness, ssim
from vsr.metrics.temporal import can_be_followed, flicker
from vsr.motion import MIRRORED
from vsr.pairs import PicturePair, as_tensor, follows, is_pairs, pairs_in
from vsr.perceptual.lpips import Lpips
from vsr.perceptual.vgg import Vgg, vgg_distance

KEY_INTERVAL = 250
"""Frames between key frames of a compressed set: x264's own."""
LEAST = WINDOW + 2 * SHAVE
"""Pixels a side at least: SSIM's window, and what is left out along the edges."""
FIRST = 1 / 3
"""Where in a video its frames are taken from: films begin black. Earlier where too few follow."""


@dataclass(frozen=True, slots=True)
class TestSet:
    """Pictures with their originals."""

    name: str
    """Name of its file or folder."""
    pairs: Callable[[], Iterator[PicturePair]]
    """Reads them anew each time it is called."""
    film: bool = False
    """Whether they follow each other: recurrent networks see them so."""


@dataclass(frozen=True, slots=True)
class PictureScore:
    """One picture, or frame of a film, of one model."""

    name: str
    """Name of the picture."""
    psnr: float
    """PSNR of luma in decibels; infinite for equal pictures."""
    ssim: float
    """SSIM of luma; 1 for equal pictures."""
    perceptual: float | None
    """Distance of VGG features; ``None`` without a VGG."""
    flicker: float | None
    """Warping error from the frame before above the original's own, along the original's motion, in
    code values of 8 bits; ``None`` of pictures and of a first frame."""
    lpips: float | None = None
    """LPIPS; ``None`` where it was not asked for."""


@dataclass(frozen=True, slots=True)
class Score:
    """Means of one model on one set."""

    model: str
    """Name of the model."""
    data: str
    """Name of the set."""
    pictures: int
    """How many pictures the means are of."""
    psnr: float
    """Mean PSNR of luma in decibels."""
    ssim: float
    """Mean SSIM of luma."""
    perceptual: float | None
    """Mean distance of VGG features; ``None`` without a VGG."""
    drift: float
    """Largest change of a picture's mean colour against its input, over pictures and channels, in
    code values of 8 bits."""
    flicker: float | None
    """Mean flicker in code values of 8 bits, below 0 where the model is steadier than the original;
    ``None`` of a set that is no film."""
    sharpness: float
    """Variance of the Laplacian, as a share of the originals' own."""
    blockiness: float
    """How much steeper luma is across the edges of the cells that source pixels became than
    elsewhere; 1 for no cells."""
    milliseconds: float
    """Median time for one picture of 160x90, whatever the set."""
    frames: tuple[PictureScore, ...] = ()
    """The pictures that the means are of."""
    taught: bool = False
    """Whether the network learnt from the very VGG that judges it here."""
    lpips: float | None = None
    """Mean LPIPS; ``None`` where it was not asked for."""


def sets_in(
    places: Iterable[Path], scale: int, *, frames: int = 16, crf: float | None = None
) -> list[TestSet]:
    """The sets of ``places``, each named by its file or folder.

    A folder with ``HR`` and ``LR`` is one as it lies. Other pictures and ``frames`` consecutive
    ones of a video are originals: they are shrunk by antialiased bicubic, and with ``crf`` they go
    through x264 as one film. A folder of folders or of videos holds one set each.
    Raises :class:`DataError` where there is nothing to measure with.
    """
    if crf is not None and not 0 <= crf <= 51:
        raise OptionsError(f"crf must be from 0 to 51, got {crf:g}")
    found: list[TestSet] = []
    for place in places:
        check_reachable(place)
        if not place.exists():
            raise DataError(f"there is no file or folder {place}", hint="check the path")
        found += _sets(place, scale, frames, crf)
    if not found:
        raise DataError("nothing to measure with", hint="--data takes pictures, videos, folders")
    return found


def scores(
    engine: Engine, sets: Iterable[TestSet], vgg: Vgg | None = None, lpips: Lpips | None = None
) -> Iterator[Score]:
    """Enlarge every picture of each set, and compare."""
    speed = milliseconds(engine)
    for data in sets:
        yield _score(engine, data, vgg, lpips, speed)


def _score(
    engine: Engine, data: TestSet, vgg: Vgg | None, lpips: Lpips | None, speed: float
) -> Score:
    frames: list[PictureScore] = []
    others: list[tuple[float, float, float, float]] = []
    before: tuple[Tensor, Tensor] | None = None
    engine.forget()
    for pair in _led_in(engine, data.pairs()) if data.film else data.pairs():
        made = engine.follow(pair.low).clamp_(0, 1)
        if not data.film:
            engine.forget()
        both = made[0], pair.high[0]
        frames.append(
            PictureScore(
                pair.name,
                psnr(*both),
                ssim(*both),
                vgg_distance(made, pair.high, vgg) if vgg is not None else None,
                _flicker(before, both) if data.film and before is not None else None,
                lpips(*both) if lpips is not None else None,
            )
        )
        before = both
        others.append((
            drift(pair.low, made),
            sharpness(both[0]),
            sharpness(both[1]),
            cell_steps(both[0], engine.upscaler.scale),
        ))  # fmt: skip
    if not frames:
        raise DataError(f"{data.name} holds not one frame that can be read", hint="is it complete?")
    drifts, mine, theirs, steps = zip(*others, strict=True)
    return Score(
        model=engine.upscaler.name,
        data=data.name,
        pictures=len(frames),
        psnr=_mean([frame.psnr for frame in frames]) or 0.0,
        ssim=_mean([frame.ssim for frame in frames]) or 0.0,
        perceptual=_mean([frame.perceptual for frame in frames]),
        drift=max(drifts),
        flicker=_mean([frame.flicker for frame in frames]),
        sharpness=math.fsum(mine) / max(math.fsum(theirs), 1e-9),
        blockiness=math.fsum(steps) / len(steps),
        milliseconds=speed,
        frames=tuple(frames),
        taught=vgg is not None and vgg.layout in engine.upscaler.card.get("content loss", ""),
        lpips=_mean([frame.lpips for frame in frames]),
    )


def _led_in(engine: Engine, pairs: Iterator[PicturePair]) -> Iterator[PicturePair]:
    """The pairs of a film, of which the engine has seen the first ones as in a run."""
    begun = list(islice(pairs, MIRRORED + 1))
    lows = [pair.low for pair in begun]
    if lows:
        engine.begin_film(torch.cat([low for low in lows if low.shape == lows[0].shape]))
    return chain(begun, pairs)


def _flicker(before: tuple[Tensor, Tensor], now: tuple[Tensor, Tensor]) -> float | None:
    """Of what was made and the original; ``None`` where motion cannot be told at its size."""
    if before[1].shape != now[1].shape or not can_be_followed(*now[1].shape[-2:]):
        return None
    return flicker((before[0], now[0]), (before[1], now[1]))


def cell_steps(picture: Tensor, scale: int) -> float:
    """Mean step of luma across the edges of ``scale``-sized cells over that inside, 1 for none.

    (3, h, w) RGB 0..1; the larger of rows and columns.
    """
    plane = luma(rounded(picture))
    ratios = [1.0]
    for axis in (0, 1):
        steps = plane.diff(dim=axis).abs().mean(1 - axis)  # one for each pair of lines
        if scale < 2 or len(steps) < scale:
            continue
        edge = (torch.arange(1, len(steps) + 1) % scale == 0).to(steps.device)
        ratios.append(float((steps[edge].mean() + 1e-2) / (steps[~edge].mean() + 1e-2)))
    return max(ratios)


def _mean(values: list[float | None] | list[float]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def drift(low: Tensor, made: Tensor) -> float:
    """How far the mean of a channel moved, in code values of 255: (1, 3, h, w) pictures 0..1."""
    return float((made.mean((2, 3)) - low.mean((2, 3))).abs().max()) * 255


def milliseconds(engine: Engine, height: int = 90, width: int = 160, repeats: int = 7) -> float:
    """The median time for one small picture, as published tables have it, after one to warm up."""
    pixels = torch.rand(1, 3, height, width)
    engine.upscale(pixels)
    times: list[float] = []
    for _ in range(repeats):
        begun = time.perf_counter()
        engine.upscale(pixels)
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1000


def _sets(place: Path, scale: int, frames: int, crf: float | None) -> list[TestSet]:
    if place.is_file():
        if place.suffix.lower() in VIDEO_SUFFIXES:
            return [TestSet(place.stem, lambda: _shrunk(_video(place, frames), scale, crf), True)]
        if place.suffix.lower() in TRAINING_PICTURE_SUFFIXES:
            return [TestSet(place.stem, lambda: _shrunk(_pictures([place]), scale, crf))]
        return []
    if is_pairs(place):
        return [TestSet(place.name, lambda: pairs_in(place, scale))]
    inside = [path for path in place.iterdir() if not is_hidden(path)]
    inside.sort(key=lambda path: natural(path.name))
    pictures = [path for path in inside if path.suffix.lower() in TRAINING_PICTURE_SUFFIXES]
    if pictures:
        film = len(pictures) > 2 and follows(read_rgb(pictures[1]), read_rgb(pictures[0]))
        return [TestSet(place.name, lambda: _shrunk(_pictures(pictures), scale, crf), film)]
    below = [path for path in inside if path.is_dir() or path.suffix.lower() in VIDEO_SUFFIXES]
    return [data for path in below for data in _sets(path, scale, frames, crf)]


def _pictures(paths: list[Path]) -> Iterator[tuple[str, Frames]]:
    for path in paths:
        yield path.name, read_rgb(path)[None]


def _video(path: Path, frames: int) -> Iterator[tuple[str, Frames]]:
    """The RGB of consecutive frames, (1, h, w, 3) each."""
    info = probe(path)
    spec = info.color.resolved(info.size.height)
    base = info.time_base
    length = info.duration_seconds or 0.0
    # Half a frame ahead: containers round their times.
    latest = length - (frames + 0.5) / float(info.frame_rate)
    begin = max(0.0, min(length * FIRST, latest))
    for seconds in (begin, 0.0):
        first = round((info.start_seconds + seconds) / base)
        number = -1
        for number, clip in enumerate(islice(Reader(info, clip_frames=1, first=first), frames)):
            pixels = to_rgb(clip.planes, spec)[:, :3].clamp(0, 1).mul(255).round().to(torch.uint8)
            yield f"{path.stem}:{number}", pixels.permute(0, 2, 3, 1).numpy()
        if number >= 0:  # else it is cut off before that
            return


def _shrunk(
    originals: Iterable[tuple[str, Frames]], scale: int, crf: float | None
) -> Iterator[PicturePair]:
    """Pairs made of originals: their sides cut to a multiple of what a small 4:2:0 picture has."""
    step = scale if crf is None else 2 * scale
    names: list[str] = []
    lows: list[Frames] = []
    highs: list[Frames] = []
    for name, pixels in originals:
        height, width = (side // step * step for side in pixels.shape[1:3])
        if min(height, width) < LEAST:
            raise DataError(
                f"{name} is too small to be measured: {pixels.shape[2]}x{pixels.shape[1]} px",
                hint=f"pictures of at least {-(-LEAST // step) * step} px a side",
            )
        high = pixels[:, :height, :width]
        low = bicubic(high, height // scale, width // scale)
        if crf is None:
            yield PicturePair(name, as_tensor(low[0]), as_tensor(high[0]))
        else:
            names.append(name)
            lows.append(low)
            highs.append(high)
    if crf is None:
        return
    if len({low.shape for low in lows}) > 1:
        raise DataError("pictures of several sizes do not make a film", hint="leave out --crf")
    for name, low, high in zip(names, _compressed(np.concatenate(lows), crf), highs, strict=True):
        yield PicturePair(name, as_tensor(low), as_tensor(high[0]))


def _compressed(film: Frames, crf: float) -> Frames:
    """(t, h, w, 3) through x264, 4:2:0, BT.601, preset medium."""
    spec = ColorSpec(shift=(1, 1), matrix=SMPTE170M, range=LIMITED_RANGE, siting=LEFT)
    options = {"crf": f"{crf:g}", "preset": "medium"}
    return to_frames(through(to_planes(film, spec), QUALITIES[0], options, KEY_INTERVAL), spec)

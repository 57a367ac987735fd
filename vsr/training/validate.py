"""Measure weights on held-out pictures, through the engine that `vsr upscale` ships."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vsr.degrade import base
from vsr.degrade.base import Frames
from vsr.degrade.blur import sharpened
from vsr.degrade.catalog import chain
from vsr.errors import DataError
from vsr.infer.engine import Engine
from vsr.media.extract.sheet import Pixels, sheet
from vsr.media.read.rgb import files_in, read_rgb
from vsr.media.suffixes import TRAINING_PICTURE_SUFFIXES
from vsr.metrics.catalog import METRICS
from vsr.metrics.temporal import flicker
from vsr.models.arch import Upscaler
from vsr.options import EngineOptions
from vsr.pairs import PicturePair, as_tensor, as_tensors, is_pairs, pairs_in
from vsr.perceptual.vgg import Vgg, vgg_distance
from vsr.training.data.pictures import Picture
from vsr.training.recipe import Recipe

MAX_PICTURES = 12
"""Held-out pictures at most: every one costs time that training lacks."""
SHOWN, SHOWN_SIDE = 4, 192
FILM_FRAMES = 10  # of a held-out film


def hold_out(pictures: Sequence[Picture], seed: int) -> tuple[list[Picture], list[Picture]]:
    """Pictures to train on, and a few in a row to validate with.

    In a row, because neighbours by name are often parts of one photograph or one scene: held out
    together, they cannot be learnt from each other. Fewer than four pictures are used for both.
    """
    if len(pictures) < 4:
        return list(pictures), list(pictures)
    count = min(MAX_PICTURES, max(1, len(pictures) // 20))
    first = int(np.random.default_rng([seed, 2]).integers(len(pictures) - count + 1))
    held = list(pictures[first : first + count])
    return [*pictures[:first], *pictures[first + count :]], held


def validation_pairs(paths: Sequence[Path], recipe: Recipe, seed: int) -> list[PicturePair]:
    """Pairs of whole pictures, made as the recipe makes its own, the same every time."""
    scale, damage = recipe.scale, chain(recipe.degrade, recipe.scale)
    made: list[PicturePair] = []
    for number, path in enumerate(paths[:MAX_PICTURES]):
        pixels = read_rgb(path)
        height, width = (side // scale * scale for side in pixels.shape[:2])
        high = pixels[:height, :width]
        rng = np.random.default_rng([seed, 3, number])
        film = np.stack([high] * base.frames_wanted(damage))
        if recipe.sharp:
            film = sharpened(film)
            high = film[0]
        low = base.run(damage, film, rng)[-1]
        made.append(PicturePair(path.name, as_tensor(low), as_tensor(high)))
    return made


def validation_sequences(
    films: Sequence[tuple[str, Frames]], recipe: Recipe, seed: int
) -> list[PicturePair]:
    """Of consecutive frames, (t, h, w, 3): each film clean, and as the recipe spoils it."""
    made: list[PicturePair] = []
    for number, (name, frames) in enumerate(films):
        height, width = (side // recipe.scale * recipe.scale for side in frames.shape[1:3])
        high = frames[:FILM_FRAMES, :height, :width]
        for damage in (chain("clean", recipe.scale)[:1], chain(recipe.degrade, recipe.scale)):
            rng = np.random.default_rng([seed, 3, number])
            low = base.run(damage, high, rng)
            made.append(PicturePair(name, as_tensors(low), as_tensors(high)))
    return made


def validation_pairs_in(folder: Path, recipe: Recipe, seed: int) -> list[PicturePair]:
    """Of ``--val DIR``: pictures, or ``HR`` and ``LR`` folders with one name on both sides."""
    if is_pairs(folder):
        return list(pairs_in(folder, recipe.scale))
    made = validation_pairs(files_in([folder], TRAINING_PICTURE_SUFFIXES), recipe, seed)
    if not made:
        raise DataError(f"{folder} holds no pictures to validate with")
    return made


def validate(
    upscaler: Upscaler, held: Sequence[PicturePair], options: EngineOptions, vgg: Vgg | None
) -> tuple[dict[str, float], Pixels]:
    """Means of PSNR and SSIM on luma and of the perceptual distance, and a contact sheet.

    Of films also the flicker, the warping error above the original's, in code values.
    """
    engine = Engine(upscaler, options)
    sums: dict[str, list[float]] = {}
    rows: list[list[Pixels]] = []
    for number, pair in enumerate(held):
        engine.forget()
        made = engine.follow(pair.low).clamp_(0, 1)
        for frame in range(len(made)):
            for metric in METRICS.values():
                value = metric.measure(made[frame], pair.high[frame])
                sums.setdefault(metric.name, []).append(value)
        if len(made) > 1:
            sums.setdefault("flicker", []).append(_flicker(made, pair.high))
        if vgg is not None:
            sums.setdefault("perceptual", []).append(vgg_distance(made[-1:], pair.high[-1:], vgg))
        if number < SHOWN:
            rows.append(_row(PicturePair(pair.name, pair.low[-1:], pair.high[-1:]), made[-1:]))
    means = {name: math.fsum(values) / len(values) for name, values in sums.items()}
    return means, sheet(rows, ("low", "bicubic", "generated", "original"))


def _flicker(made: Tensor, high: Tensor) -> float:
    """Of (t, 3, H, W) frames that follow each other."""
    both = (pairwise(frames) for frames in (made, high))
    found = [flicker(mine, theirs) for mine, theirs in zip(*both, strict=True)]
    return math.fsum(found) / len(found)


def _row(pair: PicturePair, made: Tensor) -> list[Pixels]:
    scale = pair.high.shape[-1] // pair.low.shape[-1]
    bicubic = functional.interpolate(
        pair.low, size=pair.high.shape[-2:], mode="bicubic", antialias=True
    )
    side = min(SHOWN_SIDE, *pair.high.shape[-2:]) // scale * scale
    top, left = ((length - side) // 2 // scale * scale for length in pair.high.shape[-2:])
    low = pair.low[
        ..., top // scale : (top + side) // scale, left // scale : (left + side) // scale
    ]
    large = [
        picture[..., top : top + side, left : left + side] for picture in (bicubic, made, pair.high)
    ]
    return [_pixels(picture) for picture in (low, *large)]


def _pixels(picture: Tensor) -> Pixels:
    shown = picture[0].clamp(0, 1).mul(255).round().to(torch.uint8)
    return np.ascontiguousarray(shown.permute(1, 2, 0).cpu().numpy())

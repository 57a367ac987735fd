"""Measure weights on held-out pictures, through the engine that `vsr upscale` ships."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vsr.errors import DataError
from vsr.infer.engine import Engine
from vsr.media.extract.sheet import Pixels, sheet
from vsr.media.suffixes import TRAINING_PICTURE_SUFFIXES
from vsr.metrics.catalog import METRICS
from vsr.metrics.perceptual import perceptual_distance
from vsr.metrics.temporal import motion, warping_error
from vsr.models.arch import Upscaler
from vsr.options import EngineOptions
from vsr.training.data.pictures import Picture, files_in, read
from vsr.training.degrade import base
from vsr.training.degrade.base import Frames
from vsr.training.degrade.blur import sharpened
from vsr.training.degrade.catalog import chain
from vsr.training.recipe import Recipe
from vsr.training.vgg import Vgg

MAX_PICTURES = 12
"""Held-out pictures at most: every one costs time that training lacks."""
SHOWN, SHOWN_SIDE = 4, 192
FILM_FRAMES = 10  # of a held-out film


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A held-out picture: ``low`` (1, 3, h, w) and ``high`` (1, 3, h * scale, w * scale), 0..1.

    Of a film they are (t, 3, h, w): consecutive frames.
    """

    name: str
    low: Tensor
    high: Tensor


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


def trials(paths: Sequence[Path], recipe: Recipe, seed: int) -> list[Trial]:
    """Pairs of whole pictures, made as the recipe makes its own, the same every time."""
    scale, damage = recipe.scale, chain(recipe.degrade, recipe.scale)
    made: list[Trial] = []
    for number, path in enumerate(paths[:MAX_PICTURES]):
        pixels = read(path)
        height, width = (side // scale * scale for side in pixels.shape[:2])
        high = pixels[:height, :width]
        rng = np.random.default_rng([seed, 3, number])
        film = np.stack([high] * base.frames_wanted(damage))
        if recipe.sharp:
            film = sharpened(film)
            high = film[0]
        low = base.run(damage, film, rng)[-1]
        made.append(Trial(path.name, as_tensor(low), as_tensor(high)))
    return made


def film_trials(films: Sequence[tuple[str, Frames]], recipe: Recipe, seed: int) -> list[Trial]:
    """Of consecutive frames, (t, h, w, 3): each film clean, and as the recipe spoils it."""
    made: list[Trial] = []
    for number, (name, frames) in enumerate(films):
        height, width = (side // recipe.scale * recipe.scale for side in frames.shape[1:3])
        high = frames[:FILM_FRAMES, :height, :width]
        for damage in (chain("clean", recipe.scale)[:1], chain(recipe.degrade, recipe.scale)):
            rng = np.random.default_rng([seed, 3, number])
            low = base.run(damage, high, rng)
            made.append(Trial(name, as_tensors(low), as_tensors(high)))
    return made


def trials_in(folder: Path, recipe: Recipe, seed: int) -> list[Trial]:
    """Of ``--val DIR``: pictures, or ``HR`` and ``LR`` folders with one name on both sides."""
    if is_pairs(folder):
        return list(pairs_in(folder, recipe.scale))
    made = trials(files_in([folder], TRAINING_PICTURE_SUFFIXES), recipe, seed)
    if not made:
        raise DataError(f"{folder} holds no pictures to validate with")
    return made


def is_pairs(folder: Path) -> bool:
    """Whether it is laid out as the test sets are: ``HR`` and ``LR``, one name on both sides."""
    return (folder / "HR").is_dir() and (folder / "LR").is_dir()


def pairs_in(folder: Path, scale: int) -> Iterator[Trial]:
    """The pairs of such a folder, one at a time. Raises :class:`DataError` if there is none."""
    highs = files_in([folder / "HR"], TRAINING_PICTURE_SUFFIXES)
    pairs = [(high, folder / "LR" / high.name) for high in highs]
    pairs = [(high, low) for high, low in pairs if low.exists()]
    if not pairs:
        raise DataError(f"{folder} holds no picture that is both in HR and in LR")
    for high, low in pairs:
        trial = Trial(high.name, as_tensor(read(low)), as_tensor(read(high)))
        if [side * scale for side in trial.low.shape[-2:]] != list(trial.high.shape[-2:]):
            raise DataError(
                f"{trial.name} in {folder}: HR must be {scale} times as large as LR, got "
                f"{tuple(trial.high.shape[-2:])} and {tuple(trial.low.shape[-2:])}"
            )
        yield trial


def validate(
    upscaler: Upscaler, held: Sequence[Trial], options: EngineOptions, vgg: Vgg | None
) -> tuple[dict[str, float], Pixels]:
    """Means of PSNR and SSIM on luma and of the perceptual distance, and a contact sheet.

    Of films also the flicker, the warping error above the original's, in code values.
    """
    engine = Engine(upscaler, options)
    sums: dict[str, list[float]] = {}
    rows: list[list[Pixels]] = []
    for number, trial in enumerate(held):
        engine.forget()
        made = engine.follow(trial.low).clamp_(0, 1)
        for frame in range(len(made)):
            for metric in METRICS.values():
                value = metric.measure(made[frame], trial.high[frame])
                sums.setdefault(metric.name, []).append(value)
        if len(made) > 1:
            sums.setdefault("flicker", []).append(_flicker(made, trial.high))
        if vgg is not None:
            sums.setdefault("perceptual", []).append(perceived(made[-1:], trial.high[-1:], vgg))
        if number < SHOWN:
            rows.append(_row(Trial(trial.name, trial.low[-1:], trial.high[-1:]), made[-1:]))
    means = {name: math.fsum(values) / len(values) for name, values in sums.items()}
    return means, sheet(rows, ("low", "bicubic", "generated", "original"))


def _flicker(made: Tensor, high: Tensor) -> float:
    """Of (t, 3, H, W) frames that follow each other, along the original's motion."""
    found: list[float] = []
    for frame in range(1, len(made)):
        before, now = high[frame - 1], high[frame]
        moved = motion(before, now)
        mine = warping_error(made[frame - 1], made[frame], moved)
        found.append(mine - warping_error(before, now, moved))
    return math.fsum(found) / len(found)


def perceived(made: Tensor, high: Tensor, vgg: Vgg) -> float:
    """The perceptual distance of two (1, 3, h, w) pictures by every layer the net offers."""
    place = next(vgg.parameters()).device
    layers = [name for name in vgg.layers if name in ("1_2", "2_2", "3_1", "4_1", "5_1")]
    return perceptual_distance(
        made[0].to(place), high[0].to(place), lambda pixels: vgg(pixels, layers)
    )


def _row(trial: Trial, made: Tensor) -> list[Pixels]:
    scale = trial.high.shape[-1] // trial.low.shape[-1]
    bicubic = functional.interpolate(
        trial.low, size=trial.high.shape[-2:], mode="bicubic", antialias=True
    )
    side = min(SHOWN_SIDE, *trial.high.shape[-2:]) // scale * scale
    top, left = ((length - side) // 2 // scale * scale for length in trial.high.shape[-2:])
    low = trial.low[
        ..., top // scale : (top + side) // scale, left // scale : (left + side) // scale
    ]
    large = [
        picture[..., top : top + side, left : left + side]
        for picture in (bicubic, made, trial.high)
    ]
    return [_pixels(picture) for picture in (low, *large)]


def as_tensors(frames: Frames) -> Tensor:
    """(t, h, w, 3) uint8 to (t, 3, h, w) 0..1."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255


def as_tensor(pixels: Pixels) -> Tensor:
    """(h, w, 3) uint8 to (1, 3, h, w) 0..1."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255


def _pixels(picture: Tensor) -> Pixels:
    shown = picture[0].clamp(0, 1).mul(255).round().to(torch.uint8)
    return np.ascontiguousarray(shown.permute(1, 2, 0).cpu().numpy())

"""Everything a run learns from and is measured on: pictures found, videos turned into pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vsr.errors import DataError
from vsr.events import Warned
from vsr.training.events import TrainingSink
from vsr.training.options import TrainOptions
from vsr.training.pictures import (
    PICTURE_ENDINGS,
    VIDEO_ENDINGS,
    LeftOut,
    Picture,
    files_in,
    scan,
)
from vsr.training.ranks import Ranks
from vsr.training.recipe import Recipe
from vsr.training.validate import Trial, hold_out, trials, trials_in

NAMED = 5
"""Left-out pictures that a warning names; the report names all."""
VIDEO_FRAMES = 400
BURST = 5
"""Consecutive frames kept of each place in a video, where the damage is a codec's."""


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """``pictures`` to learn from, ``held`` to measure on, and what was left out."""

    pictures: list[Picture]
    held: list[Trial]
    left_out: list[LeftOut]


def gather(recipe: Recipe, options: TrainOptions, ranks: Ranks, on_event: TrainingSink) -> Material:
    """Raises :class:`DataError` when nothing usable is there. Videos are extracted once."""
    places = list(options.frames)
    videos = files_in(places, VIDEO_ENDINGS)
    if videos:
        frames = options.out / "frames"
        if ranks.leads:
            _extract(videos, frames, recipe)
        ranks.wait()
        places.append(frames)
    least = recipe.patch * recipe.scale
    found = [
        path
        for path in files_in(places, PICTURE_ENDINGS)
        if options.out / "sheets" not in path.parents
    ]
    pictures, left_out = scan(found, least)
    if left_out:
        names = ", ".join(item.path.name for item in left_out[:NAMED])
        more = f" and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
        on_event(
            Warned(f"{len(left_out)} pictures are left out: {names}{more} ({left_out[0].reason})")
        )
    if not pictures:
        given = ", ".join(str(path) for path in options.frames)
        why = f": {left_out[0].path.name}: {left_out[0].reason}" if left_out else ""
        raise DataError(
            f"no usable frames in {given}{why}",
            hint=f"pictures of at least {least} px a side, or a smaller --patch",
        )
    if options.val is not None:
        held = trials_in(options.val, recipe, options.seed)
        return Material(pictures, held, left_out)
    pictures, kept = hold_out(pictures, options.seed)
    if kept[0] is pictures[0]:
        on_event(
            Warned(
                f"{len(pictures)} pictures are too few to hold any out: "
                "the same ones are trained and measured on, so the numbers flatter"
            )
        )
    held, unreadable = _readable(kept, recipe, options)
    return Material(pictures, held, left_out + unreadable)


def _readable(
    kept: list[Picture], recipe: Recipe, options: TrainOptions
) -> tuple[list[Trial], list[LeftOut]]:
    """Trials of the pictures that can be decoded."""
    held: list[Trial] = []
    left_out: list[LeftOut] = []
    for picture in kept:
        try:
            held += trials([picture.path], recipe, options.seed)
        except DataError as error:
            left_out.append(LeftOut(picture.path, error.message))
    if not held:
        raise DataError(
            f"none of {len(kept)} pictures to validate with can be read: {left_out[0].reason}",
            hint="remove damaged files, or give good ones with --val DIR",
        )
    return held, left_out


def _extract(videos: list[Path], frames: Path, recipe: Recipe) -> None:
    # Imported here: training on pictures must work where PyAV is not installed.
    from vsr.media.extract import extract
    from vsr.media.selection import ExtractOptions

    if (frames / "frames.jsonl").exists():
        return  # an earlier start of this run did it
    burst = 1 if recipe.degrade == "clean" else BURST
    extract(ExtractOptions(tuple(videos), frames, most=VIDEO_FRAMES, every=2.0, burst=burst))

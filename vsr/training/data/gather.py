"""Everything a run learns from and is measured on: pictures found, videos turned into pictures."""

from __future__ import annotations

import errno
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vsr.degrade.base import Frames
from vsr.errors import DataError, MediaError
from vsr.event_rows import plain
from vsr.events import Event, Warned
from vsr.media.read.rgb import files_in, read_rgb
from vsr.media.suffixes import TRAINING_PICTURE_SUFFIXES, VIDEO_SUFFIXES
from vsr.pairs import PicturePair, is_pairs, pairs_in
from vsr.training.checkpoint import unwritten
from vsr.training.data.frame_sequences import FrameSequence, films_of, scene_of_picture
from vsr.training.data.frame_sequences import hold_out as held_films
from vsr.training.data.pictures import LeftOut, Picture, scan
from vsr.training.data.synthetic_motion import film as moved
from vsr.training.events import TrainingSink
from vsr.training.options import TrainOptions
from vsr.training.ranks import Ranks
from vsr.training.recipe import Recipe
from vsr.training.training_log import PLOT
from vsr.training.validate import (
    FILM_FRAMES,
    hold_out,
    validation_pairs,
    validation_pairs_in,
    validation_sequences,
)

NAMED = 5
"""Left-out pictures that a warning names; the report names all."""
VIDEO_FRAMES = 400
MAX_FILMS = 8  # to measure on
BURST = 5
"""Consecutive frames kept of each place in a video, where the damage is a codec's."""
SOURCES = "sources.json"
"""What says which videos the extracted frames are of."""


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What a run learns from and is measured on."""

    pictures: list[Picture]
    """To learn from; of sequences those pictures that are no part of a film."""
    held: list[PicturePair]
    """Pairs to measure on, never learnt from where there is enough."""
    left_out: list[LeftOut]
    """Files that are not used."""
    films: list[FrameSequence] = field(default_factory=list[FrameSequence])
    """To learn from; empty where pictures are learnt."""


def gather(recipe: Recipe, options: TrainOptions, ranks: Ranks, on_event: TrainingSink) -> Material:
    """Raises :class:`DataError` when nothing usable is there. Videos are extracted once."""
    for place in options.frames:
        try:
            place.exists()
        except OSError as error:  # its folder may not be entered, or its name is too long
            hint = "give a shorter name" if error.errno == errno.ENAMETOOLONG else None
            raise MediaError(f"cannot read {place}: {error.strerror}", hint=hint) from error
        if (
            place.is_file()
            and place.suffix.lower() not in VIDEO_SUFFIXES | TRAINING_PICTURE_SUFFIXES
        ):
            raise DataError(
                f"{place} is neither a picture nor a video, by its name",
                hint="give it the ending of what it is, or leave it out",
            )
    if recipe.is_sequential:
        return _sequences(recipe, options, on_event)
    places = list(options.frames)
    videos = _found(places, VIDEO_SUFFIXES, options)
    if videos:
        frames = options.out / "frames"
        if ranks.is_main:
            _extract(videos, frames, recipe, on_event)
        ranks.wait()
        places.append(frames)
    least = recipe.patch * recipe.scale
    pictures, left_out = scan(_found(places, TRAINING_PICTURE_SUFFIXES, options), least)
    _tell(left_out, "pictures", on_event)
    if not pictures:
        given = ", ".join(str(path) for path in options.frames)
        why = f": {left_out[0].path.name}: {left_out[0].reason}" if left_out else ""
        raise DataError(
            f"no usable frames in {given}{why}",
            hint=f"pictures of at least {least} px a side, or a smaller --patch",
        )
    if options.val is not None:
        held = validation_pairs_in(options.val, recipe, options.seed)
        return Material(pictures, held, left_out)
    pictures, kept = hold_out(pictures, options.seed)
    if kept[0] is pictures[0]:
        on_event(_flattering(f"{len(pictures)} pictures"))
    held, unreadable = _readable(kept, recipe, options)
    return Material(pictures, held, left_out + unreadable)


def _found(places: list[Path], endings: frozenset[str], options: TrainOptions) -> list[Path]:
    """Files to learn from, each once: none that the run draws, and none that it is measured on."""
    apart = [options.out / "sheets", options.out / PLOT]
    apart += [] if options.val is None else [options.val]
    apart = [place.resolve() for place in apart]
    found = {path.resolve(): path for path in files_in(places, endings)}
    return [
        path
        for place, path in found.items()
        if not any(place.is_relative_to(other) for other in apart)
    ]


def _tell(left_out: list[LeftOut], what: str, on_event: TrainingSink) -> None:
    """Warn of files that are not used."""
    if not left_out:
        return
    names = ", ".join(item.path.name for item in left_out[:NAMED])
    more = f" and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
    on_event(Warned(f"{len(left_out)} {what} are left out: {names}{more} ({left_out[0].reason})"))


def _flattering(few: str) -> Warned:
    return Warned(
        f"{few} are too few to hold any out: "
        "the same ones are trained and measured on, so the numbers flatter"
    )


def _sequences(recipe: Recipe, options: TrainOptions, on_event: TrainingSink) -> Material:
    """Films of videos and of numbered pictures; other pictures are made to move."""
    places = list(options.frames)
    least = recipe.patch * recipe.scale
    pictures, left_out = scan(_found(places, TRAINING_PICTURE_SUFFIXES, options), least)
    videos = _found(places, VIDEO_SUFFIXES, options)
    films, pictures, damaged = films_of(videos, pictures, options.cache)
    left_out += damaged
    pairs: list[PicturePair] = []
    kept: list[Picture] = []  # to measure on, as no part of a film
    held: list[FrameSequence] = []
    if options.val is not None and is_pairs(options.val):
        pairs = list(pairs_in(options.val, recipe.scale))
    elif options.val is not None:
        inside = [options.val]
        found, unfit = scan(files_in(inside, TRAINING_PICTURE_SUFFIXES), least)
        held, kept, damaged = films_of(files_in(inside, VIDEO_SUFFIXES), found, options.cache)
        left_out += unfit + damaged
        held, kept = held[:MAX_FILMS], [] if held else kept
        if not held and not kept:
            raise DataError(
                f"{options.val} holds no films and no pictures to validate with",
                hint=f"videos, or pictures of at least {least} px a side",
            )
    else:
        films, held = held_films(films, options.seed)
        scenes = {film.scene for film in held}
        if held and held[0] in films:
            count = len(scenes)
            on_event(_flattering(f"films of {count} scene{'s' * (count > 1)}"))
        else:  # frames of a scene that are no part of a film would teach it all the same
            pictures = [one for one in pictures if scene_of_picture(one.path) not in scenes]
    _tell(left_out, "files", on_event)
    if not films and not pictures:
        given = ", ".join(str(path) for path in options.frames)
        raise DataError(
            f"no usable frames in {given}", hint="videos, numbered frames, or pictures to be moved"
        )
    measured = [(film.name, film.frames) for film in held]
    if not measured and options.val is None:  # pictures alone
        pictures, kept = hold_out(pictures, options.seed)
        if kept and kept[0] is pictures[0]:
            on_event(_flattering(f"{len(pictures)} pictures"))
    if kept:  # they are made to move, the same way every time
        measured, damaged = _moved(kept[:MAX_FILMS], options.seed)
        left_out += damaged
    pairs += validation_sequences(measured, recipe, options.seed)
    return Material(pictures, pairs, left_out, films)


def _moved(kept: list[Picture], seed: int) -> tuple[list[tuple[str, Frames]], list[LeftOut]]:
    """Films made of those pictures that can be decoded, and the others."""
    made: list[tuple[str, Frames]] = []
    left_out: list[LeftOut] = []
    rng = np.random.default_rng([seed, 4])
    for picture in kept:
        side = min(picture.size.width, picture.size.height) * 3 // 4
        try:
            made.append(
                (picture.path.stem, moved([read_rgb(picture.path)], FILM_FRAMES, side, rng))
            )
        except DataError as error:
            left_out.append(LeftOut(picture.path, error.message))
    if not made:
        raise _unreadable(kept, left_out)
    return made, left_out


def _readable(
    kept: list[Picture], recipe: Recipe, options: TrainOptions
) -> tuple[list[PicturePair], list[LeftOut]]:
    """Trials of the pictures that can be decoded."""
    held: list[PicturePair] = []
    left_out: list[LeftOut] = []
    for picture in kept:
        try:
            held += validation_pairs([picture.path], recipe, options.seed)
        except DataError as error:
            left_out.append(LeftOut(picture.path, error.message))
    if not held:
        raise _unreadable(kept, left_out)
    return held, left_out


def _unreadable(kept: list[Picture], left_out: list[LeftOut]) -> DataError:
    return DataError(
        f"none of {len(kept)} pictures to validate with can be read: {left_out[0].reason}",
        hint="remove damaged files, or give good ones with --val DIR",
    )


def _extract(videos: list[Path], frames: Path, recipe: Recipe, on_event: TrainingSink) -> None:
    """Frames of the videos, unless they are there; those of other videos are replaced."""
    # Imported here: training on pictures must work where PyAV is not installed.
    from vsr.media.extract.extraction import INDEX, extract
    from vsr.media.extract.selection import ExtractOptions

    burst = 1 if recipe.degrade == "clean" else BURST
    note = frames / SOURCES
    wanted = plain({"burst": burst, "videos": [path.absolute() for path in videos]})
    if (frames / INDEX).exists() and (not note.exists() or _noted(note) == wanted):
        return  # an earlier start of this run did it, or a person

    def tell(event: Event) -> None:
        # Of how many frames there are, the run's first line says enough.
        if isinstance(event, Warned) and "left out: " in event.message:
            on_event(event)

    options = ExtractOptions(tuple(videos), frames, most=VIDEO_FRAMES, every=2.0, burst=burst)
    part = frames.with_name(f".{frames.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a start that was killed
    try:
        part.mkdir()
        extract(options, tell, part)
        if note.exists():
            shutil.rmtree(frames)
        frames.mkdir(exist_ok=True)
        note.write_text(json.dumps(wanted) + "\n", encoding="utf-8")
        for path in sorted(part.iterdir(), key=lambda path: path.name == INDEX):  # that is the last
            path.replace(frames / path.name)
    except OSError as error:
        raise unwritten(frames, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _noted(note: Path) -> object:
    try:
        return json.loads(note.read_bytes())
    except (OSError, ValueError):
        return None

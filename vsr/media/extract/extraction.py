"""Frames worth learning from, out of videos: decoded twice, first to look, then to write."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from vsr.errors import DataError, MediaError
from vsr.events import Advanced, EventSink, Saved, Started, Warned, ignore
from vsr.media.atomic import write_whole
from vsr.media.clip import Clip
from vsr.media.extract.selection import (
    ExtractOptions,
    ExtractReport,
    FrameMeasurements,
    SceneFrame,
    choose,
    crop_places,
    measure_frame,
    spread,
)
from vsr.media.extract.sheet import Pixels, sheet, write_png
from vsr.media.extract.stills import Picture, luma_of, rgb_of, upright
from vsr.media.fields.look import plan_fields
from vsr.media.fields.plan import FieldPlan
from vsr.media.read.probe import MediaInfo, probe
from vsr.media.read.reader import Reader
from vsr.media.read.rgb import SHEET
from vsr.media.stall import current_timer, watched
from vsr.unexpected import as_failure

INDEX = "frames.jsonl"
SHEET_COLUMNS, SHEET_ROWS, SHEET_WIDTH = 6, 8, 192


@dataclass(frozen=True, slots=True)
class _Film:
    info: MediaInfo
    name: str
    fields: FieldPlan | None
    frames: int
    chosen: list[SceneFrame]

    @property
    def time_base(self) -> Fraction:
        """The unit of its frames' times."""
        return self.info.time_base if self.fields is None else self.fields.time_base


def extract(
    options: ExtractOptions, on_event: EventSink = ignore, folder: Path | None = None
) -> ExtractReport:
    """Write pictures, ``frames.jsonl`` and a contact sheet to ``options.out``.

    Raises :class:`MediaError` for a video that cannot be read, if it is the only one; of several,
    it is told and left out, whatever goes wrong while it is looked at. One that cannot be read to
    its end when its frames are written keeps those before. Raises :class:`DataError` when no frame
    is worth learning from. All is written to ``folder``, where one is given, which is to become
    ``options.out``.
    """
    if folder is None:
        _prepare(options.out)
    into = folder or options.out
    films: list[_Film] = []
    for number, path in enumerate(options.videos):
        try:
            look = partial(_looked_at, path, number, films, options, on_event)
            films.append(watched(path, options.stall, look, locked=False))
        except Exception as error:  # what is wrong with one of several films is no other's concern
            if len(options.videos) == 1:
                raise
            on_event(Warned(f"left out: {as_failure(error, path, options.out).message}"))
    films = _spread(films, options.most)
    lines: list[dict[str, object]] = []
    thumbs: list[Pixels] = []
    for film in films:
        clips = _clips(film, options, on_event)
        write = partial(_written, film, clips, options, into, thumbs, on_event)
        lines += watched(film.info.path, options.stall, write, locked=False)
    count = sum("file" in line for line in lines)
    left = Counter(
        "like another" if choice.left.startswith("like") else choice.left
        for film in films
        for choice in film.chosen
        if choice.left
    )
    if not count:
        reasons = ", ".join(f"{number} {reason}" for reason, number in left.most_common())
        raise DataError(
            f"not one frame of {', '.join(path.name for path in options.videos)} "
            f"is worth learning from ({reasons or 'none could be read'})",
            hint="give longer, sharper or brighter videos, or a smaller --size",
        )
    taken = sum(not choice.left for film in films for choice in film.chosen)
    if options.most is not None and taken < options.most:
        reasons = ", ".join(f"{number} {reason}" for reason, number in left.most_common())
        each = "of each scene" if options.every is None else f"for {options.every:g} s of a scene"
        on_event(
            Warned(
                f"{taken} frames, and up to {options.most} were asked for: one {each} was looked "
                f"for, and left out were {reasons or 'none'}"
            )
        )
    rows = [thumbs[at : at + SHEET_COLUMNS] for at in range(0, len(thumbs), SHEET_COLUMNS)]
    write_png(into / SHEET, sheet(rows[:SHEET_ROWS], (f"{count} frames",)))
    _write_index(into / INDEX, lines)  # the last: it says that all is there
    on_event(Saved(options.out / INDEX))
    return ExtractReport(
        out=options.out,
        frames=count,
        looked_at=sum(film.frames for film in films),
        scenes=sum(len({choice.scene for choice in film.chosen}) for film in films),
        left=dict(left),
        sheet=options.out / SHEET,
    )


def _prepare(folder: Path) -> None:
    """Make the folder. Raises :class:`MediaError` where it holds an earlier extraction."""
    if (folder / INDEX).exists():
        raise MediaError(
            f"{folder} already holds extracted frames",
            hint="choose another folder, or give --overwrite",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"cannot make {folder}: {error.strerror}") from error


def _looked_at(
    path: Path, number: int, films: list[_Film], options: ExtractOptions, on_event: EventSink
) -> _Film:
    info = probe(path)
    fields, _ = plan_fields(info, each=True)
    on_event(Started(path, options.out, info.frames, info.size, info.size))
    looks: list[FrameMeasurements] = []
    for clip in Reader(info, clip_frames=8, fields=fields):
        for place, pts in enumerate(clip.pts):
            seconds = float(pts * clip.time_base)
            looks.append(measure_frame(luma_of(clip, place), pts, seconds))
        on_event(Advanced(len(clip.pts), "look"))
    name = path.stem.replace("+", "-")
    if any(film.name == name for film in films):
        name = f"{name}-{number}"
    chosen = choose(looks, every=options.every, burst=options.burst)
    return _Film(info, name, fields, len(looks), chosen)


def _spread(films: list[_Film], most: int | None) -> list[_Film]:
    """``most`` over all films together."""
    spared = iter(spread([choice for film in films for choice in film.chosen], most))
    return [
        _Film(
            film.info,
            film.name,
            film.fields,
            film.frames,
            [next(spared) for _ in film.chosen],
        )
        for film in films
    ]


def _clips(film: _Film, options: ExtractOptions, on_event: EventSink) -> Iterator[Clip]:
    """Decode again. Where several videos were given, what goes wrong ends this one alone."""
    try:
        yield from Reader(film.info, clip_frames=8, fields=film.fields)
    except Exception as error:
        if len(options.videos) == 1:
            raise
        failure = as_failure(error, film.info.path, options.out)
        on_event(Warned(f"the rest is left out: {failure.message}"))


def _written(
    film: _Film,
    clips: Iterable[Clip],
    options: ExtractOptions,
    into: Path,
    thumbs: list[Pixels],
    on_event: EventSink,
) -> list[dict[str, object]]:
    """Write what was chosen of the clips; one line for each picture and each part left out."""
    lines: list[dict[str, object]] = []
    taken = [choice for choice in film.chosen if not choice.left]
    wanted = {
        pts: (choice, offset)
        for choice in taken
        for offset, pts in enumerate((choice.frame.pts, *choice.following))
    }
    places: dict[int, list[tuple[int, int]]] = {}
    last = max(wanted, default=None)
    for clip in clips:
        if last is None or clip.pts[0] > last:
            break
        for place, pts in enumerate(clip.pts):
            if pts not in wanted:
                continue
            choice, offset = wanted[pts]
            picture = upright(rgb_of(clip, place), film.info)
            if not offset:
                places[choice.frame.pts] = _corners(picture, options)
                thumbs.append(_thumb(picture))
            for y, x in places[choice.frame.pts]:
                path = into / _name(film, choice, options, (y, x), offset)
                crop = (
                    picture
                    if options.size is None
                    else picture[y : y + options.size, x : x + options.size]
                )
                current_timer().end_if_given_up()
                write_png(path, crop)
                lines.append(_line(film, choice, path, crop, pts))
        on_event(Advanced(len(clip.pts), "write"))
    lines.extend(_left_out(film, choice) for choice in film.chosen if choice.left)
    return lines


def _left_out(film: _Film, choice: SceneFrame) -> dict[str, object]:
    return {
        "video": film.info.path.name,
        "seconds": round(choice.frame.seconds, 3),
        "scene": choice.scene,
        "left": choice.left,
    }


def _corners(picture: Picture, options: ExtractOptions) -> list[tuple[int, int]]:
    if options.size is None:
        return [(0, 0)]
    peak = 255 if picture.dtype == np.uint8 else 65535
    return crop_places(
        (picture[..., 1] / np.float32(peak)).astype(np.float32), options.size, options.crops
    )


def _name(
    film: _Film, choice: SceneFrame, options: ExtractOptions, corner: tuple[int, int], offset: int
) -> str:
    where = f"-{corner[1]}x{corner[0]}" if options.size is not None else ""
    after = f"+{offset}" if offset else ""
    return f"{film.name}-{round(choice.frame.seconds * 1000):08d}{where}{after}.png"


def _line(
    film: _Film, choice: SceneFrame, path: Path, crop: Picture, pts: int
) -> dict[str, object]:
    return {
        "file": path.name,
        "video": film.info.path.name,
        "pts": pts,
        "seconds": round(float(pts * film.time_base), 3),
        "scene": choice.scene,
        "size": [crop.shape[1], crop.shape[0]],
        "sharpness": round(choice.frame.sharpness, 4),
        "blockiness": round(choice.frame.blockiness, 3),
    }


def _thumb(picture: Picture) -> Pixels:
    shown = picture if picture.dtype == np.uint8 else (picture >> 8).astype(np.uint8)
    height = max(1, round(shown.shape[0] * SHEET_WIDTH / shown.shape[1]))
    return np.asarray(
        cv2.resize(shown, (SHEET_WIDTH, height), interpolation=cv2.INTER_AREA), np.uint8
    )


def _write_index(path: Path, lines: list[dict[str, object]]) -> None:
    write_whole(path, "".join(json.dumps(line) + "\n" for line in lines).encode())

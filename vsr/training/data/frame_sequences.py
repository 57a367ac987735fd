"""Films to learn from: stretches of consecutive frames of videos and of numbered pictures."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from vsr.degrade.base import Frames
from vsr.errors import DataError, VsrError
from vsr.media.read.rgb import Pixels, read_rgb
from vsr.pairs import follows
from vsr.training.data.pictures import LeftOut, Picture

STRETCH = 15  # frames
STRETCHES = 40  # of one video
SHORT = 60
"""Frames up to which a video is one stretch."""
# What `vsr extract` adds to a video's name: milliseconds, corner, place in a burst; or a number.
_NUMBER = re.compile(r"-\d{8,}(-\d+x\d+)?(\+\d+)?$|\d+$")


@dataclass(frozen=True, slots=True, eq=False)
class FrameSequence:
    """Consecutive frames of a video, or numbered pictures."""

    name: str
    """The video's stem with the number of the stretch, or the first picture's."""
    scene: str
    """What must be held out together: equal for all parts of one scene."""
    frames: Frames
    """(t, h, w, 3) RGB 0..255."""


def films_of(
    videos: Sequence[Path], pictures: Sequence[Picture], room: int
) -> tuple[list[FrameSequence], list[Picture], list[LeftOut]]:
    """Stretches of the videos and of runs of numbered pictures, in ``room`` bytes at most.

    Also the pictures that are no part of a run, and the files that cannot be read.
    """
    films: list[FrameSequence] = []
    left_out: list[LeftOut] = []
    runs, single = numbered(pictures)
    used = 0
    for run in runs:
        for start in range(0, len(run), STRETCH):
            part = run[start : start + STRETCH]
            decoded: list[Pixels] = []
            damaged: list[LeftOut] = []
            for picture in part if used <= room else ():
                try:
                    decoded.append(read_rgb(picture.path))
                except DataError as error:
                    damaged.append(LeftOut(picture.path, error.message))
            if damaged:  # those around it do not follow each other
                lost = {one.path for one in damaged}
                left_out += damaged
                single += [picture for picture in part if picture.path not in lost]
                continue
            if len(decoded) < 2 or not all(map(follows, decoded[1:], decoded)):
                single += part
                continue
            name, scene = part[0].path.stem, scene_of_picture(part[0].path)
            films.append(FrameSequence(name, scene, np.stack(decoded)))
            used += films[-1].frames.nbytes
    share = max(0, room - used) // max(1, len(videos))
    for path in videos:
        try:
            for number, frames in enumerate(_stretches(path, share)):
                films.append(FrameSequence(f"{path.stem} {number}", scene_of(path), frames))
        except VsrError as error:
            left_out.append(LeftOut(path, error.message))
    return films, single, left_out


def scene_of(path: Path) -> str:
    """What a video is a part of: ``name_3.mp4`` is of the same scene as ``name_4.mp4``."""
    return _unnumbered(path.stem)


def scene_of_picture(path: Path) -> str:
    """What a picture is a part of: its folder, as :func:`scene_of`, and its name but the number.

    Of those that ``vsr extract`` wrote, the name is their video's.
    """
    folder = path.parent
    if folder.name:
        folder = folder.with_name(_unnumbered(folder.name))
    return str(folder / _NUMBER.sub("", path.stem))


def _unnumbered(name: str) -> str:
    stem, mark, number = name.rpartition("_")
    return stem if stem and mark and number.isdigit() else name


def numbered(pictures: Sequence[Picture]) -> tuple[list[list[Picture]], list[Picture]]:
    """Runs of three pictures or more of one folder, name and size with numbers that follow."""
    groups: dict[tuple[object, ...], list[tuple[int, Picture]]] = defaultdict(list)
    single: list[Picture] = []
    for picture in pictures:
        match = re.fullmatch(r"(.*?)(\d+)", picture.path.stem)
        if match is None:
            single.append(picture)
            continue
        key = (picture.path.parent, match[1], picture.path.suffix, picture.size)
        groups[key].append((int(match[2]), picture))
    runs: list[list[Picture]] = []
    for group in groups.values():
        group.sort(key=lambda item: item[0])
        run = [group[0][1]]
        for (last, _), (number, picture) in pairwise(group):
            if number != last + 1:
                runs.append(run)
                run = []
            run.append(picture)
        runs.append(run)
    single += [picture for run in runs if len(run) < 3 for picture in run]
    return [run for run in runs if len(run) >= 3], single


def hold_out(
    films: Sequence[FrameSequence], seed: int
) -> tuple[list[FrameSequence], list[FrameSequence]]:
    """Films to learn from, and some of whole scenes to measure on: a tenth, eight at most.

    Of fewer than three scenes all are learnt from, and two films of them are measured on, too.
    """
    scenes = sorted({film.scene for film in films})
    if len(scenes) < 3:
        return list(films), list(films[:2])
    count = max(1, min(8, len(scenes) // 9))
    chosen = np.random.default_rng([seed, 2]).permutation(len(scenes))[:count]
    held = {scenes[int(index)] for index in chosen}
    measured: dict[str, FrameSequence] = {}
    for film in films:
        if film.scene in held:
            measured.setdefault(film.scene, film)
    return [film for film in films if film.scene not in held], list(measured.values())


def _stretches(path: Path, room: int) -> Iterator[Frames]:
    # Imported here: training on pictures must work where PyAV is not installed.
    from vsr.media.read.probe import probe
    from vsr.media.read.reader import Reader

    info = probe(path)
    bytes_of_frame = info.size.pixels * 3
    most = max(2, room // bytes_of_frame)
    count = info.frames or round((info.duration_seconds or 0) * info.frame_rate)
    if count <= SHORT:
        frames = _decoded(Reader(info), min(most, SHORT))
        if len(frames) > 1:
            yield frames
        return
    wanted = max(1, min(STRETCHES, most // STRETCH))
    seconds = Fraction(info.duration_seconds or 0).limit_denominator(1000)
    zero = Fraction(info.start_seconds).limit_denominator(1000000)
    for number in range(wanted):
        moment = zero + seconds * (2 * number + 1) / (2 * wanted)
        reader = Reader(info, first=round(moment / info.time_base))
        frames = _decoded(reader, min(most, STRETCH))
        if len(frames) > 1:
            yield frames


def _decoded(reader: object, most: int) -> Frames:
    from vsr.color import to_rgb
    from vsr.media.read.reader import Reader

    assert isinstance(reader, Reader)
    spec = reader.info.color.resolved(reader.info.size.height)
    found: list[Frames] = []
    count = 0
    for clip in reader:
        pixels = to_rgb(clip.planes, spec)[:, :3].clamp_(0, 1).mul_(255).round_().byte()
        found.append(np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy()))
        count += len(clip.pts)
        if count >= most:
            break
    if not found:
        raise DataError(f"{reader.info.path} holds no frames there")
    return np.concatenate(found)[:most]

"""Jobs whose target is pictures: a still, a folder of them, or a video taken apart into frames."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import torch

from vsr.color import ColorSpec
from vsr.errors import MediaError, OptionsError, Stopped
from vsr.events import Advanced, EventSink, Finished, Report, Saved, SegmentDone, Started, Warned
from vsr.geometry import Size
from vsr.infer.engine import Engine
from vsr.infer.footprint import Conversion
from vsr.jobs.enlarge import FrameObserver, Made, enlarger
from vsr.jobs.video.source import (
    crop_of,
    cut_of,
    fields_of,
    filters_of,
    reader_for,
    told_changes,
)
from vsr.jobs.work_folder import check_still_free, held, replaced_folder
from vsr.media.clip import Clip, ClipReader
from vsr.media.files import check_unchanged
from vsr.media.limits import check_target_size
from vsr.media.read.images import (
    picture_losses,
    pictures_in,
    read_whole_picture,
    spec_for,
    write_picture,
)
from vsr.media.read.lead_in import LeadIn
from vsr.media.read.probe import MediaInfo, probe
from vsr.media.stall import ReadTimer, watched
from vsr.media.suffixes import is_picture
from vsr.motion import MIRRORED
from vsr.options import UpscaleOptions
from vsr.pipeline import Pipeline
from vsr.restoration import parse_clean, parse_crop, parse_grain


@dataclass(frozen=True, slots=True)
class _Notes:
    """What of a picture's file lies beside its pixels."""

    icc: bytes = b""
    """The ICC profile that goes along; empty without one."""
    lost: tuple[str, ...] = ()
    """What the target does not hold, for people."""


@dataclass(frozen=True, slots=True, eq=False)
class _Pictures:
    """What becomes pictures, in order: clips of one frame, whose times are their numbers.

    There may be a lead-in before them.
    """

    clips: Iterable[Clip]
    path_of: Callable[[int], Path]
    """Where the picture of a number is written."""
    first: Clip
    """Has the first picture's size and colour; its pixels are not used."""
    count: int | None
    """How many there are, where that is known."""
    timer: ReadTimer
    """What waits for the source while ``clips`` are read."""
    notes: dict[int, _Notes] = field(default_factory=dict[int, "_Notes"])
    """By number, what is to be noted of pictures that are read and not written yet."""
    dropped: tuple[str, ...] = ()
    """What pictures cannot hold of the source."""


@dataclass(frozen=True, slots=True, eq=False)
class _PictureRun:
    """What every picture of one run shares."""

    source: Path
    target: Path
    engine: Engine
    options: UpscaleOptions
    on_event: EventSink
    should_stop: Callable[[], bool] = lambda: False
    observer: FrameObserver | None = None


def upscale_picture(
    source: Path,
    target: Path,
    engine: Engine,
    options: UpscaleOptions,
    on_event: EventSink,
    observer: FrameObserver | None = None,
) -> Report:
    """One still picture to another, of any of the kinds that are written."""
    _check_clean(options)
    if not is_picture(target):
        raise OptionsError(
            f"a picture cannot become {target.name}", hint="end the target in .png, .jpg or .webp"
        )
    notes: dict[int, _Notes] = {}
    first = watched(source, options.stall, lambda: _read(source, target, 0, options, notes))
    job = _PictureRun(source, target, engine, options, on_event, observer=observer)

    def path_of(_: int) -> Path:
        check_still_free(target, overwrite=options.overwrite)
        return target

    with held(target):
        return _run(job, _Pictures([first], path_of, first, 1, ReadTimer(), notes=notes))


def upscale_folder(
    source: Path,
    target: Path,
    engine: Engine,
    options: UpscaleOptions,
    on_event: EventSink,
    should_stop: Callable[[], bool],
    observer: FrameObserver | None = None,
) -> Report:
    """Every picture of a folder, names and kinds kept; sizes may differ from one to the next."""
    _check_clean(options)
    timer = ReadTimer()
    notes: dict[int, _Notes] = {}

    def begun() -> tuple[list[Path], Clip]:
        paths = pictures_in(source)
        return paths, _read(paths[0], paths[0], 0, options, notes)

    def clips() -> Iterator[Clip]:
        for number, path in enumerate(paths):
            with timer.reading(path):
                clip = _read(path, path, number, options, notes)
            yield clip

    paths, first = watched(source, options.stall, begun)
    with replaced_folder(target, overwrite=options.overwrite) as part:
        job = _PictureRun(source, target, engine, options, on_event, should_stop, observer)
        names = [part / path.name for path in paths]
        pictures = _Pictures(clips(), names.__getitem__, first, len(paths), timer, notes=notes)
        return _run(job, pictures)


def extract_frames(
    source: Path,
    target: Path,
    engine: Engine,
    options: UpscaleOptions,
    on_event: EventSink,
    should_stop: Callable[[], bool],
    observer: FrameObserver | None = None,
) -> Report:
    """A video's frames, enlarged, as numbered png pictures in the order shown."""
    if parse_grain(options.grain) is not None:
        raise OptionsError("--grain is for a video as the target", hint="leave it out for pictures")
    info, reader, notes = watched(source, options.stall, lambda: _opened(source, options))
    color = info.color.resolved(info.full_size.height)
    with replaced_folder(target, overwrite=options.overwrite) as part:

        def clips() -> Iterator[Clip]:
            for number, clip in enumerate(reader, start=1):
                yield replace(clip, color=color, pts=(number,))

        shown: Iterable[Clip] = clips()
        if engine.upscaler.state_channels:
            shown = LeadIn(shown, lead_frames=MIRRORED, segment_frames=sys.maxsize)
        lost = ["sound, subtitles and times: pictures have none"]
        if info.rotation:
            lost.append(f"the rotation by {info.rotation} degrees")
        if (info.sample_aspect or 1) != 1:
            lost.append(f"the sample aspect ratio {info.sample_aspect}")
        for note in notes:
            on_event(Warned(note))
        job = _PictureRun(source, target, engine, options, on_event, should_stop, observer)
        pictures = _Pictures(
            shown,
            lambda number: part / f"{number:06d}.png",
            _shaped(info.size, color),
            info.frames,
            reader.timer,
            dropped=(*lost,),
        )
        report = _run(job, pictures)
        check_unchanged(source, info.stamp)
        told = told_changes(reader.changes)
        for note in told:
            on_event(Warned(note))
        warnings = (*notes, *told, *report.warnings)
        return replace(report, damaged=reader.damaged, warnings=warnings)


def _opened(source: Path, options: UpscaleOptions) -> tuple[MediaInfo, ClipReader, tuple[str, ...]]:
    """A video that becomes pictures, the reader of its frames, and what to tell of both."""
    whole = probe(source, allow_huge=options.allow_huge)
    cut = cut_of(whole, options)
    info, cropped = crop_of(whole, options, cut)
    fields, notes = fields_of(whole, options, cut)
    filters, _, told = filters_of(info, options, cut, fields)
    reader = reader_for(info, cut, fields=fields, clip_frames=1, filters=filters)
    return info, reader, (*cropped, *notes, *told)


def _check_clean(options: UpscaleOptions) -> None:
    asked = parse_clean(options.clean), parse_grain(options.grain), parse_crop(options.crop)
    if any(one is not None for one in asked):
        raise OptionsError(
            "--clean, --grain and --crop are for a video", hint="pictures are enlarged as they are"
        )


def _run(job: _PictureRun, pictures: _Pictures) -> Report:
    target, engine, options, on_event = job.target, job.engine, job.options, job.on_event
    begun = time.perf_counter()
    first = pictures.first
    low, scale = first.size, engine.upscaler.scale
    on_event(Started(job.source, target, pictures.count, low, options.target_size(low, scale)))
    if job.observer is not None:
        job.observer.begin(pictures.count)
    done = written_bytes = 0
    dropped: dict[str, None] = {}

    def tell(lost: Iterable[str]) -> None:
        for loss in lost:
            if loss not in dropped:
                dropped[loss] = None
                on_event(Warned(f"not in the target: {loss}"))

    def conversion(clip: Clip) -> Conversion:
        goal = options.target_size(clip.size, scale)
        check_target_size(goal, allow_huge=options.allow_huge)
        kept = spec_for(pictures.path_of(clip.pts[0]), clip.color)
        return Conversion(clip.color.resolved(clip.size.height), kept, clip.size, goal)

    def save(made: Made) -> None:
        nonlocal done, written_bytes
        clip = made()
        if clip.lead_in:
            return
        noted = pictures.notes.pop(clip.pts[0], _Notes())
        tell(noted.lost)
        path = pictures.path_of(clip.pts[0])
        write_picture(path, clip.planes, noted.icc)
        written_bytes += path.stat().st_size
        done += 1
        on_event(Advanced(1, ""))
        if job.should_stop():
            raise Stopped(f"stopped after {done} pictures, which are not kept")

    tell(pictures.dropped)
    tell(pictures.notes.get(first.pts[0], _Notes()).lost)
    stage = enlarger(engine, conversion, observer=job.observer)
    waits = Pipeline(
        pictures.clips,
        stage,
        save,
        check=lambda: pictures.timer.check(job.source, options.stall),
    ).run()
    if not done:
        raise MediaError(f"not one frame of {job.source} could be read")
    total = max(waits.total_seconds, 1e-9)
    on_event(SegmentDone(0, done, resumed=False))
    on_event(Saved(target))
    report = Report(
        target=target,
        frames=done,
        size=low,
        target_size=options.target_size(low, scale),
        seconds=time.perf_counter() - begun,
        bytes=written_bytes,
        waiting={
            "decode": waits.read_seconds / total,
            "enlarge": waits.work_seconds / total,
            "encode": waits.write_seconds / total,
        },
        dropped=tuple(dropped),
        model=engine.upscaler.name,
        device=str(engine.placement),
    )
    on_event(Finished(report))
    return report


def _read(
    path: Path, target: Path, number: int, options: UpscaleOptions, notes: dict[int, _Notes]
) -> Clip:
    """A picture as a clip; what is to be noted of it goes to ``notes``."""
    picture = read_whole_picture(path, allow_huge=options.allow_huge)
    notes[number] = _Notes(picture.data.icc, picture_losses(picture, target))
    return Clip(picture.planes, picture.color, (number,), (0,), Fraction(1))


def _shaped(size: Size, color: ColorSpec) -> Clip:
    """A placeholder for a first frame that is not read yet."""
    planes = (torch.empty(1, size.height, size.width, device="meta"),)
    return Clip(planes, color, (1,), (0,), Fraction(1))

"""Jobs whose target is pictures: a still, a folder of them, or a video taken apart into frames."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from vsr.color import ColorSpec
from vsr.comparing.witness import Witness
from vsr.errors import MediaError, OptionsError
from vsr.events import Advanced, EventSink, Finished, Report, Saved, SegmentDone, Started, Warned
from vsr.geometry import Size
from vsr.infer.engine import Engine
from vsr.jobs.plan import cut_of, deinterlacing, reader_for
from vsr.media.clip import Clip
from vsr.media.images import is_picture, pictures_in, read_picture, spec_for, write_picture
from vsr.media.probe import probe
from vsr.options import UpscaleOptions
from vsr.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class _Picture:
    """Planes of one picture on their way, and the file they belong to."""

    path: Path
    planes: tuple[Tensor, ...]
    color: ColorSpec


def upscale_picture(
    source: Path,
    target: Path,
    engine: Engine,
    options: UpscaleOptions,
    on_event: EventSink,
    witness: Witness | None = None,
) -> Report:
    """One still picture to another, of any of the kinds that are written."""
    if not is_picture(target):
        raise OptionsError(
            f"a picture cannot become {target.name}", hint="end the target in .png, .jpg or .webp"
        )
    first = _read(source, target)
    return _run(iter([first]), 1, first, source, target, engine, options, on_event, witness=witness)


def upscale_folder(
    source: Path,
    target: Path,
    engine: Engine,
    options: UpscaleOptions,
    on_event: EventSink,
    witness: Witness | None = None,
) -> Report:
    """Every picture of a folder, names and kinds kept; sizes may differ from one to the next."""
    paths = pictures_in(source)
    first = _read(paths[0], paths[0])
    with _filled(target) as part:
        pictures = (_read(path, part / path.name) for path in paths)
        return _run(
            pictures, len(paths), first, source, target, engine, options, on_event, witness=witness
        )


def extract_frames(
    source: Path,
    target: Path,
    engine: Engine,
    options: UpscaleOptions,
    on_event: EventSink,
    witness: Witness | None = None,
) -> Report:
    """A video's frames, enlarged, as numbered png pictures in the order shown."""
    info = probe(source)
    color = info.color.resolved(info.size.height)
    deinterlace, notes = deinterlacing(info, options)
    reader = reader_for(info, cut_of(info, options), deinterlace=deinterlace, clip_frames=1)
    with _filled(target) as part:

        def pictures() -> Iterator[_Picture]:
            for number, clip in enumerate(reader, start=1):
                yield _Picture(part / f"{number:06d}.png", clip.planes, color)

        first = _Picture(part / "000001.png", (), color)
        size = info.size
        lost = ["sound, subtitles and times: pictures have none"]
        if info.rotation:
            lost.append(f"the rotation by {info.rotation} degrees")
        if (info.sample_aspect or 1) != 1:
            lost.append(f"the sample aspect ratio {info.sample_aspect}")
        for note in notes:
            on_event(Warned(note))
        report = _run(
            pictures(),
            info.frames,
            first,
            source,
            target,
            engine,
            options,
            on_event,
            size,
            (*lost,),
            witness,
        )
        return replace(report, damaged=reader.damaged, warnings=(*notes, *report.warnings))


def _run(
    pictures: Iterator[_Picture],
    count: int | None,
    first: _Picture,
    source: Path,
    target: Path,
    engine: Engine,
    options: UpscaleOptions,
    on_event: EventSink,
    size: Size | None = None,
    dropped: tuple[str, ...] = (),
    witness: Witness | None = None,
) -> Report:
    begun = time.perf_counter()
    low = size or Size(first.planes[0].shape[-1], first.planes[0].shape[-2])
    scale = engine.upscaler.scale
    on_event(Started(source, target, count, low, options.target_size(low, scale)))
    done = 0

    def enlarge(picture: _Picture) -> _Picture:
        spec = spec_for(picture.path, picture.color)
        height, width = picture.planes[0].shape[-2:]
        goal = options.target_size(Size(width, height), scale)
        read_as = picture.color.resolved(height)
        planes = engine.enlarge(picture.planes, read_as, spec, goal)
        if witness is not None:
            low, high = (
                Clip(some, color, (witness.seen,), (1,), Fraction(1))
                for some, color in ((picture.planes, read_as), (planes, spec))
            )
            witness.see(low, read_as, high, picture.path.stem)
        return _Picture(picture.path, planes, spec)

    def save(picture: _Picture) -> None:
        nonlocal done
        write_picture(picture.path, picture.planes)
        done += 1
        on_event(Advanced(1, ""))

    kept = spec_for(first.path, first.color)
    if first.color.alpha and not kept.alpha:
        dropped += (f"transparency ({first.path.suffix} has none)",)
    if first.color.depth > 8 and kept.depth == 8:
        dropped += (f"{first.color.depth}-bit depth ({first.path.suffix} takes 8 bits)",)
    for lost in dropped:
        on_event(Warned(f"not in the target: {lost}"))
    pipeline: Pipeline[_Picture, _Picture] = Pipeline(pictures, enlarge, save)
    waits = pipeline.run()
    if not done:
        raise MediaError(f"not one frame of {source} could be read")
    total = max(waits.total_seconds, 1e-9)
    on_event(SegmentDone(0, done, resumed=False))
    on_event(Saved(target))
    report = Report(
        target=target,
        frames=done,
        size=low,
        target_size=options.target_size(low, scale),
        seconds=time.perf_counter() - begun,
        bytes=target.stat().st_size if target.is_file() else 0,
        waiting={
            "decode": waits.read_seconds / total,
            "enlarge": waits.work_seconds / total,
            "encode": waits.write_seconds / total,
        },
        dropped=dropped,
        model=engine.upscaler.name,
        device=str(engine.placement),
    )
    on_event(Finished(report))
    return report


def _read(path: Path, target: Path) -> _Picture:
    planes, color = read_picture(path)
    return _Picture(target, planes, color)


@contextmanager
def _filled(target: Path) -> Generator[Path]:
    """A folder beside the target to fill, which takes its name when all went well."""
    part = target.with_name(f".{target.name}.part")
    _checked(part, lambda: shutil.rmtree(part, ignore_errors=True))
    _checked(part, part.mkdir)
    try:
        yield part
        if target.exists():
            _checked(target, lambda: shutil.rmtree(target))
        _checked(target, lambda: os.replace(part, target))
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _checked(path: Path, action: Callable[[], object]) -> None:
    try:
        action()
    except OSError as error:
        raise MediaError(f"cannot write {path}: {error.strerror or error}") from error

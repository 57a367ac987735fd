"""A dry run of one source of any kind, and the stretch that a preview is of. Nothing is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vsr.errors import OptionsError
from vsr.events import EventSink, Forecast, Warned, ignore
from vsr.infer.engine import Engine
from vsr.jobs.estimate.forecast import forecast
from vsr.jobs.video.plan import check_target, make_plan
from vsr.media.extract.activity import most_active_start
from vsr.media.read.images import is_picture, picture_size, pictures_in
from vsr.media.read.probe import probe
from vsr.options import UpscaleOptions


def dry_run(source: Path, target: Path, options: UpscaleOptions, engine: Engine) -> Forecast:
    """What a run would do, and take where it makes a video: pictures are not measured."""
    check_target(source, target, options)
    scale = engine.upscaler.scale
    if not is_picture(source) and target.suffix:
        options = previewed(source, options)
        return forecast(make_plan(source, target, options, engine.upscaler), engine)
    pictures = [source] if is_picture(source) else pictures_in(source) if source.is_dir() else []
    if pictures:
        low, frames = picture_size(pictures[0], allow_huge=options.allow_huge), len(pictures)
    else:
        info = probe(source, allow_huge=options.allow_huge)
        low, frames = info.size, info.frames
    placement = str(engine.placement)
    high = options.target_size(low, scale)
    return Forecast(source, target, low, high, frames, model=engine.upscaler.name, device=placement)


def previewed(
    source: Path, options: UpscaleOptions, on_event: EventSink = ignore
) -> UpscaleOptions:
    """``preview`` as a start and an end, which are told."""
    if options.preview is None:
        return options
    if source.is_dir() or is_picture(source):
        raise OptionsError("--preview is for a video", hint="vsr upscale FILE OUT --preview 5")
    info, seconds = probe(source, allow_huge=options.allow_huge), options.preview
    start = most_active_start(info, seconds, start=options.start or 0.0, end=options.end)
    end = start + seconds if options.end is None else min(options.end, start + seconds)
    on_event(Warned(f"a preview: from {start:.2f} s to {end:.2f} s, where most is going on"))
    return replace(options, start=start or None, end=end, preview=None)

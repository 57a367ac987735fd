"""One source, one target: the one place that says which kind of job that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from vsr.errors import OptionsError
from vsr.events import EventSink, Forecast, Report, Warned, ignore
from vsr.geometry import Size
from vsr.infer.engine import Engine
from vsr.jobs.enlarge import FrameObserver
from vsr.jobs.estimate.forecast import check_room, forecast
from vsr.jobs.estimate.trial_run import TrialResult
from vsr.jobs.pictures import extract_frames, upscale_folder, upscale_picture
from vsr.jobs.video.plan import Plan, make_plan
from vsr.jobs.video.run import run
from vsr.jobs.workers.executor import Executor
from vsr.media.crop import find_bars
from vsr.media.extract.activity import most_active_start
from vsr.media.ffmpeg_lock import ffmpeg_lock
from vsr.media.grain import measure
from vsr.media.read.images import picture_size, pictures_in
from vsr.media.read.probe import probe
from vsr.media.stall import watched
from vsr.media.suffixes import is_picture
from vsr.models.arch import Upscaler
from vsr.options import UpscaleOptions

JobKind = Literal["video", "picture", "folder", "frames"]
"""In order: a video is made (of a video or of a folder of frames), a picture, a folder of pictures,
or a folder of a video's frames."""


def job_kind(source: Path, target: Path) -> JobKind:
    """What these two mean: a target without a suffix is a folder."""
    if is_picture(source):
        return "picture"
    if target.suffix:
        return "video"
    return "folder" if source.is_dir() else "frames"


@dataclass(frozen=True, eq=False)
class Job:
    """All that is settled of a source's enlargement before its first frame."""

    source: Path
    """The file or folder that is read."""
    target: Path
    """The file or folder that is written."""
    options: UpscaleOptions
    """What was asked for, with a preview's start and end filled in."""
    upscaler: Upscaler
    """The model that enlarges it."""
    kind: JobKind
    """What is made of what."""
    plan: Plan | None
    """A video's; pictures need none."""

    @property
    def size(self) -> Size:
        """The size of the source's frames, or of the first of its pictures."""
        return self._frames[0]

    def forecast(self, engine: Engine, measured: TrialResult | None = None) -> Forecast:
        """What a run would do, and take where it makes a video: pictures are not measured."""
        if self.plan is not None:
            suggested = watched(
                self.source, self.options.stall, partial(_suggested, self.plan), locked=False
            )
            notes = (*self.plan.notes, *suggested)
            return forecast(replace(self.plan, notes=notes), engine, measured)
        low, frames = self._frames
        high = self.options.target_size(low, self.upscaler.scale)
        return Forecast(
            self.source,
            self.target,
            low,
            high,
            frames,
            model=self.upscaler.name,
            device=str(engine.placement),
        )

    def run(
        self,
        engine: Engine,
        on_event: EventSink,
        should_stop: Callable[[], bool] = lambda: False,
        executor: Executor | None = None,
        observer: FrameObserver | None = None,
    ) -> Report:
        """Make the target. Raises a :class:`~vsr.errors.VsrError`; the target is unchanged then.

        ``executor`` makes a video's segments, by default the one that the options ask for.
        ``observer`` is shown every frame that this process makes.
        """
        source, target, options = self.source, self.target, self.options
        if self.plan is not None:
            if not options.force:
                with ffmpeg_lock:
                    check_room(self.plan, engine)
            return run(self.plan, engine, options, on_event, should_stop, executor, observer)
        if self.kind == "picture":
            with ffmpeg_lock:  # the engine may be shared with other files' threads
                return upscale_picture(source, target, engine, options, on_event, observer)
        make = upscale_folder if self.kind == "folder" else extract_frames
        return make(source, target, engine, options, on_event, should_stop, observer)

    @cached_property
    def _frames(self) -> tuple[Size, int | None]:
        """Size and number of the source's frames; pictures are read for it."""
        if self.plan is not None:
            return self.plan.info.size, self.plan.frames
        return watched(self.source, self.options.stall, self._described)

    def _described(self) -> tuple[Size, int | None]:
        if self.kind == "frames":
            info = probe(self.source, allow_huge=self.options.allow_huge)
            return info.size, info.frames
        pictures = [self.source] if self.kind == "picture" else pictures_in(self.source)
        return picture_size(pictures[0], allow_huge=self.options.allow_huge), len(pictures)


def plan_job(
    source: Path,
    target: Path,
    options: UpscaleOptions,
    upscaler: Upscaler,
    on_event: EventSink = ignore,
) -> Job:
    """The job of a source and a target; call ``check_target`` first. Nothing is written."""
    kind = job_kind(source, target)
    if options.preview is not None and (kind != "video" or source.is_dir()):
        raise OptionsError(
            "--preview is for a video that becomes one", hint="vsr upscale FILE OUT --preview 5"
        )
    plan = None
    if kind == "video":
        options = _previewed(source, options, on_event)
        plan = make_plan(source, target, options, upscaler)
    return Job(source, target, options, upscaler, kind, plan)


def _previewed(source: Path, options: UpscaleOptions, on_event: EventSink) -> UpscaleOptions:
    """Replace ``preview`` by a start and an end, and report them."""
    if options.preview is None:
        return options
    seconds, begin = options.preview, options.start or 0.0

    def found() -> float:
        info = probe(source, allow_huge=options.allow_huge)
        return most_active_start(info, seconds, start=begin, end=options.end)

    start = watched(source, options.stall, found)
    end = start + seconds if options.end is None else min(options.end, start + seconds)
    on_event(Warned(f"a preview: from {start:.2f} s to {end:.2f} s, where most is going on"))
    return replace(options, start=start or None, end=end, preview=None)


def _suggested(plan: Plan) -> list[str]:
    """What was not asked for, and would suit the source."""
    lines: list[str] = []
    if plan.info.is_folder:
        return lines
    asked = plan.filters or plan.encoding.grain is not None
    if not asked and (grain := measure(plan.info)) is not None:
        lines.append(
            f"it has grain of {grain.removed:.1f} of 255: --grain auto takes it out before the "
            "network, and gives it back"
        )
    if plan.info.crop is None and (bars := find_bars(plan.info)):
        lines.append(f"it has black bars ({bars}): --crop auto leaves them out")
    return lines

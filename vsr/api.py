"""The front door: one call for each thing that `vsr` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

from vsr.batch_options import BatchOptions
from vsr.choice import USUAL, Choice, Chosen, Kind, choice_for, default_for
from vsr.errors import MediaError, OptionsError
from vsr.evaluation.frame_sampler import FrameSampler
from vsr.evaluation.sanity_check import check_model
from vsr.evaluation.scores import Score, scores, sets_in
from vsr.events import BatchReport, EventSink, Forecast, Report, Warned, ignore
from vsr.infer.device import pick
from vsr.infer.engine import Engine
from vsr.jobs.batch.inputs import holds_videos
from vsr.jobs.batch.items import default_target as default_target_of
from vsr.jobs.batch.queue import upscale_many
from vsr.jobs.estimate.forecast import check_enough as check_enough
from vsr.jobs.job import job_kind, plan_job
from vsr.jobs.video.plan import Plan, check_target, make_plan
from vsr.media.files import check_reachable, check_regular
from vsr.media.read.probe import MediaInfo
from vsr.media.read.probe import probe as probe_file
from vsr.media.stall import watched
from vsr.media.streams.stream_mapping import mapping_by_target as mapping_by_target
from vsr.media.suffixes import is_picture
from vsr.media.survey import Survey
from vsr.media.survey import survey as survey_file
from vsr.media.write.codecs import CONTAINERS
from vsr.models.arch import Upscaler
from vsr.models.catalog import ARCHS
from vsr.options import STALL_SECONDS, EngineOptions, UpscaleOptions
from vsr.perceptual.lpips import load_lpips
from vsr.perceptual.vgg import load_vgg
from vsr.report.front import ReportTargets, write_page
from vsr.weights import all_fetched, index
from vsr.weights import load as load_weights

PathLike = str | os.PathLike[str]


def upscale(
    source: PathLike,
    target: PathLike,
    options: UpscaleOptions | None = None,
    on_event: EventSink = ignore,
    should_stop: Callable[[], bool] = lambda: False,
) -> Report:
    """Upscale a video, a picture or a folder of pictures.

    A video becomes a video, or a folder of png frames where ``target`` has no suffix; a folder
    becomes a folder, or a video where ``target`` has a video's suffix. ``on_event`` is called from
    the threads of the pipeline, one event at a time. ``should_stop`` is asked after each segment of
    a video: if it says so, :class:`~vsr.errors.Stopped` is raised, and the same call goes on later.
    Raises a :class:`~vsr.errors.VsrError`; the target is then what it was before.

    Example:

        >>> import vsr
        >>> options = vsr.UpscaleOptions(model="tiny", end=0.2, overwrite=True)
        >>> report = vsr.upscale("samples/harbour.mkv", "harbour_4x.mkv", options)
        >>> str(report.size), str(report.target_size)
        ('320x180', '1280x720')
    """
    options = options or UpscaleOptions()
    source, target = Path(source), Path(target)
    _check_source(source)
    check_target(source, target, options)
    page = ReportTargets(html=options.compare, overwrite=options.overwrite)
    page.check(source, target)
    upscaler = load_for(options, source, target, on_event)
    engine = make_engine(upscaler, options, on_event)
    check_model(upscaler, source, options, on_event)
    sampler = None if options.compare is None else FrameSampler(upscaler.name)
    job = plan_job(source, target, options, upscaler, on_event)
    report = job.run(engine, on_event, should_stop, observer=sampler)
    if sampler is not None:
        write_page(sampler, page, source, report, on_event)
    return report


def upscale_batch(
    sources: Sequence[PathLike],
    target: PathLike,
    options: UpscaleOptions | None = None,
    batch: BatchOptions | None = None,
    on_event: EventSink = ignore,
    should_stop: Callable[[], bool] = lambda: False,
    *,
    dry: bool = False,
) -> BatchReport:
    """Upscale files and folders of videos into the folder ``target``, or go on with a folder's new
    files until ``should_stop``.

    A file that fails is an outcome in the report. What is wrong with the whole of it (no input, two
    inputs of one name) raises a :class:`~vsr.errors.VsrError` before the first file. A ``dry`` run
    only tells what each file would take.
    """
    options, batch = options or UpscaleOptions(), batch or BatchOptions()
    if options.compare is not None:
        raise OptionsError("--compare is for one source", hint="vsr upscale in.mp4 out.mp4")
    return upscale_many(
        [Path(source) for source in sources],
        Path(target),
        chooser(options, on_event),
        options,
        batch,
        on_event,
        should_stop,
        dry=dry,
    )


def is_batch(source: PathLike, target: PathLike) -> bool:
    """Whether these two mean a folder of videos, each of which is to be made larger."""
    folder, name = Path(source), Path(target)
    check_reachable(folder)
    return folder.is_dir() and name.suffix.lower() not in CONTAINERS and holds_videos(folder)


def plan(source: PathLike, target: PathLike, options: UpscaleOptions | None = None) -> Plan:
    """What :func:`upscale` would do with a video, settled without making a frame.

    :func:`dry_run` also measures what that takes. Raises :class:`OptionsError` for what is no
    video, and what :func:`upscale` raises before it begins.
    """
    options = options or UpscaleOptions()
    source, target = Path(source), Path(target)
    _check_source(source)
    check_target(source, target, options)
    if job_kind(source, target) != "video":
        raise OptionsError("only a video has a plan", hint="pictures are just enlarged")
    return make_plan(source, target, options, load_for(options, source, target))


def dry_run(
    source: PathLike,
    target: PathLike,
    options: UpscaleOptions | None = None,
    on_event: EventSink = ignore,
) -> Forecast:
    """What :func:`upscale` would do, and take: measured on some frames where it makes a video."""
    options = options or UpscaleOptions()
    source, target = Path(source), Path(target)
    _check_source(source)
    check_target(source, target, options)
    upscaler = load_for(options, source, target, on_event)
    job = plan_job(source, target, options, upscaler)
    return job.forecast(make_engine(upscaler, options))


def probe(path: PathLike, *, allow_huge: bool = False, stall: float = STALL_SECONDS) -> MediaInfo:
    """What is in a video file. Raises :class:`~vsr.errors.MediaError`.

    A read that takes more than ``stall`` seconds is a :class:`~vsr.errors.StorageError`; 0: never.
    """
    place = Path(path)
    return watched(place, stall, lambda: probe_file(place, allow_huge=allow_huge))


def survey(info: MediaInfo, *, stall: float = STALL_SECONDS) -> Survey:
    """What a video is, by looking at its frames: see :func:`vsr.media.survey.survey`.

    Raises :class:`~vsr.errors.MediaError`; ``stall`` is that of :func:`probe`.
    """
    return watched(info.path, stall, lambda: survey_file(info), locked=False)


def evaluate(
    models: Sequence[str],
    data: Sequence[PathLike],
    options: EngineOptions | None = None,
    *,
    vgg: str = "none",
    lpips: bool = False,
    crf: float | None = None,
    frames: int = 16,
) -> Iterator[Score]:
    """How near models come to originals: a :class:`Score` for each model and each test set.

    Without ``models``, bicubic and everything that is shipped.
    ``data`` are folders with ``HR`` and ``LR``, pictures or videos; what has no ``LR`` is shrunk,
    and compressed by x264 where ``crf`` is given. ``vgg`` is "none", "auto" or a path;
    ``lpips`` needs the extra of that name.
    """
    features = load_vgg(vgg)
    second = load_lpips() if lpips else None
    for model in models or ("bicubic", *index()):
        engine = Engine(load(model), options)
        places = [Path(place) for place in data]
        sets = sets_in(places, engine.upscaler.scale, frames=frames, crf=crf)
        yield from scores(engine, sets, features, second)


def model_of(options: UpscaleOptions, source: PathLike, target: PathLike) -> Choice:
    """The model that these options ask for; of ``auto``, the one for this source, and why.

    A source that is not there is taken for a usual, compressed one.
    """
    if options.model != "auto":
        return Choice(options.model)
    place, name = Path(source), Path(target)
    folder = place.is_dir() and not name.suffix and not holds_videos(place)
    single_frames = is_picture(place) or folder or options.then  # a chain remembers nothing
    on_cpu = options.cluster is None and pick(options.engine.device).type == "cpu"
    kind: Kind = "picture" if single_frames else "video"
    return watched(
        place,
        options.stall,
        lambda: choice_for(place, kind, on_cpu=on_cpu, allow_huge=options.allow_huge),
    )


def default_target(source: PathLike, options: UpscaleOptions, on_event: EventSink = ignore) -> Path:
    """Where a source's target goes unless told: beside it, such as ``in_4x.mp4``.

    A model that has to be fetched for that is told.
    """
    place = Path(source)
    _check_source(place)
    sized = (options.scale, options.size, options.width, options.height)
    if any(value is not None for value in sized) or (not options.then and options.model == "auto"):
        return default_target_of(place, options, 4)  # no matter, or that of what is shipped
    model = model_of(options, place, place).model
    upscaler = load_weights(model, then=options.then, denoise=options.denoise, on_event=on_event)
    return default_target_of(place, options, upscaler.scale)


def list_models() -> list[dict[str, object]]:
    """Every model that has a name: ``name`` and ``about``.

    Of fetched ones also ``source``, ``licence``, ``author`` and ``sha256``.
    Of trained ones also ``psnr`` (luma, on Set5, Set14, BSD100), ``milliseconds`` (for 160x90, two
    CPU cores) and ``default_for``, the kinds of source that it is the default for.
    """
    rows: list[dict[str, object]] = [
        {
            "name": entry.name,
            "psnr": entry.psnr,
            "milliseconds": entry.milliseconds,
            "default_for": default_for(entry.name),
            "about": entry.summary,
        }
        for entry in index().values()
    ]
    rows.extend({"name": one.name, "about": "", **one.whole_card()} for one in all_fetched())
    plain = [arch for arch in ARCHS.values() if not arch.trained]
    return rows + [{"name": arch.name, "about": f"{arch.summary} (no weights)"} for arch in plain]


def load(model: str = "auto") -> Upscaler:
    """The upscaler of a name or of a weights file; ``auto`` is the one for clean pictures."""
    return load_weights(USUAL if model == "auto" else model)


def load_for(
    options: UpscaleOptions, source: Path, target: Path, on_event: EventSink = ignore
) -> Upscaler:
    """The upscaler that these options ask for: a model, or several in a chain.

    What was chosen for a person is told.
    """
    choice = model_of(options, source, target)
    if choice.why:
        on_event(Warned(str(choice)))
    return load_weights(choice.model, then=options.then, denoise=options.denoise, on_event=on_event)


def chooser(options: UpscaleOptions, on_event: EventSink = ignore) -> Callable[[Path], Chosen]:
    """The upscaler for each of many files, whose names are given. Weights are loaded once."""

    @cache
    def loaded(model: str) -> Upscaler:
        return load_weights(model, then=options.then, denoise=options.denoise, on_event=on_event)

    def chosen(source: Path) -> Chosen:
        choice = model_of(options, source, "one of many.mkv")
        return Chosen(loaded(choice.model), choice)

    return chosen


def make_engine(
    upscaler: Upscaler, options: UpscaleOptions | EngineOptions, on_event: EventSink = ignore
) -> Engine:
    """An upscaler placed on the device that the options ask for."""
    asked = options if isinstance(options, EngineOptions) else options.engine
    return Engine(upscaler, asked, on_event)


def _check_source(source: Path) -> None:
    check_reachable(source)
    if not source.exists():
        raise MediaError(f"there is no file {source}", hint="check the path")
    if not os.access(source, os.R_OK):
        raise MediaError(f"no permission to read {source}", hint="check its owner and mode")
    if not source.is_dir():
        check_regular(source)

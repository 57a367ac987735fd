"""The front door: one call for each thing that `vsr` does."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from vsr.comparing.files import compare_files
from vsr.comparing.footage import Footage
from vsr.comparing.labels import labelled
from vsr.comparing.models import compare_models
from vsr.comparing.options import COMMON, CompareOptions
from vsr.comparing.result import Comparison
from vsr.comparing.witness import Witness
from vsr.errors import MediaError, OptionsError
from vsr.evaluation import Score, scores, sets_in
from vsr.events import EventSink, Report, Saved, Warned, ignore
from vsr.infer import device
from vsr.infer.engine import Engine
from vsr.jobs.pictures import extract_frames, upscale_folder, upscale_picture
from vsr.jobs.plan import Plan, check_target, make_plan
from vsr.jobs.preview import rows_of
from vsr.jobs.run import run
from vsr.media.carry import plan_carry
from vsr.media.images import is_picture
from vsr.media.probe import MediaInfo
from vsr.media.probe import probe as probe_file
from vsr.models.arch import Upscaler
from vsr.models.catalog import ARCHS
from vsr.options import EngineOptions, UpscaleOptions
from vsr.report.targets import ReportTargets
from vsr.training.vgg import load_vgg
from vsr.weights import default_model as model_for
from vsr.weights import index
from vsr.weights import load as load_weights

PathLike = str | os.PathLike[str]


def upscale(
    source: PathLike,
    target: PathLike,
    options: UpscaleOptions | None = None,
    on_event: EventSink = ignore,
) -> Report:
    """Upscale a video, a picture or a folder of pictures.

    A video becomes a video, or a folder of png frames where ``target`` has no suffix; a folder
    becomes a folder, or a video where ``target`` has a video's suffix. ``on_event`` is called from
    the threads of the pipeline, one event at a time. Raises a :class:`~vsr.errors.VsrError`; the
    target is then what it was before.
    """
    options = options or UpscaleOptions()
    source, target = Path(source), Path(target)
    _check_source(source)
    check_target(source, target, options)
    page = ReportTargets(html=options.compare, overwrite=options.overwrite)
    page.check()
    upscaler = load(options.model, options.device)
    witness = None
    if options.compare is not None:
        witness = Witness(upscaler.name, Footage(source).frames)
    report = _upscale(source, target, upscaler, options, on_event, witness)
    if witness is not None and witness.saw_nothing:
        on_event(Warned(f"no {options.compare}: not one frame was made in this run"))
    elif witness is not None:
        made_by = {"model": report.model, "device": report.device, "encoder": report.encoder}
        made_by["input"] = source.name
        page.write(witness.report({name: text for name, text in made_by.items() if text}))
        on_event(Saved(page.paths[0]))
    return report


def _upscale(
    source: Path,
    target: Path,
    upscaler: Upscaler,
    options: UpscaleOptions,
    on_event: EventSink,
    witness: Witness | None,
) -> Report:
    """The kind of job that source and target ask for."""
    engine = make_engine(upscaler, options, on_event)
    if is_picture(source):
        return upscale_picture(source, target, engine, options, on_event, witness)
    if not target.suffix:
        job = upscale_folder if source.is_dir() else extract_frames
        return job(source, target, engine, options, on_event, witness)
    plan = make_plan(source, target, options, upscaler.scale)
    return run(plan, engine, options, on_event, witness)


def plan(source: PathLike, target: PathLike, options: UpscaleOptions | None = None) -> Plan:
    """What :func:`upscale` would do with a video, without doing it: the dry run."""
    options = options or UpscaleOptions()
    source, target = Path(source), Path(target)
    _check_source(source)
    check_target(source, target, options)
    if is_picture(source) or not target.suffix:
        raise OptionsError("only a video has a plan", hint="pictures are just enlarged")
    return make_plan(source, target, options, load(options.model, options.device).scale)


def preview(source: PathLike, target: PathLike, options: UpscaleOptions) -> dict[str, object]:
    """What :func:`upscale` would do, of any kind of source and target, as plain rows."""
    source, target = Path(source), Path(target)
    _check_source(source)
    check_target(source, target, options)
    return rows_of(source, target, options, load(options.model, options.device).scale)


def compare(
    reference: PathLike,
    candidates: Sequence[PathLike] = (),
    options: CompareOptions | None = None,
    on_event: EventSink = ignore,
    *,
    models: Sequence[str] | None = None,
    targets: ReportTargets | None = None,
) -> Comparison:
    """Films, pictures or folders of pictures against a reference, frame by frame.

    With ``models`` there are no candidates: ``reference`` is an input that goes through each of
    them, by name or path. ``targets`` are the reports to write. Raises a
    :class:`~vsr.errors.VsrError`; no report is then written.
    """
    options, targets = options or CompareOptions(), targets or ReportTargets()
    source, others = Path(reference), [Path(path) for path in candidates]
    if models is None and not others:
        raise OptionsError(
            "give a reference and what to compare with it",
            hint="vsr compare original.mp4 large.mp4, or vsr compare --models A,B in.mp4",
        )
    if models is not None and (others or not models):
        raise OptionsError("--models takes names and one input", hint="--models A,B in.mp4")
    if models is None and options.shrink:
        raise OptionsError("--shrink is for models", hint="name some with --models")
    for path in (source, *others):
        _check_source(path)
    targets.check()
    if models is None:
        comparison = compare_files(source, others, options, on_event)
    else:
        comparison = compare_models(
            source, labelled(models, lambda name: load(name, options.device)), options, on_event
        )
    targets.write(comparison, whole_sheet=options.crop not in (None, COMMON))
    return comparison


def probe(path: PathLike) -> MediaInfo:
    """What is in a video file. Raises :class:`~vsr.errors.MediaError`."""
    return probe_file(Path(path))


def fate(info: MediaInfo) -> dict[str, list[str]]:
    """What an upscale of ``info`` would do with each stream, for each kind of target."""
    rows: dict[str, list[str]] = {}
    for suffix, container in (("mp4", "mp4"), ("mkv", "matroska")):
        carries = plan_carry(info, container)
        for action in ("keep", "convert", "drop"):
            rows[f"{action}_in_{suffix}"] = [str(c) for c in carries if c.action == action]
    return rows


def evaluate(
    models: Sequence[str],
    data: Sequence[PathLike],
    options: EngineOptions | None = None,
    *,
    vgg: str = "none",
    crf: float | None = None,
    frames: int = 16,
) -> Iterator[Score]:
    """How near models come to originals: a :class:`Score` for each model and each test set.

    Without ``models``, bicubic and everything that is shipped.
    ``data`` are folders with ``HR`` and ``LR``, pictures or videos; what has no ``LR`` is shrunk,
    and compressed by x264 where ``crf`` is given. ``vgg`` is "none", "auto" or a path.
    """
    judge = load_vgg(vgg)
    for model in models or ("bicubic", *index()):
        engine = Engine(load(model, (options or EngineOptions()).device), options)
        places = [Path(place) for place in data]
        sets = sets_in(places, engine.upscaler.scale, frames=frames, crf=crf)
        yield from scores(engine, sets, judge)


def default_model(options: UpscaleOptions) -> str:
    """The model that ``auto`` means for these options."""
    return model_for(device.pick(options.device).type)


def list_models() -> list[dict[str, object]]:
    """Every model that has a name: ``name`` and ``about``.

    Of trained ones also ``psnr`` (luma, on Set5, Set14, BSD100), ``milliseconds`` (for 160x90, two
    CPU cores) and ``default_on``, the kinds of device that it is the default on.
    """
    rows: list[dict[str, object]] = [
        {
            "name": entry.name,
            "psnr": entry.psnr,
            "milliseconds": entry.milliseconds,
            "default_on": [
                kind for kind in ("cpu", "cuda", "mps") if model_for(kind) == entry.name
            ],
            "about": entry.summary,
        }
        for entry in index().values()
    ]
    plain = [arch for arch in ARCHS.values() if not arch.trained]
    return rows + [{"name": arch.name, "about": f"{arch.summary} (no weights)"} for arch in plain]


def describe_model(name: str) -> dict[str, object]:
    """The facts of one model, by name or path."""
    upscaler = load_weights(name)
    return {
        "name": upscaler.name,
        "arch": upscaler.arch,
        "scale": upscaler.scale,
        "parameters": upscaler.parameters,
        "receptive_field_px": 2 * upscaler.halo + 1,
        "dtypes": [str(dtype).removeprefix("torch.") for dtype in upscaler.dtypes],
        **upscaler.card,
    }


def load(model: str = "auto", on_device: str = "auto") -> Upscaler:
    """The upscaler of a name or of a weights file; ``auto`` is the best for the device."""
    if model == "auto":
        model = model_for(device.pick(on_device).type)
    return load_weights(model)


def make_engine(
    upscaler: Upscaler, options: UpscaleOptions | EngineOptions, on_event: EventSink = ignore
) -> Engine:
    """An upscaler placed on the device that the options ask for."""
    asked = options.engine if isinstance(options, UpscaleOptions) else options
    return Engine(upscaler, asked, on_event)


def _check_source(source: Path) -> None:
    if not source.exists():
        raise MediaError(f"there is no file {source}", hint="check the path")
    if not os.access(source, os.R_OK):
        raise MediaError(f"no permission to read {source}", hint="check its owner and mode")

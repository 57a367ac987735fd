"""The front door: one call for each thing that `vsr` does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from vsr.comparing.files import compare_files
from vsr.comparing.models import compare_models
from vsr.comparing.options import COMMON, CompareOptions
from vsr.comparing.result import Comparison
from vsr.errors import MediaError, OptionsError
from vsr.events import EventSink, Report, ignore
from vsr.infer import device
from vsr.infer.engine import Engine
from vsr.jobs.pictures import extract_frames, upscale_folder, upscale_picture
from vsr.jobs.plan import Plan, check_target, make_plan
from vsr.jobs.run import run
from vsr.media.carry import plan_carry
from vsr.media.images import is_picture, picture_size, pictures_in
from vsr.media.probe import MediaInfo
from vsr.media.probe import probe as probe_file
from vsr.models.arch import Upscaler
from vsr.models.catalog import ARCHS
from vsr.options import EngineOptions, UpscaleOptions
from vsr.report.targets import ReportTargets
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
    upscaler = load(options.model, options.device)
    if is_picture(source):
        return upscale_picture(
            source, target, make_engine(upscaler, options, on_event), options, on_event
        )
    if not target.suffix:
        job = upscale_folder if source.is_dir() else extract_frames
        return job(source, target, make_engine(upscaler, options, on_event), options, on_event)
    plan = make_plan(source, target, options, upscaler.scale)
    return run(plan, make_engine(upscaler, options, on_event), options, on_event)


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
    if not is_picture(source) and target.suffix:
        made = plan(source, target, options)
        return {
            "source": str(made.info.path),
            "target": str(made.target),
            "size": f"{made.info.size} to {made.encoding.size}",
            "frames": made.frames,
            "frame_rate": str(made.info.frame_rate),
            "encoder": str(made.encoding),
            "deinterlace": made.deinterlace,
            "kept": list(made.kept),
            "converted": list(made.converted),
            "dropped": list(made.dropped),
            "notes": list(made.notes),
        }
    _check_source(source)
    check_target(source, target, options)
    scale = load(options.model, options.device).scale
    pictures = [source] if is_picture(source) else pictures_in(source) if source.is_dir() else []
    if pictures:
        low, frames = picture_size(pictures[0]), len(pictures)
    else:
        info = probe_file(source)
        low, frames = info.size, info.frames
    size = f"{low} to {options.target_size(low, scale)}"
    return {"source": str(source), "target": str(target), "size": size, "frames": frames}


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
        raise OptionsError(
            "--models takes names and one input",
            hint="such as vsr compare --models bicubic,compact in.mp4",
        )
    if models is None and options.shrink:
        raise OptionsError("--shrink is for models", hint="name some with --models")
    for path in (source, *others):
        _check_source(path)
    targets.check()
    if models is None:
        comparison = compare_files(source, others, options, on_event)
    else:
        upscalers = [load(name, options.device) for name in dict.fromkeys(models)]
        comparison = compare_models(source, upscalers, options, on_event)
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


def default_model(options: UpscaleOptions) -> str:
    """The model that ``auto`` means for these options."""
    return model_for(device.pick(options.device).type)


def list_models() -> list[dict[str, str]]:
    """Every model that has a name: ``name`` and ``about``, and for trained ones what they reach."""
    rows = [
        {"name": entry.name, "about": f"{entry.summary}; {entry.quality}; {entry.speed}"}
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

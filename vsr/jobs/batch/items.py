"""The files of a batch with their targets: named, put in order, and refused where they clash."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from vsr.batch_options import BatchOptions
from vsr.choice import Chosen
from vsr.errors import OptionsError
from vsr.geometry import Size
from vsr.jobs.batch.inputs import BatchInput
from vsr.media.read.images import picture_size
from vsr.media.read.probe import probe
from vsr.media.suffixes import is_picture
from vsr.media.write.codecs import CODECS, CONTAINERS
from vsr.media.write.encoding import choose
from vsr.options import UpscaleOptions
from vsr.system import name_problem, real_path, same_name_key

FIELDS = ("stem", "suffix", "extension", "width", "height", "scale", "model")
LONGEST = 240  # bytes; file systems take 255, and the work folder's name is a little longer


def check_template(template: str) -> None:
    """Raise :class:`OptionsError` for a template that could never give a name."""
    unknown = [name for name in re.findall(r"\{([^{}]*)\}", template) if name not in FIELDS]
    if unknown or re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", template)):
        said = f"has no {{{unknown[0]}}}" if unknown else f"has a brace too many: {template!r}"
        raise OptionsError(
            f"--name {said}", hint="it knows " + " ".join(f"{{{name}}}" for name in FIELDS)
        )
    path = PurePath(template)
    if not template or path.is_absolute() or ".." in path.parts:
        raise OptionsError(
            f"--name {template!r} does not stay in the output folder",
            hint="such as '{stem}_{height}p{suffix}'",
        )
    if not PurePath(re.sub(r"\{(\w+)\}", r"\1", template.replace("{suffix}", ".mkv"))).suffix:
        raise OptionsError(
            f"--name {template!r} names folders: it has no suffix", hint="end it in {suffix}"
        )


def needs_size(template: str) -> bool:
    """Whether a source has to be opened to know its target's name."""
    return any(f"{{{name}}}" in template for name in ("width", "height", "scale", "model"))


def suffix_for(source: Path, options: UpscaleOptions) -> str:
    """The source's own suffix where it can hold what is asked for, else Matroska's, which can."""
    if is_picture(source):
        return source.suffix
    container = CONTAINERS.get(source.suffix.lower())
    if options.codec != "auto":
        fits = container in CODECS[options.codec].containers
    else:
        # WebM takes AV1 alone, to whose encoder x264's presets mean nothing.
        plain = options.preset is None and options.crf is None and not options.encoder_options
        fits = container is not None and (container != "webm" or plain)
    return source.suffix if fits else ".mkv"


def named(template: str, source: Path, *, suffix: str, low: Size, high: Size, model: str) -> str:
    """The target's name, with ``/`` where the template has it."""
    values = {
        "stem": source.stem,
        "suffix": suffix,
        "extension": source.suffix[1:],
        "width": str(high.width),
        "height": str(high.height),
        "scale": f"{high.height / low.height:.3g}",
        "model": model.replace("/", "_"),
    }
    # One pass: a brace in a file's name is only a brace.
    return re.sub(r"\{([^{}]*)\}", lambda match: values[match[1]], template)


def default_target(source: Path, options: UpscaleOptions, scale: int) -> Path:
    """A name beside the source that says how large it is: ``in_4x.mp4``, ``in_1080p.mp4``.

    A folder's is a folder's, but of frames that become a video, for which there is ``fps``.
    ``scale`` is the network's.
    """
    place = source if source.name else source.absolute()
    size = _size_said(options, scale)
    if not place.is_dir():
        return place.with_name(f"{place.stem}_{size}{suffix_for(place, options)}")
    return place.with_name(f"{place.name}_{size}{'' if options.fps is None else '.mp4'}")


def _size_said(options: UpscaleOptions, scale: int) -> str:
    if options.size is not None or (options.width is not None and options.height is not None):
        return str(options.target_size(Size(1, 1), scale))
    if options.height is not None:
        return f"{options.height}p"
    if options.width is not None:
        return f"{options.width}w"
    return f"{scale if options.scale is None else options.scale:g}x"


def placed(folder: Path, tree: Path, name: str) -> Path:
    """The target's path. Raises :class:`OptionsError` if it would not lie in ``folder``."""
    target = folder / tree / name
    if ".." in (tree / name).parts or PurePath(name).is_absolute() or name.endswith("/"):
        raise OptionsError(f"the name {name!r} does not stay in the output folder")
    if not real_path(target.parent).is_relative_to(real_path(folder)):
        raise OptionsError(
            f"{target} lies behind a symbolic link that leads out of {folder}",
            hint="links in the output folder are not followed",
        )
    longest = max(len(os.fsencode(part)) for part in (tree / name).parts)
    if longest > LONGEST:
        raise OptionsError(
            f"the name is {longest} bytes long, the most is {LONGEST}: {target.name[:40]}...",
            hint="give a shorter --name",
        )
    if problem := name_problem(target):
        raise OptionsError(f"{target} cannot be written: {problem}", hint="give another --name")
    return target


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One file of a batch with its target."""

    source: Path
    """The file."""
    target: Path | None
    """Where it goes; ``None`` where that cannot be said."""
    problem: Exception | None = None
    """Why it cannot be said, raised when its turn comes; ``None`` where it can."""


def named_items(
    files: Sequence[BatchInput],
    out: Path,
    options: UpscaleOptions,
    batch: BatchOptions,
    chosen: Callable[[Path], Chosen],
) -> list[BatchItem]:
    """The inputs with their targets, in the order asked for."""
    check_template(batch.name)
    items = [_named(found, out, options, batch.name, chosen) for found in files]
    if batch.order == "name":
        return items  # as they were found
    return sorted(items, key=lambda item: _rank(item.source, batch.order))


def _named(
    found: BatchInput,
    out: Path,
    options: UpscaleOptions,
    template: str,
    chosen: Callable[[Path], Chosen],
) -> BatchItem:
    try:
        low = high = Size(1, 1)
        model = ""
        if needs_size(template):
            upscaler = chosen(found.path).upscaler
            low, high = _sizes(found.path, options, upscaler.scale)
            model = upscaler.name
        suffix = suffix_for(found.path, options)
        name = named(template, found.path, suffix=suffix, low=low, high=high, model=model)
        return BatchItem(found.path, placed(out, found.tree, name))
    except Exception as error:  # raised again in its turn
        return BatchItem(found.path, None, error)


def _sizes(source: Path, options: UpscaleOptions, scale: int) -> tuple[Size, Size]:
    """A source's size, and its target's as it will be encoded."""
    if is_picture(source):
        low = picture_size(source, allow_huge=options.allow_huge)
        return low, options.target_size(low, scale)
    info = probe(source, allow_huge=options.allow_huge)
    wanted = options.target_size(info.size, scale)
    return info.size, choose(info, Path(f"x{suffix_for(source, options)}"), wanted, options).size


def _rank(source: Path, order: str) -> float:
    """What a source is sorted by; what cannot be read comes last."""
    try:
        if order == "duration":
            return 0.0 if is_picture(source) else probe(source).duration_seconds or float("inf")
        stat = source.stat()
    except Exception:
        return float("inf")
    return {"size": stat.st_size, "oldest": stat.st_mtime, "newest": -stat.st_mtime}[order]


def refuse_clashes(items: Sequence[BatchItem]) -> None:
    """Two inputs of one name, or a target that is an input, before anything is written."""
    sources = {same_name_key(real_path(item.source)) for item in items}
    taken: dict[str, Path] = {}
    for item in items:
        if item.target is None:
            continue
        if same_name_key(real_path(item.target)) in sources:
            raise OptionsError(
                f"the target {item.target} is one of the inputs",
                hint="give another folder, or a --name such as '{stem}_{height}p{suffix}'",
            )
        if error := _clash(item, taken):
            raise error


def with_clashes(items: Sequence[BatchItem], taken: dict[str, Path]) -> list[BatchItem]:
    """The same where files arrive one by one: one whose target is another's fails in its turn.

    ``taken`` are the sources of the targets so far; it is added to.
    """
    return [
        replace(item, target=None, problem=error) if (error := _clash(item, taken)) else item
        for item in items
    ]


def _clash(item: BatchItem, taken: dict[str, Path]) -> OptionsError | None:
    if item.target is None:
        return None
    other = taken.setdefault(same_name_key(item.target), item.source)
    if other == item.source:
        return None
    return OptionsError(
        f"{other} and {item.source} would both become {item.target}",
        hint="tell them apart by --name, such as '{stem}_{extension}{suffix}'",
    )

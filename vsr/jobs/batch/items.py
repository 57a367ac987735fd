"""The files of a batch with their targets: named, put in order, and refused where they clash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsr.batch_options import BatchOptions
from vsr.choice import Chosen
from vsr.errors import OptionsError
from vsr.geometry import Size
from vsr.jobs.batch.inputs import BatchInput
from vsr.jobs.batch.naming import check_template, named, needs_size, placed, suffix_for
from vsr.media.read.images import picture_size
from vsr.media.read.probe import probe
from vsr.media.suffixes import is_picture
from vsr.media.write.encoding import choose
from vsr.options import UpscaleOptions
from vsr.system import same_name_key


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One file of a batch: where it goes, or why that cannot be said."""

    source: Path
    target: Path | None
    problem: Exception | None = None


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
    sources = {same_name_key(item.source.resolve()) for item in items}
    taken: dict[str, Path] = {}
    for item in items:
        if item.target is None:
            continue
        if same_name_key(item.target.resolve()) in sources:
            raise OptionsError(
                f"the target {item.target} is one of the inputs",
                hint="give another folder, or a --name such as '{stem}_{height}p{suffix}'",
            )
        other = taken.setdefault(same_name_key(item.target), item.source)
        if other != item.source:
            raise OptionsError(
                f"{other} and {item.source} would both become {item.target}",
                hint="tell them apart by --name, such as '{stem}_{extension}{suffix}'",
            )

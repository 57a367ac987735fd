"""Compare and write the reports: what ``vsr compare`` and ``vsr upscale --compare`` call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vsr.choice import Kind, choice_for, choose
from vsr.errors import MediaError, OptionsError
from vsr.evaluation.files import compare_files
from vsr.evaluation.footage import Footage
from vsr.evaluation.frame_sampler import FrameSampler
from vsr.evaluation.models import compare_models
from vsr.evaluation.options import COMMON, CompareOptions
from vsr.evaluation.result import Comparison, labelled
from vsr.events import EventSink, Report, Saved, Warned, ignore
from vsr.infer.device import pick
from vsr.media.atomic import check_replaceable, write_whole
from vsr.media.condition import Condition, h264_step
from vsr.media.extract.sheet import write_png
from vsr.media.files import check_reachable
from vsr.media.suffixes import is_picture
from vsr.models.arch import Upscaler
from vsr.report.data import to_csv
from vsr.report.page import to_html
from vsr.report.sheet import to_sheet
from vsr.system import real_path
from vsr.weights import load as load_weights


@dataclass(frozen=True, slots=True)
class ReportTargets:
    """Files to write of a comparison."""

    html: Path | None = None
    """A page to look at; ``None``: none."""
    sheet: Path | None = None
    """A contact sheet, a png; ``None``: none."""
    csv: Path | None = None
    """A table of each frame's numbers; ``None``: none."""
    overwrite: bool = False
    """Whether files that exist are replaced."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that were asked for."""
        return tuple(path for path in (self.html, self.sheet, self.csv) if path is not None)

    def check(self, *works: Path) -> None:
        """Raise where a file cannot be written, before any work is done.

        None may be one of ``works``, the files and folders of pictures that the report is about.
        """
        if self.sheet is not None and self.sheet.suffix.lower() != ".png":
            raise OptionsError(f"the contact sheet is a png, got {self.sheet.name}")
        for path in self.paths:
            check_reachable(path, "write")
            if path.is_dir():
                raise OptionsError(f"{path} is a folder", hint="give the name of a file in it")
            check_replaceable(path)
            if not path.parent.is_dir():
                raise MediaError(f"there is no folder {path.parent}", hint="make it first")
            if not os.access(path.parent, os.W_OK):
                raise MediaError(f"no permission to write in {path.parent}")
            if any(_is_of(path, work) for work in works):
                raise OptionsError(
                    f"{path} is what the report is about, and would be replaced by it",
                    hint="give the report a name of its own",
                )
            if path.exists() and not self.overwrite:
                raise OptionsError(f"{path} exists already", hint="give --overwrite to replace it")
        if len({real_path(path) for path in self.paths}) < len(self.paths):
            raise OptionsError("two reports cannot be one file", hint="give each a name of its own")

    def write(self, comparison: Comparison, *, whole_sheet: bool = False) -> None:
        """Write what is asked for. ``whole_sheet``: a crop was chosen, show all of it.

        Bytes of names that are no UTF-8 are written as their numbers.
        """
        if self.csv is not None:
            write_whole(self.csv, to_csv(comparison).encode(errors="backslashreplace"))
        if self.sheet is not None:
            write_png(self.sheet, to_sheet(comparison, whole=whole_sheet))
        if self.html is not None:
            write_whole(self.html, to_html(comparison).encode(errors="backslashreplace"))


def _is_of(path: Path, work: Path) -> bool:
    """Whether a file is another one, or a picture of that folder."""
    return real_path(path) == real_path(work) or (
        is_picture(path) and real_path(path.parent) == real_path(work)
    )


PathLike = str | os.PathLike[str]


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
    if models is None and options.clean != "off":
        raise OptionsError("--clean is for models", hint="name some with --models")
    targets.check(source, *others)
    if models is None:
        comparison = compare_files(source, others, options, on_event)
    else:
        made = labelled(models, lambda name: _load(name, source, options, on_event))
        comparison = compare_models(source, made, options, on_event)
    targets.write(comparison, whole_sheet=options.crop not in (None, COMMON))
    return comparison


def write_page(
    sampler: FrameSampler, page: ReportTargets, source: Path, report: Report, on_event: EventSink
) -> None:
    """Write the page of an upscale from the frames that were sampled while it ran."""
    if sampler.is_empty:
        on_event(Warned(f"no {page.html}: not one frame was made in this run"))
        return
    said = {
        "input": source.name,
        "model": report.model,
        "device": report.device,
        "encoder": report.encoder,
    }
    page.write(sampler.report({name: text for name, text in said.items() if text}))
    on_event(Saved(page.paths[0]))


def _load(name: str, source: Path, options: CompareOptions, on_event: EventSink) -> Upscaler:
    """A model; ``auto`` is what would be chosen for what is upscaled here."""
    if name != "auto":
        return load_weights(name, on_event=on_event)
    on_cpu = pick(options.device).type == "cpu"
    kind: Kind = "video" if Footage(source).kind == "video" else "picture"
    if options.shrink:  # nothing of its codec is left; of the one that follows, the step is known
        step = 1.0 if options.crf is None else h264_step(options.crf)
        codec = "shrunk" if options.crf is None else "h264"
        choice = choose(kind, Condition(codec, 0, 0, step, None, 1.0, 1.0, 0.0), on_cpu=on_cpu)
    else:
        choice = choice_for(source, kind, on_cpu=on_cpu)
    return load_weights(choice.model)

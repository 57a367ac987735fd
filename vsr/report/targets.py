"""The files of a comparison's reports: checked before the work, written atomically after it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from vsr.errors import MediaError, OptionsError
from vsr.evaluation.result import Comparison
from vsr.media.atomic import write_whole
from vsr.media.extract.sheet import write_png
from vsr.report.data import to_csv
from vsr.report.page import to_html
from vsr.report.sheet import to_sheet


@dataclass(frozen=True, slots=True)
class ReportTargets:
    """Files to write: a page, a contact sheet, a table of each frame's numbers."""

    html: Path | None = None
    sheet: Path | None = None
    csv: Path | None = None
    overwrite: bool = False

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that were asked for."""
        return tuple(path for path in (self.html, self.sheet, self.csv) if path is not None)

    def check(self) -> None:
        """Raise where a file cannot be written, before any work is done."""
        if self.sheet is not None and self.sheet.suffix.lower() != ".png":
            raise OptionsError(f"the contact sheet is a png, got {self.sheet.name}")
        for path in self.paths:
            if path.is_dir():
                raise OptionsError(f"{path} is a folder", hint="give the name of a file in it")
            if not path.parent.is_dir():
                raise MediaError(f"there is no folder {path.parent}", hint="make it first")
            if not os.access(path.parent, os.W_OK):
                raise MediaError(f"no permission to write in {path.parent}")
            if path.exists() and not self.overwrite:
                raise OptionsError(f"{path} exists already", hint="give --overwrite to replace it")
        if len({path.resolve() for path in self.paths}) < len(self.paths):
            raise OptionsError("two reports cannot be one file", hint="give each a name of its own")

    def write(self, comparison: Comparison, *, whole_sheet: bool = False) -> None:
        """Write what is asked for. ``whole_sheet``: a crop was chosen, show all of it."""
        if self.csv is not None:
            write_whole(self.csv, to_csv(comparison).encode())
        if self.sheet is not None:
            write_png(self.sheet, to_sheet(comparison, whole=whole_sheet))
        if self.html is not None:
            write_whole(self.html, to_html(comparison).encode())

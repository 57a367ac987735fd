"""Extract pictures into a folder that may hold those of an earlier extraction."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from vsr.events import EventSink, ignore
from vsr.jobs.work_folder import replaced_folder
from vsr.media.extract import extraction
from vsr.media.extract.extraction import INDEX, SHEET
from vsr.media.extract.selection import ExtractOptions, ExtractReport
from vsr.media.files import check_reachable, translated


def extract(options: ExtractOptions, on_event: EventSink = ignore) -> ExtractReport:
    """As :func:`vsr.media.extract.extraction.extract`, also with ``options.overwrite``.

    An earlier extraction is then replaced as a whole once the new one is complete, and stays where
    that fails. What else lies in its folder is kept.
    """
    check_reachable(options.out / INDEX, "write")
    if not options.overwrite or not (options.out / INDEX).exists():
        made = [folder for folder in (options.out, *options.out.parents) if not folder.exists()]
        try:
            return extraction.extract(options, on_event)
        except BaseException:
            with suppress(OSError):  # up to the first that holds something
                for folder in made:
                    folder.rmdir()
            raise
    folder = options.out.resolve()  # not a link to it
    with replaced_folder(folder, overwrite=True) as part:
        report = extraction.extract(options, on_event, part)
        with translated(folder, "write"):
            _keep_others(folder, part)
    return report


def _keep_others(old: Path, new: Path) -> None:
    """Have in ``new`` what an extraction did not write to ``old``: linked, or else copied."""
    written = {INDEX, SHEET, *_pictures(old)}
    for path in old.iterdir():
        if path.name in written or (new / path.name).exists():
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, new / path.name, symlinks=True, copy_function=_link)
        else:
            _link(str(path), str(new / path.name))
    shutil.copymode(old, new)


def _pictures(folder: Path) -> Iterator[str]:
    """The names of those that an extraction wrote to a folder."""
    for line in (folder / INDEX).read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError, AttributeError):  # a damaged line names nothing
            yield Path(str(json.loads(line).get("file"))).name


def _link(path: str, other: str) -> None:
    try:
        os.link(path, other, follow_symlinks=False)
    except (OSError, NotImplementedError):  # some file systems have one name for a file
        shutil.copy2(path, other, follow_symlinks=False)

"""Find the videos of a batch: files as given, folders by suffix and pattern. Opens none of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from vsr.batch_options import BatchOptions
from vsr.errors import MediaError, OptionsError
from vsr.media.files import check_reachable
from vsr.media.read.images import natural
from vsr.media.stall import reading, timed, watched
from vsr.media.suffixes import is_hidden, is_picture, is_video
from vsr.system import real_path


@dataclass(frozen=True, slots=True)
class BatchInput:
    """One input of a batch."""

    path: Path
    """The file."""
    tree: Path
    """The folder that its target goes to, relative to the output folder; empty for that itself."""


@dataclass(frozen=True, slots=True)
class BatchInputs:
    """The inputs of a batch, and what was met in finding them."""

    files: tuple[BatchInput, ...]
    """The inputs in the order of their names."""
    others: int
    """How many files of the input folders are left alone."""
    notes: tuple[str, ...]
    """Folders that could not be read, for people."""


def holds_videos(folder: Path) -> bool:
    """Whether a video lies in a folder, not below it."""
    try:
        shown = (path for path in folder.iterdir() if not is_hidden(path))
        return any(is_video(path) and path.is_file() for path in shown)
    except OSError as error:
        raise MediaError(f"cannot read {folder}: {error.strerror or error}") from error


def find(inputs: Sequence[Path], out: Path, options: BatchOptions, stall: float) -> BatchInputs:
    """Everything there is to do. A file that is named is taken whatever it is called.

    Raises :class:`~vsr.errors.StorageError` where an input does not answer for ``stall`` seconds.
    """
    files: dict[BatchInput, None] = {}
    others, notes = 0, list[str]()
    for given in inputs:
        found = watched(given, stall, partial(_found_in, given, out, options), locked=False)
        files |= dict.fromkeys(found.files)
        others += found.others
        notes += found.notes
    ordered = sorted(files, key=lambda found: [natural(part) for part in _parts(found)])
    return BatchInputs(tuple(ordered), others, tuple(notes))


def _found_in(given: Path, out: Path, options: BatchOptions) -> BatchInputs:
    """What there is to do of one input, a file or a folder."""
    with reading():
        check_reachable(given)
        exists, is_folder = given.exists(), given.is_dir()
    if not exists:
        raise MediaError(f"there is no file {given}", hint="check the path")
    if not is_folder:
        return BatchInputs((BatchInput(given, Path()),), 0, ())
    if real_path(given) == real_path(out):
        raise OptionsError(
            f"the output folder is the input: {out}", hint="give another folder to write to"
        )
    files, others, notes = list[BatchInput](), 0, list[str]()
    for path in _walk(given, out, options.recursive, notes):
        relative = path.relative_to(given)
        if _wanted(relative, options):
            files.append(BatchInput(path, relative.parent))
        else:
            others += 1
    return BatchInputs(tuple(files), others, tuple(notes))


def _parts(found: BatchInput) -> tuple[str, ...]:
    return (*found.tree.parts, found.path.name)


def _wanted(relative: Path, options: BatchOptions) -> bool:
    """Videos, unless patterns say otherwise; pictures where a pattern asks for them."""
    if _matches(relative, options.exclude):
        return False
    if options.include:
        return (is_video(relative) or is_picture(relative)) and _matches(relative, options.include)
    return is_video(relative)


def _matches(relative: Path, patterns: Sequence[str]) -> bool:
    """A pattern with a slash is for the path below the input folder, else for the name."""
    path, name = relative.as_posix().lower(), relative.name.lower()
    return any(fnmatchcase(path if "/" in p else name, p.lower()) for p in patterns)


def _walk(folder: Path, out: Path, recursive: bool, notes: list[str]) -> Iterator[Path]:
    """Files below a folder, without hidden ones, the output folder, and links to folders."""

    def unreadable(error: OSError) -> None:
        if error.filename == os.fspath(folder):
            raise MediaError(f"cannot read {folder}: {error.strerror}") from error
        notes.append(f"cannot read {error.filename}: {error.strerror}")

    for root, folders, names in timed(os.walk(folder, onerror=unreadable)):
        here = Path(root)
        folders[:] = sorted(
            name
            for name in folders
            if recursive and not name.startswith(".") and not _is_same(here / name, out)
        )
        yield from (here / name for name in names if not name.startswith("."))


def _is_same(path: Path, other: Path) -> bool:
    return other.exists() and path.exists() and path.samefile(other)

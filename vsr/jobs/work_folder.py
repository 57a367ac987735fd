"""The hidden folder beside a target where a run works: its owner's alone, locked by one run."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from vsr.errors import MediaError, OptionsError, StorageError
from vsr.media.atomic import exchange, restored
from vsr.media.files import translated
from vsr.media.suffixes import is_of_system
from vsr.system import Lock, discard, is_private, parts_left, shows_owners, sync_folder

FOLDERS = ("pictures", "pictures.old")
"""What a run may have folders for in its work folder; the second where names are not exchanged."""


def folder_of(target: Path) -> Path:
    """Where the state of a run lies: beside its target, hidden."""
    return target.with_name(f".{target.name}.vsr")


def locked(target: Path) -> Lock:
    """The lock of a target's folder, which is made where it is not there."""
    folder = folder_of(target)
    while True:
        _own(folder)
        lock = Lock(folder / "lock")
        try:
            taken = lock.take()
        except FileNotFoundError:
            continue  # the run that held it has just removed the folder
        if not taken:
            raise OptionsError(
                f"another run is writing {target}: {lock.holder()}", hint="wait for it, or stop it"
            )
        return lock


@contextmanager
def held(target: Path) -> Generator[Path]:
    """The folder, for a run that goes on with nothing of an earlier one. It is removed behind."""
    folder = folder_of(target)
    was_left = os.path.lexists(folder)  # by a run that was killed
    with translated(target, "write"):
        lock = locked(target)
    try:
        for part in parts_left(target) if was_left else ():  # not for each of many pictures
            discard(part)
        yield folder
    finally:
        for name in FOLDERS if target.exists() else FOLDERS[:1]:  # else the other is the target's
            shutil.rmtree(folder / name, ignore_errors=True)
        with suppress(OSError):
            lock.remove()
            folder.rmdir()
        lock.release()


def check_still_free(target: Path, *, overwrite: bool) -> None:
    """Raise :class:`StorageError` where another has made the target since it was looked at.

    For whoever has its lock: the run that had it before may have finished.
    """
    taken = _names_in(target) if target.is_dir() else os.path.lexists(target)
    if taken and not overwrite:
        raise StorageError(
            f"{target} was made by another in the meantime, and stays as it is",
            hint="give --overwrite to replace it",
        )


@contextmanager
def replaced_folder(target: Path, *, overwrite: bool) -> Generator[Path]:
    """A folder beside the target to fill, which takes its name when all went well.

    The old target is removed only after the new folder has its name, and stays where that fails, or
    where someone put anything into it, or took anything away, while the run worked:
    :class:`StorageError` says where the new folder lies then.
    """
    with held(target) as folder:
        part = folder / FOLDERS[0]
        _checked(target, lambda: restored(part, target))
        check_still_free(target, overwrite=overwrite)
        shutil.rmtree(part, ignore_errors=True)
        _checked(part, part.mkdir)
        before = _names_in(target)
        yield part
        sync_folder(part)
        if _names_in(target) != before:
            raise StorageError(
                f"{target} changed while this run worked, and stays as it is",
                hint=f"the finished pictures lie in {_beside(part, target)}",
            )
        try:
            exchange(part, target)
        except OSError as error:
            raise StorageError(
                f"cannot write {target}: {error.strerror or error}",
                hint=f"the finished pictures lie in {_beside(part, target)}",
            ) from error


def _names_in(target: Path) -> list[str] | None:
    if not target.is_dir():
        return None
    return sorted(path.name for path in target.iterdir() if not is_of_system(path))


def _beside(part: Path, target: Path) -> Path:
    """The finished folder under another name beside its target."""
    path = free_name(target)
    _checked(path, lambda: part.rename(path))
    return path


def free_name(target: Path, suffix: str = "") -> Path:
    """A name beside a target's that nothing has, which ends in the target's ``suffix``."""
    stem, number = target.name.removesuffix(suffix), 1
    while os.path.lexists(path := target.with_name(f"{stem}.finished-{number}{suffix}")):
        number += 1
    return path


def _checked(path: Path, action: Callable[[], object]) -> None:
    try:
        action()
    except OSError as error:
        raise MediaError(f"cannot write {path}: {error.strerror or error}") from error


def sweep(target: Path) -> None:
    """Remove the empty folder of a run that died at its very last step, its target in place."""
    with suppress(OSError):
        folder_of(target).rmdir()


def is_ours(path: Path) -> bool:
    """Whether a file of a work folder has a name that a run gives."""
    names = r"lock|journal\.jsonl(\.part)?|\.journal\.jsonl\.\w+\.part"
    names += r"|(joined|carried)\.\w+|\d{6}.*"
    return re.fullmatch(names, path.name) is not None


def _own(folder: Path) -> None:
    """Make a work folder for this user alone, or make sure that it is one that a run made.

    Whatever else has its name, or holds a link or a strange folder, is not touched: what lies there
    is written to and deleted. Raises :class:`StorageError`.
    """
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        return
    fact = folder.lstat()
    strange = not stat.S_ISDIR(fact.st_mode)
    if not strange and not is_private(fact):
        strange = shows_owners(folder.parent)
    if not strange:
        strange = any(_is_strange(item) for item in folder.iterdir())
    if strange:
        raise StorageError(
            f"{folder} is not a work folder of a run of yours: nothing in it is touched",
            hint="remove it, or give another target",
        )


def _is_strange(item: Path) -> bool:
    mode = item.lstat().st_mode
    return not (stat.S_ISREG(mode) or (stat.S_ISDIR(mode) and item.name in FOLDERS))

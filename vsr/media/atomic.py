"""Write files atomically: a file gets its name only when it is complete and on the disk."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import sys
from pathlib import Path

from vsr.errors import MediaError, OptionsError, StorageError
from vsr.system import (
    is_special,
    open_own,
    part_beside,
    refuse_special,
    replace_file,
    sync_file,
    sync_folder,
)

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
GONE = (
    errno.ENOENT, errno.ENOTDIR, errno.EROFS, errno.EIO, errno.ESTALE, errno.EACCES, errno.EPERM,
    errno.EBUSY, errno.ENXIO, errno.ENODEV,
)  # fmt: skip
NETWORK = (
    errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ECONNRESET,
    errno.ECONNABORTED, errno.ENETDOWN, errno.ENETUNREACH,
)  # fmt: skip
LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY)


def check_replaceable(path: Path) -> None:
    """Raise :class:`OptionsError` for a target that is no file and no folder."""
    if is_special(path):
        raise OptionsError(f"{path} is a device, a pipe or a socket", hint="give a file's name")


def write_whole(path: Path, data: bytes, *, synced: bool = False) -> None:
    """Put ``data`` in a file that has its name only once it is whole; ``synced``: on the disk."""
    try:
        put(path, data, synced=synced)
    except OSError as error:
        raise unwritten(path, error) from error


def unwritten(path: Path, error: OSError) -> MediaError:
    """Translate an error of writing a file; a :class:`StorageError` if the disk is the cause."""
    if error.errno not in (*FULL, *GONE, *NETWORK, *LIMITS):
        return MediaError(f"cannot write {path}: {error.strerror or error}")
    hint = "is its folder there, and writable?"
    if error.errno in FULL:
        hint = "free some space"
    elif error.errno in NETWORK:
        hint = "is the storage connected?"
    elif error.errno in LIMITS:
        hint = "close other programs, or raise the limits of this one"
    return StorageError(f"cannot write {path}: {error.strerror}", hint=hint)


def put(path: Path, data: bytes | memoryview, *, synced: bool = True) -> None:
    """The same, ``synced`` unless told. Raises the system's own errors."""
    with part_beside(path) as part:
        with os.fdopen(open_own(part, os.O_WRONLY), "wb") as file:
            file.write(data)
            if synced:
                sync_file(file)
        (rename if synced else replace_file)(part, path)


def exchange(part: Path, path: Path) -> None:
    """Have a folder at ``path`` be the one at ``part``, and what was there be at ``part``.

    Each name leads to a whole folder at every instant, where the system can exchange two names
    (Linux, macOS). Elsewhere ``path`` is missing for an instant; :func:`restored` mends that.
    Raises the system's own errors, with both folders where they were.
    """
    refuse_special(path)
    if not path.exists():
        os.rename(part, path)
    elif not _exchanged(part, path):
        aside = _aside(part)
        os.rename(path, aside)
        try:
            os.rename(part, path)
        except OSError:
            os.rename(aside, path)
            raise
        with contextlib.suppress(OSError):  # the new one is in place
            os.rename(aside, part)
    sync_folder(path.parent)


def restored(part: Path, path: Path) -> None:
    """End what a run began that died in :func:`exchange`: ``path`` gets back what it held."""
    aside = _aside(part)
    if path.exists():
        shutil.rmtree(aside, ignore_errors=True)
        return
    with contextlib.suppress(FileNotFoundError):
        os.rename(aside, path)


def _aside(part: Path) -> Path:
    return part.with_name(part.name + ".old")


def _exchanged(part: Path, path: Path) -> bool:
    """Exchange two names in one step; ``False`` where the system or the file system cannot."""
    library = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    names = os.fsencode(part), os.fsencode(path)
    if hasattr(library, "renameat2"):  # Linux, renameat2(2): AT_FDCWD, RENAME_EXCHANGE
        failed = library.renameat2(-100, names[0], -100, names[1], 2)
    elif sys.platform == "darwin" and hasattr(library, "renamex_np"):  # RENAME_SWAP
        failed = library.renamex_np(*names, 2)
    else:
        return False
    if failed and ctypes.get_errno() not in _NO_EXCHANGE:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), os.fspath(path))
    return not failed


def rename(part: Path, path: Path) -> None:
    """Rename a synced file; its new name is on the disk when this returns."""
    replace_file(part, path)
    sync_folder(path.parent)

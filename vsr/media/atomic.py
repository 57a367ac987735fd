"""Write a file that has its name only once it is whole. Knows nothing of what is in it."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from vsr.errors import MediaError, StorageError

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


def write_whole(path: Path, data: bytes) -> None:
    """Put ``data`` in a file that has its name only once it is whole."""
    try:
        put(path, data, synced=False)
    except OSError as error:
        raise unwritten(path, error) from error


def unwritten(path: Path, error: OSError) -> MediaError:
    """The error of a file that cannot be written: a :class:`StorageError` if the disk is why."""
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
    """The same, and on the disk before this returns. Raises the system's own errors."""
    part = path.with_name(path.name + ".part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        part.unlink(missing_ok=True)  # a link is removed, not what it leads to
        with os.fdopen(os.open(part, flags, 0o666), "wb") as file:
            file.write(data)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        (rename if synced else os.replace)(part, path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def rename(part: Path, path: Path) -> None:
    """Give a synced file its name, and have the name on the disk before this returns."""
    os.replace(part, path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk, where the system can."""
    with contextlib.suppress(OSError):  # some file systems know no such thing
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

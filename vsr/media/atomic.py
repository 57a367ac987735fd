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
)  # fmt: skip


def write_whole(path: Path, data: bytes) -> None:
    """Put ``data`` in a file that has its name only once it is whole."""
    try:
        put(path, data, synced=False)
    except OSError as error:
        raise unwritten(path, error) from error


def unwritten(path: Path, error: OSError) -> MediaError:
    """The error of a file that cannot be written: a :class:`StorageError` if the disk is why."""
    if error.errno not in (*FULL, *GONE):
        return MediaError(f"cannot write {path}: {error.strerror or error}")
    hint = "free some space" if error.errno in FULL else "is its folder there, and writable?"
    return StorageError(f"cannot write {path}: {error.strerror}", hint=hint)


def put(path: Path, data: bytes | memoryview, *, synced: bool = True) -> None:
    """The same, and on the disk before this returns. Raises the system's own errors."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
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

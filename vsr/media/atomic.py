"""Write a file that has its name only once it is whole. Knows nothing of what is in it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from vsr.media.files import translated


def write_whole(path: Path, data: bytes) -> None:
    """Put ``data`` in a file that has its name only once it is whole."""
    with translated(path, "write"):
        put(path, data)


def put(path: Path, data: bytes) -> None:
    """The same for callers that translate errors themselves; on the disk before this returns."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        rename(part, path)
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

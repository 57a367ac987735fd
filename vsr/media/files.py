"""Open files, and say what is wrong with them: FFmpeg's errors are translated here."""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError, HTTPError, InvalidDataError

from vsr.errors import MediaError, StorageError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
GONE = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EROFS,
    errno.EIO,
    errno.ESTALE,
    errno.EACCES,
    errno.EPERM,
)


@contextmanager
def translated(path: Path, doing: str) -> Generator[None]:
    """FFmpeg's and the system's errors about ``path``, said once, here.

    :class:`MediaError`, and :class:`StorageError` where ``doing`` is "write" and the disk is why.
    """
    try:
        yield
    except HTTPError as error:
        raise MediaError(f"cannot {doing} {path}: {error.strerror}") from error
    except (OSError, FFmpegError) as error:
        raise _told(path, doing, error) from error


def _told(path: Path, doing: str, error: OSError | FFmpegError) -> MediaError:
    if doing == "write" and error.errno in (*FULL, *GONE):
        hint = "free some space" if error.errno in FULL else "is its folder there, and writable?"
        return StorageError(f"cannot write {path}: {error.strerror}", hint=hint)
    if isinstance(error, FileNotFoundError):
        return MediaError(f"there is no file {path}", hint="check the path")
    if isinstance(error, PermissionError):
        return MediaError(f"no permission to {doing} {path}", hint="check its owner and mode")
    if isinstance(error, IsADirectoryError):
        return MediaError(f"{path} is a folder, not a file")
    if isinstance(error, InvalidDataError):
        return MediaError(
            f"{path} is not a video that can be read: {error.strerror}",
            hint="is it complete, and really a video? `vsr probe` says what is in a file",
        )
    return MediaError(f"cannot {doing} {path}: {error.strerror or error}")


def url(path: Path) -> str:
    """A path as FFmpeg takes it: without the prefix, a colon in a name would mean a protocol."""
    return f"file:{path}"


def open_file(path: Path) -> InputContainer:
    """An input container. Only the opening's errors are translated: its reader has its own."""
    with translated(path, "read"):
        if path.is_dir():
            raise IsADirectoryError
        if path.exists() and path.stat().st_size == 0:
            raise MediaError(f"{path} is empty (0 bytes)", hint="was its download or copy cut off?")
        return av.open(url(path), "r", metadata_errors="replace")


@contextmanager
def opened(path: Path) -> Generator[InputContainer, None, None]:
    """An input container that is closed again, all errors translated."""
    with open_file(path) as container, translated(path, "read"):
        yield container

"""Open files, and say what is wrong with them: FFmpeg's errors are translated here."""

from __future__ import annotations

import errno
import logging
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from time import sleep
from typing import TypeVar

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError, HTTPError, InvalidDataError

from vsr.errors import MediaError, SourceChanged, StorageError
from vsr.media.atomic import LIMITS, NETWORK, unwritten
from vsr.media.limits import FFMPEG_PIXELS
from vsr.media.stall import reading
from vsr.media.suffixes import is_hidden

# Formats that name other files, or places on a network, to read: never from a file of a stranger.
_REFERRING = {
    "applehttp", "concat", "concatf", "dash", "ffmetadata", "hls", "image2", "image2pipe", "imf",
    "lavfi", "rtp", "rtsp", "sap", "sdp", "tty", "webm_dash_manifest",
}  # fmt: skip
log = logging.getLogger(__name__)
Read = TypeVar("Read")
WAITS = (0.3, 1.0, 3.0, 10.0)
"""Seconds between tries to read what the system could not."""
PASSING = (errno.EIO, errno.ESTALE, *NETWORK, *LIMITS)
"""Errors of reading that another try may overcome."""
STRETCH_BYTES = 64 << 20
"""Behind a place that could not be read, what is read to see if it was a passing fault."""
_KINDS = {
    stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
}  # fmt: skip


@cache
def _formats() -> str:
    return ",".join(sorted(av.formats_available - _REFERRING))


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
        raise _translate(path, doing, error) from error


def _translate(path: Path, doing: str, error: OSError | FFmpegError) -> MediaError:
    if isinstance(error, IsADirectoryError):
        return MediaError(f"{path} is a folder, not a file")
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return MediaError(f"cannot {doing} {path}: {error.strerror}", hint="give a shorter name")
    if doing == "write" and isinstance(error, OSError):
        return unwritten(path, error)
    if isinstance(error, FileNotFoundError):
        return MediaError(f"there is no file {path}", hint="check the path")
    if isinstance(error, PermissionError):
        return MediaError(f"no permission to {doing} {path}", hint="check its owner and mode")
    if isinstance(error, InvalidDataError):
        return MediaError(
            f"{path} is not a video that can be read: {error.strerror}",
            hint="is it complete, and really a video? `vsr probe` says what is in a file",
        )
    if isinstance(error, ArgumentError):
        return MediaError(
            f"{path} is not a video that can be read: {error.strerror}",
            hint="playlists and other lists of files are not followed: give the video itself",
        )
    if isinstance(error, OSError) and error.errno in PASSING:
        return _unreadable(path, error)
    hint = "it may be damaged, or claim frames too large without --allow-huge"
    return MediaError(
        f"cannot {doing} {path}: {error.strerror or error}", hint=hint if doing == "read" else None
    )


def _unreadable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot read {path}: {error.strerror or error}",
        hint="is its disk, or its network, in order?",
    )


def check_reachable(path: Path, doing: str = "read") -> None:
    """Raise :class:`MediaError` where the system does not say whether ``path`` is there.

    Its folder may not be entered, or its name is too long: ``Path.exists`` and its like raise then.
    """
    with translated(path, doing):
        path.exists()


def check_regular(path: Path) -> None:
    """Pipes and devices have no end, and nothing that could be sought or read twice."""
    with translated(path, "read"):
        kind = stat.S_IFMT(path.stat().st_mode)
    if kind != stat.S_IFREG:
        raise MediaError(
            f"{path} is {_KINDS.get(kind, 'no file')}, not a file", hint="copy it to a file first"
        )


def stamp(path: Path) -> tuple[int, ...]:
    """What tells that a file, or the files in a folder, are not what they were."""
    with translated(path, "read"):
        paths = [path]
        if path.is_dir():  # a target in it is hidden while it is made
            shown = (item for item in sorted(path.iterdir()) if not is_hidden(item))
            paths = [item for item in shown if item.is_file()]
        facts = [item.stat() for item in paths]
        return tuple(n for fact in facts for n in (fact.st_size, fact.st_mtime_ns, fact.st_ino))


def check_unchanged(path: Path, before: tuple[int, ...]) -> None:
    """Raise :class:`SourceChanged` where a source is not what it was."""
    if stamp(path) != before:
        raise SourceChanged(
            f"{path} changed while it was read: nothing was written",
            hint="is it still being copied or recorded? run the same command when it is complete",
        )


def is_storage_fault(error: BaseException) -> bool:
    """Whether the system could not read, rather than FFmpeg make sense of what it read.

    FFmpeg says "input/output error" of some files that break off, too: :func:`check_readable` tells
    them apart.
    """
    return isinstance(error, OSError) and isinstance(error, FFmpegError)


class ReadFault(Exception):  # no failure yet: who reads tries again
    """The system could not read what follows ``place``, in bytes; or the file breaks off there."""

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


def wait_until_readable(path: Path, place: int, waits: Iterator[float]) -> None:
    """Until the system can read a file at ``place`` again, or there is no wait left.

    Raises :class:`StorageError` then.
    """
    while True:
        try:
            return check_readable(path, place)
        except StorageError:
            wait = next(waits, None)
            if wait is None:
                raise
            log.warning("%s cannot be read: trying again in %g s", path, wait)
            sleep(wait)


def read_again(path: Path, attempt: Callable[[int | None], Read]) -> Read:
    """What ``attempt`` returns, tried anew where the system could not read for a moment.

    ``attempt`` gets the byte at which the file is known to break off, or ``None``, and raises
    :class:`ReadFault` where it could not be read on. Raises :class:`StorageError` where that stays.
    """
    waits, ends_at, fault_at = iter(WAITS), None, None
    while True:
        try:
            return attempt(ends_at)
        except ReadFault as fault:
            wait_until_readable(path, fault.place, waits)
            # The same place again, and the system can read it: the file is what breaks off.
            ends_at = fault.place if fault.place == fault_at else None
            fault_at = fault.place


def patiently(path: Path, attempt: Callable[[], Read]) -> Read:
    """What ``attempt`` returns, tried anew where the system could not read ``path`` for a moment.

    Raises :class:`StorageError` where that stays, and :class:`FileNotFoundError` as it is.
    """
    waits = iter(WAITS)
    while True:
        try:
            return attempt()
        except FileNotFoundError:
            raise
        except OSError as error:
            wait = next(waits, None) if error.errno in PASSING else None
            if wait is None:
                raise _unreadable(path, error) from error
            log.warning("%s cannot be read: trying again in %g s", path, wait)
            sleep(wait)


def check_readable(path: Path, start: int) -> None:
    """Read a stretch of a file from ``start`` on, to find out if the system can.

    Raises :class:`StorageError` if not.
    """
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            left = STRETCH_BYTES
            while left > 0:
                with reading(path):
                    data = file.read(min(left, 1 << 20))
                if not data:
                    break
                left -= len(data)
    except OSError as error:
        raise _unreadable(path, error) from error


def url(path: Path) -> str:
    """A path as FFmpeg takes it: without the prefix, a colon in a name would mean a protocol."""
    return f"file:{path}"


def open_file(
    path: Path, *, most_pixels: int = FFMPEG_PIXELS, hwaccel: HWAccel | None = None
) -> InputContainer:
    """An input container. Only the opening's errors are translated: its reader has its own."""
    waits = iter(WAITS)
    while True:
        try:
            return _opened(path, most_pixels, hwaccel)
        except StorageError:
            wait_until_readable(path, 0, waits)
            if next(waits, None) is None:  # it can be read, and not be opened
                raise


def _opened(path: Path, most_pixels: int, hwaccel: HWAccel | None) -> InputContainer:
    check_regular(path)
    options = {"format_whitelist": _formats(), "max_pixels": str(most_pixels)}
    with translated(path, "read"):
        if path.stat().st_size == 0:
            raise MediaError(f"{path} is empty (0 bytes)", hint="was its download or copy cut off?")
        with reading(path):
            return av.open(
                url(path), "r", options=options, metadata_errors="replace", hwaccel=hwaccel
            )


@contextmanager
def opened(
    path: Path, *, most_pixels: int = FFMPEG_PIXELS, hwaccel: HWAccel | None = None
) -> Generator[InputContainer, None, None]:
    """An input container that is closed again, all errors translated."""
    opening = open_file(path, most_pixels=most_pixels, hwaccel=hwaccel)
    with opening as container, translated(path, "read"):
        yield container

"""Open files, and say what is wrong with them: FFmpeg's errors are translated here."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError, HTTPError, InvalidDataError

from vsr.errors import MediaError


@contextmanager
def translated(path: Path, doing: str) -> Generator[None]:
    """FFmpeg's and the system's errors about ``path`` as :class:`MediaError`, said once, here."""
    try:
        yield
    except HTTPError as error:
        raise MediaError(f"cannot {doing} {path}: {error.strerror}") from error
    except FileNotFoundError as error:
        raise MediaError(f"there is no file {path}", hint="check the path") from error
    except PermissionError as error:
        raise MediaError(
            f"no permission to {doing} {path}", hint="check its owner and mode"
        ) from error
    except IsADirectoryError as error:
        raise MediaError(f"{path} is a folder, not a file") from error
    except InvalidDataError as error:
        raise MediaError(
            f"{path} is not a video that can be read: {error.strerror}",
            hint="is it complete, and really a video? `vsr probe` says what is in a file",
        ) from error
    except (OSError, FFmpegError) as error:
        raise MediaError(f"cannot {doing} {path}: {error.strerror or error}") from error


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

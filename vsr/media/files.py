"""Open files, and say what is wrong with them: FFmpeg's errors are translated here."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.error import HTTPError, InvalidDataError

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
    except OSError as error:  # FFmpeg's errors are OSErrors too
        raise MediaError(f"cannot {doing} {path}: {error.strerror or error}") from error


@contextmanager
def opened(path: Path) -> Generator[InputContainer]:
    """An input container that is closed again, its errors translated."""
    with translated(path, "read"):
        if path.is_dir():
            raise IsADirectoryError
        if path.exists() and path.stat().st_size == 0:
            raise MediaError(f"{path} is empty (0 bytes)", hint="was its download or copy cut off?")
        with av.open(str(path), "r", metadata_errors="replace") as container:
            yield container

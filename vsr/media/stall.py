"""Notice a source that does not answer: a read that is under way for too long."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from vsr.errors import StorageError


class ReadTimer:
    """Says how long the present read of a source has been under way. One thread reads at a time."""

    def __init__(self) -> None:
        self._since: float | None = None

    @contextmanager
    def reading(self) -> Generator[None]:
        """Around each read that may block."""
        self._since = monotonic()
        try:
            yield
        finally:
            self._since = None

    def check(self, path: Path, limit_seconds: float) -> None:
        """Raise :class:`StorageError` where a read has taken longer; for any thread. 0: never."""
        since = self._since
        if limit_seconds and since is not None and monotonic() - since > limit_seconds:
            raise stalled(path, limit_seconds)


def check_answers(path: Path, limit_seconds: float) -> None:
    """Raise :class:`StorageError` where the first byte of a file does not come in time. 0: never.

    The thread that waits for it is left to the system: a read that blocks cannot be ended.
    """
    if not limit_seconds:
        return

    def read() -> None:
        try:
            if path.is_file():
                with path.open("rb", buffering=0) as file:
                    file.read(1)
        except OSError:
            pass  # whoever opens it next says what is wrong

    thread = threading.Thread(target=read, name="vsr-first-byte", daemon=True)
    thread.start()
    thread.join(limit_seconds)
    if thread.is_alive():
        raise stalled(path, limit_seconds)


def stalled(path: Path, limit_seconds: float) -> StorageError:
    """The error of a source that does not answer."""
    return StorageError(
        f"{path} does not answer: a read of it did not come back within {limit_seconds:g} s",
        hint="is its disk, or its network, in order? --stall SECONDS waits longer",
    )

"""One thread at a time in FFmpeg, for what a process does beside its workers: a lock, no more.

Where chroma lies is read from FFmpeg's log (``siting.py``), and there is one log for all threads:
what others did meanwhile would be written there too, or be cut short when it is closed again.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar

_depth: ContextVar[int] = ContextVar("ffmpeg_lock_depth", default=0)


class FfmpegLock:
    """A lock that a context holds, so that a thread which runs in a copy of it has it as well.

    A context may take it again. What the copy does with it inside is nothing to the lock: the
    thread may be left behind in a read that never comes back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not _depth.get():
            self._lock.acquire()
        _depth.set(_depth.get() + 1)

    def __exit__(self, *_: object) -> None:
        _depth.set(_depth.get() - 1)
        if not _depth.get():
            self._lock.release()


ffmpeg_lock = FfmpegLock()

"""Notice a source that does not answer: a read that is under way for too long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar, copy_context
from pathlib import Path
from time import monotonic
from typing import TypeVar, cast

from vsr.errors import StorageError
from vsr.media.ffmpeg_lock import ffmpeg_lock
from vsr.option_fields import not_negative

Item = TypeVar("Item")
Result = TypeVar("Result")
CHECK_SECONDS = 1.0
GOING_SECONDS = 1.0
"""How long a thread that is given up has to end, where it is not in a read."""


class ReadTimer:
    """Says how long the present read of a source has been under way. One thread reads at a time."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._path: Path | None = None
        self._is_given_up = False

    @contextmanager
    def reading(self, path: Path | None = None) -> Generator[None]:
        """Around each read that may block; ``path`` where it is not the source's."""
        self.end_if_given_up()
        outer = self._path, self._since
        self._path, self._since = path, monotonic()
        try:
            yield
        finally:
            self._path, self._since = outer
        self.end_if_given_up()

    def check(self, path: Path, limit_seconds: float) -> None:
        """Raise :class:`StorageError` where a read has taken longer; for any thread. 0: never."""
        since = self._since
        if limit_seconds and since is not None and monotonic() - since > limit_seconds:
            raise stalled(self._path or path, limit_seconds)

    def end_if_given_up(self) -> None:
        """End the thread that reads, where nobody waits for it any more."""
        if self._is_given_up:
            raise _GivenUp

    def give_up(self) -> None:
        """Have the thread that reads end behind its read, if that comes back."""
        self._is_given_up = True


class _GivenUp(BaseException):
    """Ends a thread that nobody waits for any more."""


_timer: ContextVar[ReadTimer | None] = ContextVar("read_timer", default=None)


def current_timer() -> ReadTimer:
    """The timer that :func:`reading` goes by, or a new one that nobody checks yet."""
    return _timer.get() or ReadTimer()


@contextmanager
def timed_by(timer: ReadTimer) -> Generator[None]:
    """Have :func:`reading` go by a timer that somebody else checks."""
    token = _timer.set(timer)
    try:
        yield
    finally:
        _timer.reset(token)


@contextmanager
def reading(path: Path | None = None) -> Generator[None]:
    """Around a read of a file, below :func:`watched`; elsewhere it changes nothing.

    ``path`` names the file where it may be another than the one that is watched.
    """
    timer = _timer.get()
    if timer is None:
        yield
    else:
        with timer.reading(path):
            yield


def timed(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, where each may be waited for as for a read."""
    remaining, end = iter(items), object()
    while True:
        with reading():
            item = next(remaining, end)
        if item is end:
            return
        yield cast("Item", item)


def watched(
    path: Path, limit_seconds: float, call: Callable[[], Result], *, locked: bool = True
) -> Result:
    """What a call returns that reads ``path``, with :func:`reading` around its reads.

    Raises :class:`StorageError` where one of them takes longer than ``limit_seconds``. The call is
    made in a thread, which is then left to the system: a read that blocks cannot be ended. 0: no
    limit, and no thread. With ``locked`` the thread has :data:`ffmpeg_lock`, which others wait for:
    not for calls that take long.
    """
    not_negative("stall", limit_seconds)
    if not limit_seconds:
        return call()
    timer, ended = ReadTimer(), threading.Event()
    results: list[Result] = []
    failures: list[BaseException] = []

    def run() -> None:
        _timer.set(timer)
        try:
            _first_byte(path)
            results.append(call())
        except BaseException as failure:
            failures.append(failure)
        finally:
            ended.set()

    # Taken for the thread, which may never come back to release it.
    with ffmpeg_lock if locked else nullcontext():
        context = copy_context()
        threading.Thread(target=context.run, args=(run,), name="vsr-watched", daemon=True).start()
        try:
            while not ended.wait(min(CHECK_SECONDS, limit_seconds / 4)):
                timer.check(path, limit_seconds)
        except BaseException:
            timer.give_up()
            ended.wait(GOING_SECONDS)
            raise
    if failures:
        raise failures[0]
    return results[0]


def _first_byte(path: Path) -> None:
    """Read the first byte of a file: a dead disk is noticed here, whatever is called next."""
    with suppress(OSError), reading():  # whoever opens it next says what is wrong
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                file.read(1)


def stalled(path: Path, limit_seconds: float) -> StorageError:
    """The error of a source that does not answer."""
    return StorageError(
        f"{path} does not answer: a read of it did not come back within {limit_seconds:g} s",
        hint="is its disk, or its network, in order? --stall SECONDS waits longer",
    )

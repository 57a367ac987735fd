"""Three stages side by side: read, work, write. Bounded, ordered, and it always comes to an end.

Plain Python: no tensors, no files. The source is iterated on a thread of its own, the sink runs on
another, the work on the caller's. A failure in any stage stops the other two, every thread is
joined, and the caller gets the very exception object that was raised. One thread is not waited for:
that of a source of which ``check`` says that it does not answer.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

CHECK_SECONDS = 1.0
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Waits:
    """How long each stage waited for its neighbours."""

    read_seconds: float
    """The source, for room in front of the work."""
    work_for_read_seconds: float
    """The work, for the source's next item."""
    work_for_write_seconds: float
    """The work, for room in front of the sink."""
    write_seconds: float
    """The sink, for the next result of the work."""
    total_seconds: float
    """From the beginning of the run until now, or to its end."""

    @property
    def work_seconds(self) -> float:
        """What the middle stage waited, for either neighbour."""
        return self.work_for_read_seconds + self.work_for_write_seconds

    @property
    def slowest(self) -> int:
        """The stage that the others wait for: 0 read, 1 work, 2 write."""
        if self.work_seconds < 0.3 * self.total_seconds:
            return 1
        return 0 if self.work_for_read_seconds > self.work_for_write_seconds else 2


class _ClosedError(Exception):
    """The other end of a channel is gone."""


class _Channel(Generic[Item]):
    """A bounded first-in-first-out between two threads that either end can close."""

    def __init__(self, depth: int) -> None:
        self._items: deque[Item] = deque()
        self._depth = depth
        self._ended = False  # no more items will come
        self._aborted = False  # nobody wants them any more
        self._changed = threading.Condition()
        self.put_seconds = 0.0
        self.get_seconds = 0.0

    def put(self, item: Item) -> None:
        begun = time.perf_counter()
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._depth or self._aborted)
            self.put_seconds += time.perf_counter() - begun
            if self._aborted:
                raise _ClosedError
            self._items.append(item)
            self._changed.notify_all()

    def get(self, check: Callable[[], None] | None = None) -> Item:
        """The next item. ``check`` is called now and then while there is none."""
        begun = time.perf_counter()
        with self._changed:
            while not self._changed.wait_for(
                lambda: self._items or self._ended or self._aborted,
                timeout=None if check is None else CHECK_SECONDS,
            ):
                if check is not None:
                    check()
            self.get_seconds += time.perf_counter() - begun
            if self._aborted or not self._items:
                raise _ClosedError
            item = self._items.popleft()
            self._changed.notify_all()
            return item

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def abort(self) -> None:
        with self._changed:
            self._aborted = True
            self._items.clear()
            self._changed.notify_all()


class Pipeline(Generic[Item, Result]):
    """The three stages of one run; ``waits()`` may be asked at any time, from any thread.

    ``check`` is called every second in which the work waits for the source. What it raises ends the
    run, and the source's thread is left behind: it may be in a read that never comes back.
    """

    def __init__(
        self,
        source: Iterable[Item],
        work: Callable[[Item], Result],
        sink: Callable[[Result], None],
        *,
        depth: int = 2,
        check: Callable[[], None] | None = None,
    ) -> None:
        self._check, self._stuck = check, False
        self._source, self._work, self._sink = source, work, sink
        self._ready: _Channel[Item] = _Channel(depth)
        self._done: _Channel[Result] = _Channel(depth)
        self._failure: BaseException | None = None
        self._lock = threading.Lock()
        self._begun = time.perf_counter()

    def waits(self) -> Waits:
        """Where the time went until now."""
        return Waits(
            read_seconds=self._ready.put_seconds,
            work_for_read_seconds=self._ready.get_seconds,
            work_for_write_seconds=self._done.put_seconds,
            write_seconds=self._done.get_seconds,
            total_seconds=time.perf_counter() - self._begun,
        )

    def run(self) -> Waits:
        """Run to the end of the source; raise what any stage raised, after all have stopped."""
        self._begun = time.perf_counter()
        threads = [
            threading.Thread(target=self._guard, args=(body,), name=name, daemon=True)
            for name, body in (("vsr-read", self._read), ("vsr-write", self._write))
        ]
        for thread in threads:
            thread.start()
        try:
            self._enlarge()
        except _ClosedError:
            pass  # a neighbour failed and has said why
        except BaseException as failure:  # KeyboardInterrupt too: no thread may outlive this call
            self._fail(failure)
        finally:
            for thread in threads[1:] if self._stuck else threads:
                thread.join()
        if self._failure is not None:
            raise self._failure
        return self.waits()

    def _enlarge(self) -> None:
        while True:
            try:
                item = self._ready.get(self._check and self._checked)
            except _ClosedError:
                break
            self._done.put(self._work(item))
            del item  # the frames of one turn must not live on through the next
        self._done.end()

    def _checked(self) -> None:
        assert self._check is not None
        try:
            self._check()
        except BaseException:
            self._stuck = True
            raise

    def _read(self) -> None:
        for item in self._source:
            self._ready.put(item)
        self._ready.end()

    def _write(self) -> None:
        while True:
            try:
                result = self._done.get()
            except _ClosedError:
                return
            self._sink(result)
            del result

    def _guard(self, body: Callable[[], None]) -> None:
        try:
            body()
        except _ClosedError:
            pass
        except BaseException as failure:
            self._fail(failure)

    def _fail(self, failure: BaseException) -> None:
        with self._lock:
            self._failure = self._failure or failure
        self._ready.abort()
        self._done.abort()

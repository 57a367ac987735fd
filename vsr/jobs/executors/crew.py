"""Several workers as one executor, wherever they are: it waits for them. Starts none itself.

Any number of threads may each have a video made at once. A worker that dies is replaced, and its
task given to another.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Sequence

from vsr.errors import DeviceError, Stopped
from vsr.events import Event, EventSink, Warned
from vsr.jobs.executors.base import Deliver, Done, Ledger
from vsr.jobs.executors.order import Delivery, Ended, Order
from vsr.jobs.executors.roster import Hand, Roster
from vsr.jobs.executors.worker import Hello, Setup
from vsr.jobs.segments import Task

LOOK_SECONDS = 0.5
UNEASY_SECONDS = 30.0


class Crew:
    """An executor: the workers stay for the next run. ``alike`` is what all of them must be.

    Without a single worker for ``patience_seconds`` a run fails: the journal keeps what there is.
    """

    kind: str | None = None

    def __init__(
        self,
        setups: Sequence[Setup],
        hire: Callable[[Setup], Hand],
        *,
        alike: Hello | None = None,
        patience_seconds: float = float("inf"),
    ) -> None:
        self._roster = Roster(setups, hire, alike)
        self._patience = patience_seconds
        self.workers = len(setups)

    def meet(self, on_event: EventSink) -> Hello:
        """Start a worker, and wait for it; the others are started when there is work for them."""
        begun, told = time.monotonic(), False
        with self._roster.lock:
            self._roster.staff(1)
            while self._roster.is_empty:
                if self._roster.error is not None:
                    raise self._roster.error
                told = self._check_company(begun, on_event, told=told)
                self._roster.changed.wait(LOOK_SECONDS)
            assert self._roster.alike is not None
            return self._roster.alike

    def run(
        self,
        tasks: Sequence[Task],
        deliver: Deliver,
        on_event: EventSink,
        should_stop: Callable[[], bool],
    ) -> Done:
        """See :class:`~vsr.jobs.executors.base.Executor`."""
        order, ledger, roster = Order(tasks), Ledger(), self._roster
        begun = time.perf_counter()
        complete = True
        try:
            with roster.lock:
                if roster.error is not None:
                    raise roster.error
                roster.orders.append(order)
                roster.dispatch()
            for told in self._heard(order, on_event):
                match told:
                    case Delivery():
                        deliver(told.segment, told.worker)
                    case Ended():
                        order.open -= 1
                        ledger.add(
                            told.worker,
                            segments=told.segments, frames=told.frames, tally=told.tally,
                        )  # fmt: skip
                    case None:
                        pass
                    case _:
                        on_event(told)
                if not order.cancelled and should_stop():
                    complete = not self._put_off(order)
                if order.cancelled and order.endless and isinstance(told, Delivery):
                    self._cancel(order)
                    complete, order.open = False, 0
        except BaseException:
            self._cancel(order)
            raise
        finally:
            with roster.lock:
                roster.orders = [other for other in roster.orders if other is not order]
        seconds = time.perf_counter() - begun
        return Done(ledger.tally, complete, ledger.shares(roster.names, seconds))

    def close(self, *, kill: bool = False) -> None:
        """End every worker. A run in another thread ends with :class:`Stopped`."""
        self._roster.fail(Stopped("stopped at once: the same command goes on"))
        self._roster.end_all(kill=kill)

    def _heard(
        self, order: Order, on_event: EventSink
    ) -> Iterator[Delivery | Ended | Event | None]:
        """What is told of an order until nothing of it is open; now and then ``None``."""
        lonely, told = time.monotonic(), False
        while order.open:
            try:
                heard = order.told.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                with self._roster.lock:
                    self._roster.dispatch()  # one that was to start may have nowhere to
                if self._roster.is_empty:
                    told = self._check_company(lonely, on_event, told=told)
                else:
                    lonely, told = time.monotonic(), False
                yield None
                continue
            if isinstance(heard, BaseException):
                raise heard
            yield heard

    def _check_company(self, since: float, on_event: EventSink, *, told: bool) -> bool:
        """Whether it was told that nobody is there. After too long it is an error."""
        alone = time.monotonic() - since
        if alone > self._patience:
            raise DeviceError(
                f"no worker was there for {self._patience / 60:.0f} minutes",
                hint="`ray status` says what the cluster has and what is asked of it; the same "
                "command goes on",
            )
        if not told and alone > UNEASY_SECONDS and self._patience < float("inf"):
            on_event(Warned("no worker is there: waiting for the cluster to have room for one"))
            return True
        return told

    def _put_off(self, order: Order) -> bool:
        """Begin nothing more of it; whether anything was left."""
        with self._roster.lock:
            left = len(order.left)
            order.left.clear()
            order.cancelled = True
            order.open -= left
        return bool(left)

    def _cancel(self, order: Order) -> None:
        """Have nobody work on it, and remove what was begun."""
        roster = self._roster
        with roster.lock:
            order.cancelled = True
            order.left.clear()
            busy = [p for p in roster.posts if p.errand is not None and p.errand.order is order]
            roster.posts = [post for post in roster.posts if post not in busy]
        roster.end(busy, kill=True)
        order.sweep()
        with roster.lock:
            roster.dispatch()

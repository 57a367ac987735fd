"""Who works, and at what: hires workers, hears them, replaces those that die. It waits for nobody.

Everything happens under one lock, in the thread of whoever has something to say.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Protocol

from vsr.errors import DeviceError, VsrError
from vsr.events import Advanced
from vsr.jobs.executors.order import Delivery, Ended, Errand, Order
from vsr.jobs.executors.worker import (
    Broken,
    Hello,
    Message,
    Over,
    Refusal,
    Result,
    Setup,
    check_alike,
)
from vsr.jobs.segments import Tally, Task

TRIES = 3
LATE_SECONDS = 60.0  # after which another worker is started in place of one that is not there


class Hand(Protocol):
    """A worker as it is reached from here."""

    def give(self, task: Task) -> None:
        """Hand over a task."""
        ...

    def receive(self) -> Message | None:
        """Wait for the next message; ``None`` where none will ever come: it is dead."""
        ...

    def cause_of_death(self) -> str:
        """Why it ended, for people."""
        ...

    def close(self, *, kill: bool = False) -> None:
        """End it: at once, or when it has nothing to do. It is gone when this returns."""
        ...


@dataclass(slots=True, eq=False)
class Post:
    """A place, and the hand that holds it; it is free once it ``greeted`` and has no errand."""

    setup: Setup
    hand: Hand
    name: str
    greeted: bool = False
    errand: Errand | None = None
    cause: str = ""
    since: float = field(default_factory=time.monotonic)
    thread: threading.Thread = field(default_factory=threading.Thread)


class Roster:
    """The workers and the orders that they work on. ``alike`` is what all of them must be."""

    def __init__(
        self, setups: Sequence[Setup], hire: Callable[[Setup], Hand], alike: Hello | None
    ) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)  # somebody greeted, or nobody ever will
        self.orders: list[Order] = []
        self.posts: list[Post] = []
        self.alike = alike
        self.error: BaseException | None = None  # why nothing can be made any more
        self._setups, self._hire = setups, hire
        self._threads: set[threading.Thread] = set()
        self._unborn: Counter[str] = Counter()  # workers that died before they greeted, by place
        self._run = secrets.token_hex(3)
        self._attempts = count(1)

    @property
    def names(self) -> list[str]:
        """The workers, also those that are about to start."""
        with self.lock:
            return [post.name for post in self.posts]

    @property
    def is_empty(self) -> bool:
        """Whether no worker is there yet, or any more."""
        with self.lock:
            return not any(post.greeted for post in self.posts)

    def end(self, posts: Sequence[Post], *, kill: bool) -> None:
        """End workers that are dismissed already. They are gone when this returns."""
        for post in posts:
            post.hand.close(kill=kill)
        for post in posts:
            post.thread.join()

    def end_all(self, *, kill: bool) -> None:
        """End every worker, and wait for what is said of those that died."""
        with self.lock:
            posts, self.posts = self.posts, []
        self.end(posts, kill=kill)
        for thread in list(self._threads):
            thread.join()

    def dispatch(self) -> None:
        """Give what is left to who is free; where hands are missing and a place is, hire."""
        for order in self.orders:
            for post in self.posts:
                if order.left and post.greeted and post.errand is None:
                    post.errand = order.take(f".{self._run}-{next(self._attempts)}")
                    post.hand.give(post.errand.task)
        needed = sum(len(order.left) for order in self.orders)
        needed += sum(post.errand is not None for post in self.posts)
        self.staff(needed)

    def staff(self, needed: int) -> None:
        """Hire until there are so many, as far as there are places.

        One that does not come to work counts for a while only: its node may be gone.
        """
        taken = {post.setup.name for post in self.posts}
        free = [setup for setup in self._setups if setup.name not in taken]
        late = time.monotonic() - LATE_SECONDS
        coming = sum(post.greeted or post.since > late for post in self.posts)
        for setup in free[: max(0, needed - coming)]:
            post = Post(setup, self._hire(setup), setup.name)
            self.posts.append(post)
            post.thread = threading.Thread(target=self._attend, args=(post,), daemon=True)
            self._threads.add(post.thread)
            post.thread.start()

    def _attend(self, post: Post) -> None:
        """A thread for each worker: hear what it says, and bury it."""
        try:
            while (message := post.hand.receive()) is not None:
                with self.lock:
                    if post in self.posts:
                        self._hear(post, message)
            with self.lock:
                died = post in self.posts  # else someone has dismissed it
                if died:
                    self.posts.remove(post)
            if died:
                cause = post.cause or post.hand.cause_of_death()
                post.hand.close(kill=True)
                with self.lock:
                    self._mourn(post, cause)
        except BaseException as error:  # reaches whoever waits for a segment
            self.fail(error)
        finally:
            self._threads.discard(threading.current_thread())

    def _hear(self, post: Post, message: Message) -> None:
        errand = post.errand
        match message:
            case Hello():
                self._greet(post, message)
            case Broken():
                post.cause = message.cause
            case Refusal() if errand is not None:
                post.errand = None
                errand.order.told.put(message.error)
                self.dispatch()
            case Refusal():
                self.fail(message.error)
            case Result() if errand is not None:
                errand.passed(message.segment)
                errand.order.told.put(Delivery(message.segment, post.name))
            case Over() if errand is not None:
                post.errand = None
                errand.order.told.put(
                    Ended(post.name, errand.segments, errand.frames, message.tally)
                )
                self.dispatch()
            case Advanced() if errand is not None:
                errand.order.advance(errand, message)
            case Result() | Over() | Advanced():
                pass
            case _ if errand is not None:
                errand.order.told.put(message)
            case _:
                pass

    def _greet(self, post: Post, hello: Hello) -> None:
        """All must be alike."""
        self.alike = self.alike or hello
        try:
            check_alike(hello.name, hello, self.alike)
        except VsrError as error:
            self.fail(error)
            return
        self.alike = replace(self.alike, placement=hello.placement)
        post.name, post.greeted = hello.name, True
        self._unborn[post.setup.name] = 0
        self.changed.notify_all()
        self.dispatch()

    def fail(self, error: BaseException) -> None:
        """Nothing can be made any more, of no video."""
        with self.lock:
            self.error = self.error or error
            self.changed.notify_all()
            for order in self.orders:  # each its own: what it kept is added to the hint
                order.told.put(copy(error) if isinstance(error, VsrError) else error)

    def _mourn(self, post: Post, cause: str) -> None:
        """A worker is dead: its task goes to the next one that is free, three times."""
        errand = post.errand
        if not post.greeted:
            self._unborn[post.setup.name] += 1
            if self._unborn[post.setup.name] >= TRIES:
                self.fail(
                    DeviceError(
                        f"worker {post.name} could not be started: {cause}",
                        hint="a program in Python that gives --devices needs "
                        'if __name__ == "__main__": around what it does; the nodes of a cluster '
                        "need the same packages",
                    )
                )
        elif errand is not None:
            task, order = errand.task, errand.order
            order.deaths[task.index] += 1
            if order.deaths[task.index] >= TRIES:
                order.told.put(
                    DeviceError(
                        f"segment {task.index + 1} of {task.plan.info.path} was tried {TRIES} "
                        f"times, the last on {post.name}: {cause}",
                        hint="give fewer --devices, or a smaller --tile or --vram, if memory is "
                        "short",
                    )
                )
            elif order.cancelled:  # its thread still counts what is under way
                order.told.put(Ended(post.name, errand.segments, errand.frames, Tally()))
            else:
                order.give_back(task)
        self.dispatch()

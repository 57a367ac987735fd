"""Several things at once, each in a thread; the order of the answers is that of the things.

It knows neither files nor workers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

from vsr.errors import Stopped

Result = TypeVar("Result")


def run_parallel(
    count: int,
    do: Callable[[int], Result],
    *,
    threads: int,
    is_enough: Callable[[Result], bool],
    end: Callable[[], None],
) -> tuple[list[Result | None], BaseException | None]:
    """Do 0, 1, 2 and so on, in that order as far as threads are free; what was left is ``None``.

    Nothing more is begun once an answer ``is_enough`` or something was raised, which comes with the
    answers. What is under way goes on to its end, which :class:`Stopped` in a thread asks of all
    others, too; after anything else ``end`` is called to have it end at once.
    """
    answers: list[Result | None] = [None] * count
    enough = threading.Event()

    def attempt(place: int) -> None:
        if enough.is_set():
            return
        try:
            answers[place] = answer = do(place)
        except BaseException:
            enough.set()
            raise
        if is_enough(answer):
            enough.set()

    raised: BaseException | None = None
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(attempt, place) for place in range(count)]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            raised = next((e for future in done if (e := future.exception())), None)
            if raised is not None and not isinstance(raised, Stopped):
                end()
        except BaseException as error:  # a signal, in this thread
            enough.set()
            end()
            raised = error
    return answers, raised

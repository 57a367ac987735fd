"""What Ctrl-C and a system's wish to end mean to a command: finish what is begun, or stop now."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

from vsr.errors import Stopped
from vsr.system import ENDING_SIGNALS


class StopRequest:
    """Called, it says whether the command was asked to end."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self) -> bool:
        """Whether a signal came."""
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """What a shell calls an end by this signal: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.number or signal.SIGINT)


@contextmanager
def stop_on_signals(
    first: Callable[[], None] = lambda: None, *, patient: tuple[int, ...] = (signal.SIGINT,)
) -> Generator[StopRequest]:
    """A wish that is made by the first of the ``patient`` signals, after a call of ``first``.

    A second one raises :class:`Stopped` in the main thread, and so does any other that ends
    programs (SIGTERM, SIGHUP). A signal that was ignored (``nohup``) stays ignored.
    """
    wish = StopRequest()

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        if wish() or number not in patient:
            raise Stopped("stopped at once: the same command goes on", exit_code=128 + number)
        wish.number = number
        first()

    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, note)
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

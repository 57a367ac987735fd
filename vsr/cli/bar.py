"""How far a run is: a bar on a terminal; elsewhere a line with the time now and then."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

from vsr.cli.streams import bar_stream, one_line, printable
from vsr.cli.text import pace
from vsr.units import clock

LINE_SECONDS = 30.0


def on_terminal() -> bool:
    """Whether standard error is looked at, rather than kept."""
    return sys.stderr.isatty()


def say(text: str) -> None:
    """A line on standard error, above any bar."""
    tqdm.write(printable(text), file=bar_stream())


class Bar:
    """Counts towards ``total``, ``None`` where nobody knows; ``drawn`` as a bar, or told by lines.

    A ``share`` counts to 1, and is told in percent. ``note`` stands behind the figures.
    """

    def __init__(
        self,
        total: float | None,
        *,
        title: str = "",
        drawn: bool | None = None,
        share: bool = False,
        position: int | None = None,
    ) -> None:
        self.total, self.done, self.note = total, 0.0, ""
        self.title, self._share = one_line(title), share
        self._begun = self._told = time.monotonic()
        self._bar: tqdm[Any] | None = None
        if on_terminal() if drawn is None else drawn:
            form = "{desc}{percentage:3.0f}%|{bar}| {elapsed}{postfix}" if share else None
            self._bar = tqdm(
                total=total, desc=self.title or None, unit=" frames", file=bar_stream(),
                dynamic_ncols=True, bar_format=form, position=position, leave=not share,
            )  # fmt: skip

    def advance(self, by: float, note: str = "") -> None:
        """So much more is done; the ``note`` stays until there is another."""
        self.done += by
        self.note = note or self.note
        if self._bar is not None:
            self._bar.set_postfix_str(self.note, refresh=False)
            self._bar.update(by)
        elif time.monotonic() - self._told >= LINE_SECONDS:
            self._told = time.monotonic()
            say(self.line())

    def grow(self, by: float) -> None:
        """There is so much more to do."""
        self.total = (self.total or 0) + by
        if self._bar is not None:
            self._bar.total = self.total
            self._bar.refresh()

    def line(self) -> str:
        """Where it is, in words."""
        seconds = time.monotonic() - self._begun
        of = "" if self.total is None else f" of {self.total:.0f}"
        parts = [f"{self.done:.0%}" if self._share else f"{self.done:.0f}{of} frames"]
        if not self._share:
            parts.append(pace(round(self.done), seconds))
        if self.total is not None and 0 < self.done < self.total:
            parts.append(f"about {clock(seconds * (self.total - self.done) / self.done)} left")
        parts += [self.note] if self.note else []
        title = f"{self.title}: " if self.title else ""
        return f"{time.strftime('%Y-%m-%d %H:%M:%S')} {title}{', '.join(parts)}"

    def close(self, *, finished: bool = False) -> None:
        """Take it away, or leave it standing at its end where what it counts is ``finished``."""
        bar, self._bar = self._bar, None
        if bar is None:
            return
        if finished:
            bar.total = max(bar.n, 1)  # the total was an estimate
            bar.refresh()
        bar.close()

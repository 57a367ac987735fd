"""Steps of a script for a GPU: each is timed, caught and printed; one failure hides no other."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable


class Skipped(Exception):
    """A step that says nothing here, and why."""


class Steps:
    """Runs steps until ``seconds`` are over; those that are left then are told as skipped."""

    def __init__(self, seconds: float) -> None:
        self._begun, self._seconds = time.monotonic(), seconds
        self.failed: list[str] = []

    def run(self, name: str, step: Callable[[], str]) -> None:
        """Print ``ok``, ``FAIL`` or ``skip``, the name, and what the step gives back or raises."""
        begun = time.monotonic()
        state, said = "ok", ""
        if begun - self._begun > self._seconds:
            state, said = "skip", "no time is left"
        else:
            try:
                said = step()
            except Skipped as reason:
                state, said = "skip", str(reason)
            except Exception as error:  # whatever it is, it is the result of this step
                state, said = "FAIL", f"{type(error).__name__}: {error}"
                if not isinstance(error, AssertionError):
                    said += "\n" + traceback.format_exc()
                self.failed.append(name)
        print(f"{state:4} {name}: {said} [{time.monotonic() - begun:.1f} s]", flush=True)

    def end(self) -> int:
        """Print the sum; the exit code of the script."""
        what = ", ".join(self.failed) or "none"
        print(f"failed: {what} [{time.monotonic() - self._begun:.0f} s]", flush=True)
        return min(1, len(self.failed))

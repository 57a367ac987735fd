"""The folder that a training writes to: made where it is not there, and locked by one training."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from vsr.errors import DataError, OptionsError
from vsr.system import Lock
from vsr.training.ranks import Ranks

LOCK = ".vsr-train.lock"


@contextmanager
def owned(out: Path, ranks: Ranks) -> Generator[None]:
    """Have ``out`` for this training alone, whose processes are ``ranks``.

    Raises :class:`OptionsError` in each of them where another training has it. A folder that was
    made for it and holds nothing at the end is removed again.
    """
    lock, made = Lock(out / LOCK), list[Path]()
    taken = _taken(out, lock, made) if ranks.is_main else False
    try:
        if not ranks.broadcast(float(taken)):
            raise OptionsError(
                f"another training is writing to {out}: {lock.holder()}",
                hint="wait for it, stop it, or give another --out",
            )
        yield
    finally:
        if taken:
            with suppress(OSError):
                lock.remove()
            lock.release()
        with suppress(OSError):  # up to the first that holds something
            for folder in reversed(made):
                folder.rmdir()


def _taken(out: Path, lock: Lock, made: list[Path]) -> bool:
    """Make the folder and lock it. What was ``made`` is listed from the top."""
    try:
        for folder in reversed([out, *out.parents]):
            if not folder.exists():
                folder.mkdir(exist_ok=True)
                made.append(folder)
        return lock.take()
    except OSError as error:
        raise DataError(f"cannot make {out}: {error.strerror or error}") from error

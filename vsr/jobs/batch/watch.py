"""Go on with files that arrive in a folder, once they have stopped growing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from vsr.batch_options import BatchOptions
from vsr.errors import MediaError, Stopped
from vsr.events import Waiting, Warned
from vsr.jobs.batch.batch_run import BatchRun
from vsr.jobs.batch.inputs import find
from vsr.jobs.batch.items import named_items, with_clashes

Shape = tuple[int, int]


def watch(batch: BatchRun, inputs: Sequence[Path], options: BatchOptions) -> None:
    """Work off what is there and what comes, until told to stop.

    A file is taken when its size and time were the same at two looks, ``options.poll`` seconds
    apart, and again when they change later. A folder that goes away, as one of a network may, is
    waited for. Ctrl-C while nothing is at work is an orderly end.
    """
    seen: dict[Path, Shape] = {}
    done: dict[Path, Shape] = {}
    taken: dict[str, Path] = {}
    announced = away = False
    while not batch.should_stop():
        try:
            found = find(inputs, batch.out, options, batch.options.stall)
        except MediaError as error:  # it was there when the command began
            if not away:
                batch.on_event(Warned(f"{error.message}: it is waited for"))
            away = True
            if not _pause(options.poll, batch.should_stop):
                return
            continue
        away = False
        batch.others = found.others
        shapes = {found: _shape(found.path) for found in found.files}
        ready = [
            found
            for found, shape in shapes.items()
            if shape is not None and seen.get(found.path) == shape and done.get(found.path) != shape
        ]
        seen = {found.path: shape for found, shape in shapes.items() if shape is not None}
        if ready:
            announced = False
            done |= {found.path: seen[found.path] for found in ready}
            items = named_items(ready, batch.out, batch.options, options, batch.chosen)
            items = with_clashes(items, taken)
            if not batch.run(items, stop_on_error=options.on_error == "stop"):
                return
            continue
        waits = all(done.get(path) == shape for path, shape in seen.items())
        if waits and not announced:
            announced = True
            batch.on_event(Waiting(inputs[0]))
        if not _pause(options.poll, batch.should_stop):
            return


def _pause(seconds: float, should_stop: Callable[[], bool]) -> bool:
    """Sleep, and whether nothing put an end to it."""
    until = time.monotonic() + seconds
    try:
        while (left := until - time.monotonic()) > 0 and not should_stop():
            time.sleep(min(left, 0.2))
    except Stopped:
        raise  # SIGTERM, or a second Ctrl-C
    except KeyboardInterrupt:
        return False
    return True


def _shape(path: Path) -> Shape | None:
    try:
        stat = path.stat()
    except OSError:
        return None  # it went away again
    return stat.st_size, stat.st_mtime_ns

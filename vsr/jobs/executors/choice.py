"""Which executor the options ask for. A new kind is a file and a line here."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from vsr.jobs.devices import seats
from vsr.jobs.executors.base import Executor
from vsr.jobs.executors.parallel import parallel
from vsr.models.arch import Upscaler
from vsr.options import UpscaleOptions


@contextmanager
def opened(upscaler: Upscaler, options: UpscaleOptions) -> Generator[Executor | None]:
    """The executor, closed again behind; ``None`` where this process does it all itself."""
    if options.devices is None:
        yield None
        return
    executor = parallel(upscaler, options.engine, seats(options.devices))
    try:
        yield executor
    finally:
        executor.close()

"""Which executor the options ask for. A new kind is a file and a line here."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from vsr.events import EventSink
from vsr.jobs.devices import seats
from vsr.jobs.executors.base import Executor
from vsr.jobs.executors.parallel import parallel
from vsr.jobs.executors.ray import Cluster, connected
from vsr.models.arch import Upscaler
from vsr.options import UpscaleOptions


@contextmanager
def opened(
    upscaler: Upscaler, options: UpscaleOptions, on_event: EventSink
) -> Generator[Executor | None]:
    """The executor, closed again behind; ``None`` where this process does it all itself."""
    if options.cluster is not None:
        with (
            connected(options.cluster) as ray,
            _closing(Cluster(ray, upscaler, options, on_event)) as executor,
        ):
            yield executor
    elif options.devices is not None:
        with _closing(parallel(upscaler, options.engine, seats(options.devices))) as executor:
            yield executor
    else:
        yield None


@contextmanager
def _closing(executor: Executor) -> Generator[Executor]:
    try:
        yield executor
    except BaseException:
        executor.close(kill=True)
        raise
    executor.close()

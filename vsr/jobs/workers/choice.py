"""Opens the executor that the options ask for. A new kind is a file and a branch here."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from vsr.events import EventSink, Warned
from vsr.jobs.workers.devices import worker_devices
from vsr.jobs.workers.executor import Executor
from vsr.jobs.workers.pool import WorkerPool
from vsr.jobs.workers.process import WorkerProcess
from vsr.jobs.workers.ray import RayExecutor, connect
from vsr.jobs.workers.worker import WorkerSetup
from vsr.models.arch import Upscaler
from vsr.options import EngineOptions, UpscaleOptions
from vsr.system import processors


@contextmanager
def open_executor(
    upscaler: Upscaler, options: UpscaleOptions, on_event: EventSink
) -> Generator[Executor | None]:
    """Yields the executor, and closes it; ``None`` where this process makes all segments itself."""
    if options.cluster is not None:
        with (
            connect(options.cluster) as ray,
            _closing(RayExecutor(ray, upscaler, options, on_event)) as executor,
        ):
            yield executor
    elif options.devices is not None:
        count = int(options.devices.removeprefix("cpu:")) if "cpu:" in options.devices else 0
        if count > processors():
            on_event(
                Warned(
                    f"{count} processes share {processors()} processor cores: "
                    f"--devices cpu:{processors()} is as fast, and takes less memory"
                )
            )
        with _closing(_process_pool(upscaler, options.engine, options.devices)) as executor:
            yield executor
    else:
        yield None


def _process_pool(upscaler: Upscaler, options: EngineOptions, devices: str) -> WorkerPool:
    """A process on each of the devices, started when there is a task for it."""
    setups = [
        WorkerSetup(upscaler, replace(options, device=worker.device), worker.name, worker.threads)
        for worker in worker_devices(devices)
    ]
    return WorkerPool(setups, WorkerProcess)


@contextmanager
def _closing(executor: Executor) -> Generator[Executor]:
    try:
        yield executor
    except BaseException:
        executor.close(kill=True)
        raise
    executor.close()

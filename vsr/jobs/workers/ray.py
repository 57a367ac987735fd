"""The executor of a Ray cluster: workers are actors, which Ray places, starts and ends.

A segment whose worker or node died is given to the next free worker. Ray's own retries would wait
for the same actor, which has nowhere to go when its node is gone.
"""

from __future__ import annotations

import importlib
import logging
import os
import pickle
import signal
import socket
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from vsr.errors import DeviceError, MissingExtra
from vsr.events import EventSink
from vsr.jobs.video.segments import Task
from vsr.jobs.workers.actor import Actor, ActorHandle, Offers
from vsr.jobs.workers.executor import Deliver, RunOutcome
from vsr.jobs.workers.pool import WorkerPool
from vsr.jobs.workers.preflight import ClusterPreflight
from vsr.jobs.workers.worker import WorkerSetup, handshake_of
from vsr.models.arch import Upscaler
from vsr.options import UpscaleOptions

MAX_WAIT_SECONDS = 600.0  # a cloud's autoscaler takes minutes to bring a machine
MAX_CPU_CORES = 4  # of a worker on the CPU by default


@dataclass(frozen=True, slots=True)
class WorkerLayout:
    """The resources of each worker, and the number of workers."""

    cores: int
    """CPU cores of each worker."""
    gpu: bool
    """Whether each worker has a GPU of its own."""
    count: int
    """Number of workers."""


def plan_workers(nodes: Sequence[Mapping[str, float]], options: UpscaleOptions) -> WorkerLayout:
    """Choose workers for nodes of these resources: one for each GPU, or by cores without GPUs.

    Raises :class:`DeviceError` where not one fits and ``--workers`` was not given.
    """
    gpus = [node for node in nodes if node.get("GPU", 0) >= 1]
    on_gpu = options.device == "cuda" or (options.device == "auto" and bool(gpus))
    fitting = gpus if on_gpu else [node for node in nodes if node.get("CPU", 0) >= 1]
    shares = [int(node.get("CPU", 0) // (node["GPU"] if on_gpu else 1)) for node in fitting]
    cores = options.cores
    if cores is None:
        most = min(shares, default=1) if on_gpu else min(MAX_CPU_CORES, max(shares, default=1))
        cores = max(1, most)
    room = [int(node.get("CPU", 0) // cores) for node in fitting]
    if on_gpu:
        room = [min(places, int(node["GPU"])) for places, node in zip(room, fitting, strict=True)]
    if options.workers is None and not sum(room):
        raise DeviceError(
            f"no node of the cluster has {'a GPU and ' if on_gpu else ''}{cores} cores for a "
            "worker",
            hint="--workers N waits for machines that the cluster's autoscaler brings",
        )
    return WorkerLayout(cores, on_gpu, options.workers or sum(room))


class RayExecutor:
    """A pool of Ray actors; its nodes are checked before the first one is started."""

    def __init__(
        self, ray: Any, upscaler: Upscaler, options: UpscaleOptions, on_event: EventSink
    ) -> None:
        resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        layout = plan_workers(resources, options)
        needed = {"CPU": layout.cores, "GPU": int(layout.gpu)}
        self._preflight = ClusterPreflight(ray, needed, storage=not options.ship)
        self._preflight.check()
        weights = ray.put(pickle.dumps(upscaler))  # once for each node, whatever its workers
        self._offers = Offers(ray) if options.ship else None
        files = None if self._offers is None else self._offers.files
        kind = ray.remote(Actor).options(
            num_cpus=layout.cores,
            num_gpus=int(layout.gpu),
            scheduling_strategy="SPREAD",
            max_restarts=0,
        )
        engine = replace(options.engine, device="cuda" if layout.gpu else "cpu")

        def spawn(setup: WorkerSetup) -> ActorHandle:
            actor = kind.remote(weights, setup.options, setup.name, setup.threads, files)
            return ActorHandle(ray, actor)

        setups = [
            WorkerSetup(upscaler, engine, f"worker {number}", layout.cores)
            for number in range(layout.count)
        ]
        self.workers = layout.count
        self._pool = WorkerPool(
            setups, spawn, expected=handshake_of(upscaler), max_wait_seconds=MAX_WAIT_SECONDS
        )
        try:
            self.kind = self._pool.start_one(on_event).placement
        except BaseException:
            self.close(kill=True)
            raise

    def run(
        self,
        tasks: Sequence[Task],
        deliver: Deliver,
        on_event: EventSink,
        should_stop: Callable[[], bool],
    ) -> RunOutcome:
        """See :class:`~vsr.jobs.workers.executor.Executor`."""
        tasks = [_absolute(task) for task in tasks]
        for task in tasks[:1]:
            self._preflight.check(task)
        offered = nullcontext()
        if self._offers is not None and tasks:  # all of one video
            offered = self._offers.of(tasks[0].plan.info.path)
        with offered:
            return self._pool.run(tasks, deliver, on_event, should_stop)

    def close(self, *, kill: bool = False) -> None:
        """End every worker."""
        self._pool.close(kill=kill)


def _absolute(task: Task) -> Task:
    """The task with absolute paths: a worker on a node has a working directory of its own."""
    info = replace(task.plan.info, path=task.plan.info.path.absolute())
    return replace(task, plan=replace(task.plan, info=info), folder=task.folder.absolute())


@contextmanager
def connect(address: str) -> Generator[Any]:
    """Yields the module ray, connected to a cluster and silent; "auto" is the one of this node.

    Raises :class:`MissingExtra` without the package, :class:`DeviceError` without a cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it warns of the future
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise MissingExtra(
            "--cluster needs the package ray", hint="pip install 'vsr[ray]'"
        ) from error
    if ray.is_initialized():  # the calling program did it
        yield ray
        return
    # What nodes say of themselves goes to stdout, which is for data, whatever log_to_driver is.
    inside: Any = importlib.import_module("ray._private.worker")
    inside._worker_logs_enabled = False
    mine = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)  # Ray puts its own in its place
    try:
        if address != "auto":  # Ray itself would go on trying for minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DeviceError(
            f"there is no Ray cluster at {address} that can be used from here: {said}",
            hint="run this on a node of the cluster: `ray start --head` makes a machine its first "
            "one, and `ray status` tells what there is",
        ) from error
    finally:
        if mine:
            signal.signal(signal.SIGTERM, handler)
    try:
        yield ray
    finally:
        ray.shutdown()

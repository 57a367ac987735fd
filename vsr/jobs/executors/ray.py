"""An executor whose workers are on the nodes of a Ray cluster. Ray places, starts and ends them.

A segment whose worker or node died is given to whoever is free next: Ray's own retries would wait
for the same worker, which has nowhere to go when its node is gone.
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
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from vsr.errors import DeviceError, MissingExtra
from vsr.events import EventSink
from vsr.jobs.executors.actor import Actor, Remote, feeder_for
from vsr.jobs.executors.base import Deliver, Done
from vsr.jobs.executors.crew import Crew
from vsr.jobs.executors.sight import Sight
from vsr.jobs.executors.worker import Setup, hello_of
from vsr.jobs.segments import Task
from vsr.models.arch import Upscaler
from vsr.options import UpscaleOptions

PATIENCE_SECONDS = 600.0  # a cloud's autoscaler takes minutes to bring a machine
CORES = 4  # of a worker on the CPU, where nodes have so many


@dataclass(frozen=True, slots=True)
class Shape:
    """What each worker asks of the cluster, and how many there are."""

    cores: int
    gpu: bool
    count: int


def shape_of(nodes: Sequence[Mapping[str, float]], options: UpscaleOptions) -> Shape:
    """Workers for nodes of these resources: one a GPU where there are any, else by cores.

    Raises :class:`DeviceError` where there is no room for one, and none is waited for.
    """
    gpus = [node for node in nodes if node.get("GPU", 0) >= 1]
    on_gpu = options.device == "cuda" or (options.device == "auto" and bool(gpus))
    fitting = gpus if on_gpu else [node for node in nodes if node.get("CPU", 0) >= 1]
    shares = [int(node.get("CPU", 0) // (node["GPU"] if on_gpu else 1)) for node in fitting]
    cores = options.cores
    if cores is None:
        cores = max(1, min(shares, default=1) if on_gpu else min(CORES, max(shares, default=1)))
    room = [int(node.get("CPU", 0) // cores) for node in fitting]
    if on_gpu:
        room = [min(places, int(node["GPU"])) for places, node in zip(room, fitting, strict=True)]
    if options.workers is None and not sum(room):
        raise DeviceError(
            f"no node of the cluster has {'a GPU and ' if on_gpu else ''}{cores} cores for a "
            "worker",
            hint="--workers N waits for machines that the cluster's autoscaler brings",
        )
    return Shape(cores, on_gpu, options.workers or sum(room))


class Cluster:
    """An executor: a crew of Ray's actors, and what has to be so before they begin."""

    def __init__(
        self, ray: Any, upscaler: Upscaler, options: UpscaleOptions, on_event: EventSink
    ) -> None:
        resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        shape = shape_of(resources, options)
        asked = {"CPU": shape.cores, "GPU": int(shape.gpu)}
        self._sight = Sight(ray, asked, storage=not options.ship)
        self._sight.check()
        weights = ray.put(pickle.dumps(upscaler))  # once for each node, whatever its workers
        feeder = feeder_for(ray) if options.ship else None
        kind = ray.remote(Actor).options(
            num_cpus=shape.cores,
            num_gpus=int(shape.gpu),
            scheduling_strategy="SPREAD",
            max_restarts=0,
        )
        engine = replace(options.engine, device="cuda" if shape.gpu else "cpu")

        def hire(setup: Setup) -> Remote:
            actor = kind.remote(weights, setup.options, setup.name, setup.threads, feeder)
            return Remote(ray, actor)

        setups = [
            Setup(upscaler, engine, f"worker {number}", shape.cores)
            for number in range(shape.count)
        ]
        self.workers = shape.count
        self._crew = Crew(setups, hire, alike=hello_of(upscaler), patience_seconds=PATIENCE_SECONDS)
        try:
            self.kind = self._crew.meet(on_event).placement
        except BaseException:
            self.close(kill=True)
            raise

    def run(
        self,
        tasks: Sequence[Task],
        deliver: Deliver,
        on_event: EventSink,
        should_stop: Callable[[], bool],
    ) -> Done:
        """See :class:`~vsr.jobs.executors.base.Executor`."""
        tasks = [_absolute(task) for task in tasks]
        for task in tasks[:1]:
            self._sight.check(task)
        return self._crew.run(tasks, deliver, on_event, should_stop)

    def close(self, *, kill: bool = False) -> None:
        """End every worker."""
        self._crew.close(kill=kill)


def _absolute(task: Task) -> Task:
    """A worker on a node has a working folder of its own."""
    info = replace(task.plan.info, path=task.plan.info.path.absolute())
    return replace(task, plan=replace(task.plan, info=info), folder=task.folder.absolute())


@contextmanager
def connected(address: str) -> Generator[Any]:
    """Ray, connected to a cluster: the one that runs here for "auto". It stays silent."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it warns of the future
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise MissingExtra(
            "--cluster needs the package ray", hint="pip install 'vsr[ray]'"
        ) from error
    if ray.is_initialized():  # by the program that called
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

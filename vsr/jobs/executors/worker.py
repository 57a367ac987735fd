"""What a worker is, in whichever process or node: it has one network, and makes segments."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

import torch

from vsr.errors import DeviceError
from vsr.events import Event, EventSink
from vsr.infer.device import resolve
from vsr.infer.engine import Engine
from vsr.jobs.devices import kind_of
from vsr.jobs.segments import Tally, Task, make
from vsr.media.writer import Segment
from vsr.models.arch import Upscaler
from vsr.options import EngineOptions
from vsr.version import __version__

SHAPES = 4  # engines kept, one for each kind of task


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """What a worker is made with, the weights too: nothing is looked up where it runs."""

    upscaler: Upscaler
    options: EngineOptions
    name: str
    threads: int


@dataclass(frozen=True, slots=True)
class Hello:
    """What a worker is, told before its first task."""

    version: str
    torch: str
    fingerprint: str
    placement: str


@dataclass(frozen=True, slots=True)
class Result:
    """A task's only segment, and what was met on the way."""

    segment: Segment
    tally: Tally


class Worker:
    """Makes tasks of one segment each, on one device."""

    def __init__(self, setup: Setup) -> None:
        torch.set_num_threads(setup.threads)
        self.name = setup.name
        self._setup = setup
        self._engines: OrderedDict[EngineOptions, Engine] = OrderedDict()
        self._on_event: EventSink | None = None
        placement = resolve(setup.options, setup.upscaler)
        if placement.device.type == "cuda":
            torch.zeros(1, device=placement.device)  # a device that is not there fails here
        self.hello = Hello(
            __version__, torch.__version__, setup.upscaler.fingerprint, kind_of(placement)
        )

    def make(self, task: Task, on_event: EventSink) -> Result:
        """Make one segment. Raises what a stage raised, and Diverged."""
        made: list[Segment] = []
        self._on_event = on_event
        engine = self._engine(replace(task.engine, device=self._setup.options.device))
        tally = make(task, engine, on_event, made.append, self.name)
        (segment,) = made
        return Result(segment, tally)

    def _engine(self, options: EngineOptions) -> Engine:
        if options not in self._engines:
            if len(self._engines) >= SHAPES:
                self._engines.popitem(last=False)
            self._engines[options] = Engine(self._setup.upscaler, options, self._tell)
        self._engines.move_to_end(options)
        return self._engines[options]

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            self._on_event(event)


def check_alike(worker: str, hello: Hello, expected: Hello) -> None:
    """Raise :class:`DeviceError` where a worker would make other bytes than the others."""
    for what, theirs, ours in (
        ("version of vsr", hello.version, expected.version),
        ("version of torch", hello.torch, expected.torch),
        ("set of weights", hello.fingerprint[:12], expected.fingerprint[:12]),
        ("device or precision", hello.placement, expected.placement),
    ):
        if theirs != ours:
            raise DeviceError(
                f"worker {worker} has another {what}: {theirs}, here it is {ours}",
                hint="all workers of a run must be alike: install the same packages everywhere, "
                "and give one kind of device and --dtype",
            )

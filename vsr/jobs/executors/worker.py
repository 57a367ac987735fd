"""What a worker is, in whichever process or node: it has one network, and makes segments."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import av
import torch

from vsr.errors import DeviceError, VsrError
from vsr.events import Event, EventSink
from vsr.infer.device import resolve
from vsr.infer.engine import Engine
from vsr.jobs.devices import kind_of
from vsr.jobs.segments import Diverged, Tally, Task, make
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
    """What a worker is, told before its first task. What is empty is not known yet."""

    version: str
    torch: str
    av: str
    fingerprint: str
    placement: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """A segment of the task at hand."""

    segment: Segment


@dataclass(frozen=True, slots=True)
class Over:
    """A task has come to its end, and what was met on the way."""

    tally: Tally


@dataclass(frozen=True, slots=True)
class Refusal:
    """A task, or the worker itself, failed in a way that another try would not mend."""

    error: VsrError | Diverged


@dataclass(frozen=True, slots=True)
class Broken:
    """The worker is about to end for a reason that is no message for people."""

    cause: str


Message = Hello | Result | Over | Refusal | Broken | Event


class Worker:
    """Makes tasks on one device."""

    def __init__(self, setup: Setup) -> None:
        torch.set_num_threads(setup.threads)
        self.name = setup.name
        self._setup = setup
        self._engines: OrderedDict[EngineOptions, Engine] = OrderedDict()
        self._on_event: EventSink | None = None
        placement = resolve(setup.options, setup.upscaler)
        if placement.device.type == "cuda":
            torch.zeros(1, device=placement.device)  # a device that is not there fails here
        self.hello = replace(
            hello_of(setup.upscaler), placement=kind_of(placement), name=setup.name
        )

    def make(self, task: Task, send: Callable[[Message], None]) -> None:
        """Make a task and send what comes of it, at last an :class:`Over` or a :class:`Refusal`."""
        self._on_event = send
        engine = self._engine(replace(task.engine, device=self._setup.options.device))
        try:
            tally = make(task, engine, send, lambda made: send(Result(made)), self.name)
        except (VsrError, Diverged) as error:
            send(Refusal(error))
        else:
            send(Over(tally))

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


def hello_of(upscaler: Upscaler) -> Hello:
    """What of this process counts for the bytes of a segment, but for the device."""
    return Hello(__version__, torch.__version__, av.__version__, upscaler.fingerprint)


def check_alike(worker: str, hello: Hello, expected: Hello) -> None:
    """Raise :class:`DeviceError` where a worker would make other bytes than the others."""
    for what, theirs, ours in (
        ("version of vsr", hello.version, expected.version),
        ("version of torch", hello.torch, expected.torch),
        ("version of PyAV", hello.av, expected.av),
        ("set of weights", hello.fingerprint[:12], expected.fingerprint[:12]),
        ("device or precision", hello.placement, expected.placement),
    ):
        if theirs and ours and theirs != ours:
            raise DeviceError(
                f"worker {worker} has another {what}: {theirs}, here it is {ours}",
                hint="all workers of a run must be alike: install the same packages everywhere, "
                "and give one kind of device and --dtype",
            )

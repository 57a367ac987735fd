"""A worker: it makes segments with one network on one device, in whichever process or node."""

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
from vsr.jobs.video.segments import FramesDiffer, RunStats, Task, make
from vsr.jobs.workers.devices import kind_of
from vsr.media.write.codec_check import encoder_versions
from vsr.media.write.writer import Segment
from vsr.models.arch import Upscaler
from vsr.options import EngineOptions
from vsr.version import __version__

HEARTBEAT_SECONDS = 2.0  # between signs of life, whatever the worker is at
MAX_ENGINES = 4  # kept, one for each of the engine options that tasks ask for


@dataclass(frozen=True, slots=True, eq=False)
class WorkerSetup:
    """What a worker is made with, the weights included: nothing is looked up where it runs."""

    upscaler: Upscaler
    """The network with its weights."""
    options: EngineOptions
    """How its engine runs, and on which device."""
    name: str
    """A name that no other worker has."""
    threads: int
    """How many CPU threads torch may use."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a worker is, sent before its first task. Empty fields are not known yet."""

    version: str
    """Version of vsr."""
    torch: str
    """Version of torch."""
    av: str
    """Version of PyAV."""
    fingerprint: str
    """Fingerprint of the weights."""
    placement: str = ""
    """Kind of device and precision, as :func:`vsr.jobs.workers.devices.kind_of` says it."""
    name: str = ""
    """Name of the worker, with its node where there are several."""
    encoders: str = ""
    """Versions of the encoders."""


@dataclass(frozen=True, slots=True)
class SegmentMade:
    """A segment of the present task is finished."""

    segment: Segment
    """What its file holds, and where the file is."""


@dataclass(frozen=True, slots=True)
class TaskDone:
    """All segments of the task are finished."""

    stats: RunStats
    """What was met in the task."""


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """A task, or the start of the worker, failed in a way that another try would not mend."""

    error: VsrError | FramesDiffer
    """Why. After :class:`FramesDiffer` the video is gone through in order instead."""


@dataclass(frozen=True, slots=True)
class WorkerCrashed:
    """The worker is about to end because of an unexpected exception."""

    cause: str
    """The exception, as a clause for an error message."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A sign of life: a segment may take minutes, a process that was stopped says nothing."""


Message = Handshake | Heartbeat | SegmentMade | TaskDone | TaskFailed | WorkerCrashed | Event


class Worker:
    """Makes tasks on one device, and keeps its engines for the next ones."""

    def __init__(self, setup: WorkerSetup) -> None:
        torch.set_num_threads(setup.threads)
        self.name = setup.name
        self._setup = setup
        self._engines: OrderedDict[EngineOptions, Engine] = OrderedDict()
        self._on_event: EventSink | None = None
        placement = resolve(setup.options, setup.upscaler)
        if placement.device.type == "cuda":
            torch.zeros(1, device=placement.device)  # a device that is not there fails here
        self.handshake = replace(
            handshake_of(setup.upscaler), placement=kind_of(placement), name=setup.name
        )

    def make(self, task: Task, send: Callable[[Message], None]) -> None:
        """Make a task, and send its messages; the last is a TaskDone or a TaskFailed."""
        self._on_event = send
        engine = self._engine(replace(task.engine, device=self._setup.options.device))
        try:
            stats = make(task, engine, send, lambda made: send(SegmentMade(made)), self.name)
        except (VsrError, FramesDiffer) as error:
            send(TaskFailed(error))
        else:
            send(TaskDone(stats))

    def _engine(self, options: EngineOptions) -> Engine:
        if options not in self._engines:
            if len(self._engines) >= MAX_ENGINES:
                self._engines.popitem(last=False)
            self._engines[options] = Engine(self._setup.upscaler, options, self._tell)
        self._engines.move_to_end(options)
        return self._engines[options]

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            self._on_event(event)


def handshake_of(upscaler: Upscaler) -> Handshake:
    """The handshake of this process without a device: what else counts for a segment's bytes."""
    return Handshake(
        __version__,
        torch.__version__,
        av.__version__,
        upscaler.fingerprint,
        encoders=encoder_versions(),
    )


def check_compatible(worker: str, handshake: Handshake, expected: Handshake) -> None:
    """Raise :class:`DeviceError` if a worker would make other bytes than expected."""
    for what, theirs, ours in (
        ("version of vsr", handshake.version, expected.version),
        ("version of torch", handshake.torch, expected.torch),
        ("version of PyAV", handshake.av, expected.av),
        ("set of encoders", handshake.encoders, expected.encoders),
        ("set of weights", handshake.fingerprint[:12], expected.fingerprint[:12]),
        ("device or precision", handshake.placement, expected.placement),
    ):
        if theirs and ours and theirs != ours:
            raise DeviceError(
                f"worker {worker} has another {what}: {theirs}, here it is {ours}",
                hint="all workers of a run must be alike: install the same packages everywhere, "
                "and give one kind of device and --dtype",
            )

"""What a running job tells: frozen values sent to one function. The library itself never prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from vsr.geometry import Size


@dataclass(frozen=True, slots=True)
class WorkerShare:
    """What one of several workers did; ``utilisation`` is the share of the run, 0..1, it worked."""

    name: str
    segments: int
    frames: int
    seconds: float
    utilisation: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a finished job did.

    ``waiting`` maps a stage (decode, enlarge, encode) to the share of the run's time, 0..1, that it
    spent waiting for the others: the stage that waits least is the bottleneck. ``damaged`` counts
    packets that the decoder could not read and frames that it concealed. ``workers`` is empty where
    there was but one.
    """

    target: Path
    frames: int
    size: Size
    target_size: Size
    seconds: float
    bytes: int
    waiting: dict[str, float]
    kept: tuple[str, ...] = ()
    converted: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    damaged: int = 0
    model: str = ""
    device: str = ""
    encoder: str = ""
    workers: tuple[WorkerShare, ...] = ()

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Report:
        """The report that ``asdict`` made ``row`` of, after its way through JSON."""
        values: dict[str, Any] = {
            key: tuple(cast("list[str]", value)) if isinstance(value, list) else value
            for key, value in row.items()
        }
        values["target"] = Path(row["target"])
        for key in ("size", "target_size"):
            values[key] = Size(**row[key])
        values["workers"] = tuple(WorkerShare(**share) for share in row.get("workers", ()))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Started:
    """The job begins. ``frames`` is an estimate, ``None`` where the source does not say."""

    source: Path
    target: Path
    frames: int | None
    size: Size
    target_size: Size


@dataclass(frozen=True, slots=True)
class Advanced:
    """``frames`` more were encoded; ``bottleneck`` is the stage that the others wait for.

    ``worker`` names the device, or the node and device, where several are at work.
    """

    frames: int
    bottleneck: str
    worker: str = ""


@dataclass(frozen=True, slots=True)
class BackedOff:
    """Memory ran out or the network made no picture; the same frames are redone this way."""

    reason: str
    tile: Size
    batch: int
    dtype: str


@dataclass(frozen=True, slots=True)
class SegmentDone:
    """One segment is encoded, on disk and in the journal; ``resumed`` if an earlier run made it."""

    index: int
    frames: int
    resumed: bool
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a person should know; the job goes on."""

    message: str


@dataclass(frozen=True, slots=True)
class Saved:
    """A file was verified and is now at its place."""

    path: Path


@dataclass(frozen=True, slots=True)
class Finished:
    """The job is done."""

    report: Report


@dataclass(frozen=True, slots=True)
class Failed:
    """A run ended without its target, or a file of a batch did, which then has its ``source``."""

    message: str
    hint: str | None
    exit_code: int
    source: Path | None = None
    target: Path | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file of a batch needs no work, and why."""

    source: Path
    target: Path
    reason: str


@dataclass(frozen=True, slots=True)
class BatchStarted:
    """A batch begins: so many files, ``None`` where a folder is watched.

    ``others`` counts what lies beside the videos and is left alone: subtitles, texts, posters.
    """

    target: Path
    files: int | None
    others: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A watched folder holds nothing new."""

    folder: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file of a batch; ``left`` was not reached, ``planned`` is a dry run's.

    ``message`` is why it was skipped, failed or left.
    """

    source: Path
    target: Path | None
    state: Literal["finished", "skipped", "failed", "left", "planned"]
    frames: int = 0
    seconds: float = 0.0
    bytes: int = 0
    message: str = ""
    hint: str | None = None
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a batch did, one outcome for each file."""

    target: Path
    outcomes: tuple[Outcome, ...]
    others: int
    seconds: float

    def count(self, state: str) -> int:
        """How many files ended so."""
        return sum(outcome.state == state for outcome in self.outcomes)


@dataclass(frozen=True, slots=True)
class BatchFinished:
    """A batch came to its end, or was interrupted."""

    report: BatchReport


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run would do and take; ``None`` where it cannot be known.

    ``stage_seconds`` maps a stage (decode, enlarge, encode) to its measured seconds a frame.
    ``disk_bytes`` is the most that the run needs at once where the target will lie.
    """

    source: Path
    target: Path
    size: Size
    target_size: Size
    frames: int | None
    frame_rate: str | None = None
    model: str = ""
    device: str = ""
    encoder: str = ""
    deinterlace: bool = False
    kept: tuple[str, ...] = ()
    converted: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    measured_frames: int = 0
    stage_seconds: dict[str, float] | None = None
    frames_per_second: float | None = None
    expected_seconds: float | None = None
    target_bytes: int | None = None
    disk_bytes: int | None = None
    disk_free_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A dry run's answer."""

    forecast: Forecast


@dataclass(frozen=True, slots=True)
class OfFile:
    """What is told of the ``file``-th of several that are made at once, counted from 1."""

    file: int
    event: Event


Event = (
    Started
    | Advanced
    | BackedOff
    | SegmentDone
    | Warned
    | Saved
    | Finished
    | Failed
    | Skipped
    | BatchStarted
    | BatchFinished
    | Waiting
    | Planned
    | OfFile
)
EventSink = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The event sink that keeps silent."""
    del event

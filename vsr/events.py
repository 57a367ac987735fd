"""What a running job tells: frozen values sent to one function. The library itself never prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from vsr.geometry import Size


@dataclass(frozen=True, slots=True)
class WorkerShare:
    """What one of several workers did."""

    name: str
    """The worker's device, such as "cuda:1", or its node and device."""
    segments: int
    """Segments that it made."""
    frames: int
    """Frames that it encoded."""
    seconds: float
    """Seconds that its finished tasks took, in all."""
    utilisation: float
    """Share of the run's time, 0..1, in which it worked."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a finished job did."""

    target: Path
    """The file or folder that was written."""
    frames: int
    """Frames or pictures in the target."""
    size: Size
    """Size of the source's frames, or of the first of its pictures, in source pixels."""
    target_size: Size
    """Size of the target's frames, or of the first of its pictures, in target pixels."""
    seconds: float
    """Wall-clock time from the end of planning until the target was written and verified."""
    bytes: int
    """Size of the target's file, or of all pictures in its folder."""
    waiting: dict[str, float]
    """For each stage (decode, enlarge, encode) the share of its time, 0..1, that it waited for the
    others: the stage that waits least is the bottleneck."""
    kept: tuple[str, ...] = ()
    """The source's other streams that the target holds as they were, for people."""
    converted: tuple[str, ...] = ()
    """Streams that the target holds in another form, for people."""
    dropped: tuple[str, ...] = ()
    """What of the source the target does not hold, for people."""
    warnings: tuple[str, ...] = ()
    """What a person should know, a sentence or phrase each."""
    damaged: int = 0
    """Packets that the decoder could not read, and frames that it concealed."""
    model: str = ""
    """The upscaler's name."""
    device: str = ""
    """Device and precision, such as "cuda:0 fp16"; of several workers what is common to them."""
    encoder: str = ""
    """The encoder with its quality and pixel format; empty for pictures."""
    workers: tuple[WorkerShare, ...] = ()
    """What each of several workers did; empty where there was but one."""

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
    """The job begins."""

    source: Path
    """The file or folder that is read."""
    target: Path
    """The file or folder to write; where videos are only measured, one of those."""
    frames: int | None
    """How many to expect, an estimate; ``None`` where the source does not say."""
    size: Size
    """Size of the source's frames, or of the first of its pictures, in source pixels."""
    target_size: Size
    """Size of the frames to make, in target pixels; ``size`` again where none are enlarged."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """Some more frames are made."""

    frames: int
    """Frames since the last such event."""
    bottleneck: str
    """The stage that the others wait for: decode, enlarge or encode; empty where nobody measures.
    An extraction of frames says "look" or "write" for the pass that it is in."""
    worker: str = ""
    """The device, or the node and device, where several are at work; else empty."""


@dataclass(frozen=True, slots=True)
class BackedOff:
    """Memory ran out or the network made no picture; the same frames are redone this way."""

    reason: str
    """ "out of memory", or that there was no picture in which precision."""
    tile: Size
    """The size of a window from now on, in source pixels."""
    batch: int
    """Windows that go through the network at once from now on."""
    dtype: str
    """The precision from now on: fp16, bf16 or fp32."""


@dataclass(frozen=True, slots=True)
class SegmentDone:
    """One segment is encoded, on disk and in the journal. Pictures are one, and have no journal."""

    index: int
    """The segment's number in the target, from 0."""
    frames: int
    """Frames in it."""
    resumed: bool
    """Whether an earlier run made it."""
    worker: str = ""
    """Who made it, where several are at work; else empty."""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a person should know; the job goes on."""

    message: str
    """One sentence or phrase, for people."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A file was verified and is now at its place."""

    path: Path
    """The target's file or folder."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The job is done."""

    report: Report
    """What the job did."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A run ended without its target, or a file of a batch did."""

    message: str
    """What failed, in one sentence."""
    hint: str | None
    """What to try next; ``None`` where nothing is known to help."""
    exit_code: int
    """What the command line exits with for such a failure."""
    source: Path | None = None
    """The file of a batch that failed; ``None`` where it is the run."""
    target: Path | None = None
    """Its target; ``None`` of a run, and where no name could be made for it."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file of a batch needs no work."""

    source: Path
    """The file of the batch."""
    target: Path
    """Where its target is, or would be."""
    reason: str
    """Why it is skipped, for people."""


@dataclass(frozen=True, slots=True)
class BatchStarted:
    """A batch begins."""

    target: Path
    """The output folder."""
    files: int | None
    """How many there are to make; ``None`` where a folder is watched."""
    others: int
    """What lies beside the videos and is left alone: subtitles, texts, posters."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A watched folder holds nothing new."""

    folder: Path
    """The watched folder; of several inputs the first."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file of a batch."""

    source: Path
    """The file of the batch."""
    target: Path | None
    """Where it was or would have been written; ``None`` where no name for it could be made."""
    state: Literal["finished", "skipped", "failed", "left", "planned"]
    """``left`` was not reached, ``planned`` is a dry run's."""
    frames: int = 0
    """Frames in the target, or that a dry run expects; 0 where none were made or nobody knows."""
    seconds: float = 0.0
    """Time that the file took, or that a dry run expects; 0 where it was skipped or left."""
    bytes: int = 0
    """Size of the target's file, or as a dry run expects it; 0 where there is none."""
    message: str = ""
    """Why it was skipped, failed or left; else empty."""
    hint: str | None = None
    """What to try next after a failure; ``None`` where nothing is known to help."""
    exit_code: int = 0
    """The failure's; 0 where it did not fail."""


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a batch did, one outcome for each file."""

    target: Path
    """The output folder."""
    outcomes: tuple[Outcome, ...]
    """One for each file; of a file that was made twice the last."""
    others: int
    """What lies beside the videos and was left alone."""
    seconds: float
    """Time from the beginning of the batch to its end."""

    def count(self, state: str) -> int:
        """How many files ended so."""
        return sum(outcome.state == state for outcome in self.outcomes)


@dataclass(frozen=True, slots=True)
class BatchFinished:
    """A batch came to its end, or was interrupted."""

    report: BatchReport
    """What became of each file."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run would do and take; ``None`` where it cannot be known."""

    source: Path
    """The file or folder to read."""
    target: Path
    """The file or folder to write."""
    size: Size
    """Size of the source's frames, or of the first of its pictures, in source pixels."""
    target_size: Size
    """Size of the target's frames, or of the first of its pictures, in target pixels."""
    frames: int | None
    """How many to expect in the target."""
    frame_rate: str | None = None
    """The target's frames a second, as a number or a fraction; ``None`` for pictures."""
    model: str = ""
    """The upscaler's name."""
    device: str = ""
    """Device and precision, such as "cpu fp32"."""
    encoder: str = ""
    """The encoder with its quality and pixel format; empty for pictures."""
    deinterlace: bool = False
    """Whether fields are sorted into frames: deinterlaced, or taken back from telecine."""
    kept: tuple[str, ...] = ()
    """The source's other streams that the target will hold as they are, for people."""
    converted: tuple[str, ...] = ()
    """Streams that it will hold in another form, for people."""
    dropped: tuple[str, ...] = ()
    """What of the source it will not hold, for people."""
    notes: tuple[str, ...] = ()
    """What else a person should know before the run."""
    measured_frames: int = 0
    """Frames that the trial run made; 0 for pictures, which are not measured."""
    stage_seconds: dict[str, float] | None = None
    """For each stage (decode, enlarge, encode) its measured seconds a frame."""
    frames_per_second: float | None = None
    """Speed of a long run, which follows from those seconds."""
    expected_seconds: float | None = None
    """Time for all frames, without joining and verifying."""
    target_bytes: int | None = None
    """Size of the target: the encoded frames, and the source's size for what is carried."""
    disk_bytes: int | None = None
    """The most that the run needs at once where the target will lie, beyond what an earlier run has
    there."""
    disk_free_bytes: int | None = None
    """What is free now where the target will lie."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A dry run's answer."""

    forecast: Forecast
    """What the file's run would do and take."""


@dataclass(frozen=True, slots=True)
class OfFile:
    """What is told of one of several files that are made at once."""

    file: int
    """Which of the batch, counted from 1."""
    event: Event
    """What happened to it."""


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

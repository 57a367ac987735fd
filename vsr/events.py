"""What a running job tells: frozen values sent to one function. The library itself never prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vsr.geometry import Size


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
    """``frames`` more were encoded; ``bottleneck`` is the stage that the others wait for."""

    frames: int
    bottleneck: str


@dataclass(frozen=True, slots=True)
class BackedOff:
    """Memory ran out or a number was not finite; the same frames are redone this way."""

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


@dataclass(frozen=True, slots=True)
class Warned:
    """Something a person should know; the job goes on."""

    message: str


@dataclass(frozen=True, slots=True)
class Saved:
    """A file was verified and is now at its place."""

    path: Path


@dataclass(frozen=True, slots=True)
class Report:
    """What a finished job did.

    ``waiting`` maps a stage (decode, enlarge, encode) to the share of the run's time, 0..1, that it
    spent waiting for the others: the stage that waits least is the bottleneck. ``damaged`` counts
    packets that the decoder could not read and frames that it concealed.
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


@dataclass(frozen=True, slots=True)
class Finished:
    """The job is done."""

    report: Report


@dataclass(frozen=True, slots=True)
class Comparing:
    """A comparison begins. ``frames`` is an estimate; ``reference`` is ``None`` without one."""

    reference: str | None
    candidates: tuple[str, ...]
    frames: int | None
    size: Size


Event = Started | Comparing | Advanced | BackedOff | SegmentDone | Warned | Saved | Finished
EventSink = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The event sink that keeps silent."""
    del event

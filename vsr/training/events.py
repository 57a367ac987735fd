"""What a training tells: frozen values sent to one function. The library itself never prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vsr.events import Saved, Warned


@dataclass(frozen=True, slots=True)
class TrainingStarted:
    """The first step is about to be taken; ``step`` is above 0 for a resumed run."""

    out: Path
    recipe: str
    network: str
    step: int
    steps: int | None
    minutes: float | None
    pictures: int
    held_out: int
    parameters: int
    device: str


@dataclass(frozen=True, slots=True)
class Stepped:
    """Steps were taken. ``losses`` are means since the last of these events, by name.

    ``done`` is the share of the run, 0..1; ``waiting`` the share of time waited for data.
    """

    step: int
    done: float
    losses: Mapping[str, float]
    rate: float
    steps_per_second: float
    waiting: float


@dataclass(frozen=True, slots=True)
class Validated:
    """Held-out pictures were enlarged; ``best`` if no earlier weights were better."""

    step: int
    metrics: Mapping[str, float]
    best: bool
    sheet: Path


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a training did. ``finished`` is false when it was stopped, to be resumed later.

    ``metrics`` are those of the best weights, ``start`` those before the first step. ``left_out``
    names pictures that were not used, and why. ``waiting`` is the share of time waited for data.
    """

    out: Path
    best: Path
    last: Path
    recipe: str
    step: int
    seconds: float
    finished: bool
    metrics: Mapping[str, float]
    start: Mapping[str, float]
    pictures: int
    steps_per_second: float
    waiting: float
    skipped_steps: int = 0
    left_out: tuple[str, ...] = field(default=())


TrainingEvent = TrainingStarted | Stepped | Validated | Saved | Warned
TrainingSink = Callable[[TrainingEvent], None]


def ignore(event: TrainingEvent) -> None:
    """The event sink that keeps silent."""
    del event

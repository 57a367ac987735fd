"""What a training tells: frozen values sent to one function. The library itself never prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vsr.events import Saved, Warned


@dataclass(frozen=True, slots=True)
class TrainingStarted:
    """The first step is about to be taken."""

    out: Path
    """The run's folder."""
    recipe: str
    """The recipe's name."""
    network: str
    """The network's name."""
    step: int
    """Steps taken before; above 0 for a resumed run."""
    steps: int | None
    """The run's length; ``None`` where the clock alone ends it."""
    minutes: float | None
    """The run's budget of time; ``None`` where steps alone end it."""
    pictures: int
    """Pictures to learn from; films do not count."""
    held_out: int
    """Pairs to measure on; of each film two, clean and damaged."""
    parameters: int
    """Numbers that are learnt, of all branches."""
    device: str
    """Device and torch's name of the type, such as "cuda:0 bfloat16"."""


@dataclass(frozen=True, slots=True)
class Stepped:
    """Steps were taken."""

    step: int
    """Steps taken until now, by earlier processes too."""
    done: float
    """Share of the run, 0..1, when the last of them began."""
    losses: Mapping[str, float]
    """Means over the steps since the log's last line, by name."""
    rate: float
    """The generator's learning rate, before the guard's factor."""
    steps_per_second: float
    """Pace since the last of these events."""
    waiting: float
    """Share of this process's time, 0..1, in which steps waited for data."""


@dataclass(frozen=True, slots=True)
class Validated:
    """Held-out pictures were enlarged and measured."""

    step: int
    """Steps taken until then."""
    metrics: Mapping[str, float]
    """Means over all pairs, by name: "psnr" in dB, "ssim", "flicker" and "perceptual"."""
    best: bool
    """Whether no earlier weights were better by the recipe's metric."""
    sheet: Path
    """The picture file that shows some of them side by side."""


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a training did."""

    out: Path
    """The run's folder."""
    best: Path
    """The file of the best weights by the recipe's metric."""
    last: Path
    """The file of the weights of the latest validation."""
    recipe: str
    """The recipe's name."""
    step: int
    """Steps taken, by earlier processes too."""
    seconds: float
    """Seconds trained, by earlier processes too."""
    finished: bool
    """False when it was stopped, to be resumed later."""
    metrics: Mapping[str, float]
    """Metrics of the best weights, by name."""
    start: Mapping[str, float]
    """Metrics before the first step, by name."""
    pictures: int
    """Pictures that were learnt from; films do not count."""
    steps_per_second: float
    """Pace over all the time of this process, validations included; 0 where the run had ended
    before."""
    waiting: float
    """Share of that time, 0..1, in which steps waited for data."""
    skipped_steps: int = 0
    """Steps that were not taken because a loss or gradient was not finite."""
    left_out: tuple[str, ...] = field(default=())
    """Files that were not used, each with its reason."""


TrainingEvent = TrainingStarted | Stepped | Validated | Saved | Warned
TrainingSink = Callable[[TrainingEvent], None]


def ignore(event: TrainingEvent) -> None:
    """The event sink that keeps silent."""
    del event

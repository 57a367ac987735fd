"""What a comparison found: frozen values, from which tables and reports are made."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vsr.geometry import Size
from vsr.metrics.catalog import COLUMNS
from vsr.models.arch import Upscaler


@dataclass(frozen=True, slots=True)
class Summary:
    """One metric of one film."""

    mean: float
    """Mean over the frames that it was measured of."""
    worst: float
    """The worst value: the highest of a metric for which less is better, else the lowest."""
    frame: int
    """The frame that has it, by its place in the comparison."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One film's numbers."""

    name: str
    """A short name, which no other film of the comparison has."""
    path: str
    """Where it is from: a candidate's path, a few words about a model, or the name again."""
    values: Mapping[str, Sequence[float]]
    """For each metric, one value for each frame; NaN where it cannot be told."""
    seconds: float | None = None
    """What a model took for a frame; ``None`` for a film that was there."""
    shift: int = 0
    """By how many frames the film is late; below 0, early."""

    def summary(self, metric: str) -> Summary | None:
        """Mean and worst of one metric; ``None`` where it was not measured."""
        values = self.values.get(metric, ())
        known = [place for place, value in enumerate(values) if not math.isnan(value)]
        if not known:
            return None
        choose = max if COLUMNS[metric].best == "low" else min
        worst = choose(known, key=lambda place: values[place])
        return Summary(math.fsum(values[p] for p in known) / len(known), values[worst], worst)


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A frame that is kept for a report."""

    place: int
    """Its place in the comparison, from 0."""
    score: float
    """The lower, the worse: PSNR of the worst film where it is known; without a reference, how
    alike films are."""
    pictures: tuple[bytes, ...]
    """A png of 8 bits for each of :attr:`Comparison.films`."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Films frame by frame."""

    reference: Track | None
    """The reference with its own flicker and sharpness; ``None`` without one."""
    tracks: tuple[Track, ...]
    """The films that were compared."""
    size: Size
    """Size of the first pictures compared, in pixels."""
    times: Sequence[float]
    """When each frame is shown, in seconds from the first one; of pictures, and of frames looked at
    during a run, their numbers."""
    names: tuple[str, ...] = ()
    """Pictures' file names, or what else frames are called; empty for videos."""
    shown: tuple[Shown, ...] = ()
    """Frames kept for a report, the worst first."""
    notes: tuple[str, ...] = ()
    """What a person should know."""
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """What was asked for, in words."""
    seconds: float = 0.0
    """Wall time of the comparison."""

    @property
    def frames(self) -> int:
        """How many were compared."""
        return len(self.times)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The columns that any film has a number in."""
        return tuple(
            name
            for name in COLUMNS
            if any(track.summary(name) is not None for track in self.tracks)
        )

    @property
    def films(self) -> tuple[str, ...]:
        """The names of what :attr:`shown` frames hold, in that order."""
        first = () if self.reference is None else (self.reference.name,)
        return (*first, *(track.name for track in self.tracks))

    def best(self, metric: str) -> str | None:
        """The film that does best by a metric.

        ``None`` where the first two are equal, where there is one, and by a metric that ranks none.
        """
        found = [(s.mean, t.name) for t in self.tracks if (s := t.summary(metric)) is not None]
        if len(found) < 2 or not COLUMNS[metric].ranked:
            return None
        found.sort(reverse=COLUMNS[metric].best == "high")
        return found[0][1] if found[0][0] != found[1][0] else None


class Collector:
    """Numbers of many frames as they come; one small array for each metric of each film."""

    def __init__(self) -> None:
        self.values: dict[str, array[float]] = {}
        self._frames = 0

    def add(self, numbers: Mapping[str, float]) -> None:
        """One more frame's numbers; what is missing becomes NaN."""
        for name in numbers.keys() - self.values.keys():
            self.values[name] = array("d", [math.nan] * self._frames)
        for name, values in self.values.items():
            values.append(numbers.get(name, math.nan))
        self._frames += 1


def labels(paths: list[Path]) -> list[str]:
    """A short name for each path: the file's own, with folders before it where two are the same.

    A path that comes again is numbered.
    """
    depth = max(len(path.parts) for path in paths)
    different = len(set(paths))
    for parts in range(1, depth + 1):
        names = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == different:
            break
    else:
        names = [str(path) for path in paths]
    seen = [names[:place].count(name) for place, name in enumerate(names)]
    return [
        f"{name} ({times + 1})" if times else name for name, times in zip(names, seen, strict=True)
    ]


def labelled(models: Sequence[str], load: Callable[[str], Upscaler]) -> dict[str, Upscaler]:
    """Models by a short name each; files of one name have their folders before it."""
    loaded = {model: load(model) for model in models}
    paths = [
        Path(
            f"auto ({upscaler.name})"
            if model == "auto"
            else model.removesuffix(".safetensors").removesuffix(".pth")
        )
        for model, upscaler in loaded.items()
    ]
    return dict(zip(labels(paths), loaded.values(), strict=True))

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
    """One metric of one film: its mean, its worst value, and the frame that has it."""

    mean: float
    worst: float
    frame: int


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One film's numbers. ``values`` has one for each frame, NaN where it cannot be told.

    ``seconds`` is what a model took for a frame, ``shift`` by how many frames the film is late.
    """

    name: str
    path: str
    values: Mapping[str, Sequence[float]]
    seconds: float | None = None
    shift: int = 0

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
    """A frame kept for a report: ``place`` in the comparison, lossless png files, one a film.

    ``score`` orders them, the worst first: the lower, the worse.
    """

    place: int
    score: float
    pictures: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Films frame by frame. ``reference`` holds its own flicker and sharpness, or is ``None``.

    ``times`` are seconds from the first frame and ``names`` the pictures' file names, empty for
    videos. ``shown`` frames hold a picture of the reference first, where there is one, and then one
    of each of ``tracks``. ``notes`` is what a person should know, ``settings`` what was asked for.
    """

    reference: Track | None
    tracks: tuple[Track, ...]
    size: Size
    times: Sequence[float]
    names: tuple[str, ...] = ()
    shown: tuple[Shown, ...] = ()
    notes: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    seconds: float = 0.0

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
        """The film that does best by a metric; ``None`` where two are equal, or there is one."""
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

"""``log.jsonl``: a line for each report of a run, of averaged losses; and its plot."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np
import torch
from torch import Tensor

from vsr.errors import DataError, MediaError, MissingExtra, WeightsError
from vsr.event_rows import plain
from vsr.media.atomic import put
from vsr.media.extract.sheet import Pixels, write_png
from vsr.training import checkpoint
from vsr.training.events import Stepped
from vsr.training.ranks import Ranks, numbers
from vsr.training.task import Losses

NAME = "log.jsonl"
PLOT = "loss.png"
Line = Mapping[str, Any]
PANEL, MARGIN = (720, 260), 56
_COLOURS = ((90, 160, 255), (255, 150, 80), (120, 210, 120), (230, 110, 180), (220, 210, 90))


class TrainingLog:
    """Appends lines, to a file and to TensorBoard if asked; each is on disk when written.

    Lines beyond ``step`` are removed when it opens: they are of a run that was killed after its
    last checkpoint, and will be written again. Where it does not ``write``, everything is a no-op.
    """

    def __init__(
        self, folder: Path, *, step: int, tensorboard: Path | None = None, writes: bool = True
    ) -> None:
        self._path = folder / NAME
        self._folder = tensorboard or folder  # of what the board writes
        self._file: TextIO | None = None
        self._board: Any = None
        self.strange = 0  # whole lines that no training wrote; they are left out
        if not writes:
            return
        if tensorboard is not None:
            with _writing(tensorboard):
                self._board = _board(tensorboard)
        lines, self.strange = _scan(self._path)
        kept = [line for line in lines if line["step"] <= step] if step else []
        with _writing(self._path):
            text = "".join(as_json(line) + "\n" for line in kept)
            put(self._path, text.encode(), synced=False)
            self._file = self._path.open("a", encoding="utf-8")

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, *reason: object) -> None:
        del reason
        for path, opened in ((self._path, self._file), (self._folder, self._board)):
            try:
                if opened is not None:
                    opened.close()
            except OSError as error:
                if kind is None:  # else a write has failed before, and that is told
                    raise checkpoint.unwritten(path, error) from error

    def write(self, line: Line) -> None:
        """One line; numbers in it go to TensorBoard under their names."""
        if self._file is None:
            return
        with _writing(self._path):
            self._file.write(as_json(line) + "\n")
            self._file.flush()
        if self._board is None:
            return
        with _writing(self._folder):
            for group, values in line.items():
                if isinstance(values, Mapping):
                    for name, value in values.items():  # pyright: ignore[reportUnknownVariableType]  # JSON
                        self._board.add_scalar(f"{group}/{name}", value, line["step"])

    def picture(self, step: int, pixels: Pixels) -> None:
        """A contact sheet, for TensorBoard alone."""
        if self._board is not None:
            with _writing(self._folder):
                self._board.add_image("sheet", pixels, step, dataformats="HWC")


@contextmanager
def _writing(path: Path) -> Generator[None]:
    """Failures to write are :class:`DataError`."""
    try:
        yield
    except OSError as error:
        raise checkpoint.unwritten(path, error) from error


def read(folder: Path) -> list[Line]:
    """The whole lines of a log; a last one that was cut off is left out. Raises `DataError`."""
    return _scan(folder / NAME)[0]


def _scan(path: Path) -> tuple[list[Line], int]:
    """A log's lines, and how many others it has, but for a last one that was cut off."""
    try:
        texts = path.read_bytes().split(b"\n") if path.is_file() else [b""]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    lines = [_parsed(text) for text in texts]
    return [line for line in lines if line is not None], lines[:-1].count(None)


def _parsed(text: bytes) -> Line | None:
    """A line as trainings write it; ``None`` for any other."""
    try:
        line: Any = json.loads(text)
        for group in ("losses", "metrics"):
            for value in line.get(group, {}).values():
                _number(value)
        return line if type(line["step"]) is int else None
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return None


def as_json(line: Line) -> str:
    """One line of JSON, which knows no infinity (of equal pictures' PSNR): those are null."""
    return json.dumps(plain(line), allow_nan=False)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # an optional extra
    except ImportError as error:
        raise MissingExtra(
            "--tensorboard needs the package tensorboard, which is not installed",
            hint="pip install tensorboard, or read log.jsonl and loss.png, which hold the same",
        ) from error
    return SummaryWriter(str(folder))


def plot(folder: Path) -> Path:
    """Draw ``loss.png``: the losses above, on a logarithmic scale, and the metrics below."""
    lines = read(folder)
    losses = {name: _smooth(curve) for name, curve in _series(lines, "losses").items()}
    metrics = _series(lines, "metrics")
    panels = [_panel("mean losses, by step, logarithmic", losses, logarithmic=True)]
    panels += [_panel(f"{name}, by step", {name: series}) for name, series in metrics.items()]
    path = folder / PLOT
    with as_data_error():
        write_png(path, np.vstack(panels))
    return path


@contextmanager
def as_data_error() -> Generator[None]:
    """Whatever file of a training cannot be written, it is a :class:`DataError`."""
    try:
        yield
    except (MediaError, WeightsError) as error:
        raise DataError(error.message, hint=error.hint) from error


def _series(lines: list[Line], group: str) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        for name, value in line.get(group, {}).items():
            if math.isfinite(number := _number(value)):
                found.setdefault(name, []).append((line["step"], number))
    return found


def _smooth(curve: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Without a jump at the end: a point is a mean over the steps behind the one before.

    The last one's may be a few, where a run ends between reports: it is taken together with the
    point before, each by its number of steps.
    """
    if len(curve) < 2:
        return curve
    (before, value), (last, final) = curve[-2:]
    usual, few = before - (curve[-3][0] if len(curve) > 2 else 0), last - before
    if few * 2 > usual:
        return curve
    return [*curve[:-2], (last, (value * usual + final * few) / max(1, usual + few))]


def _panel(
    title: str, curves: Mapping[str, list[tuple[int, float]]], *, logarithmic: bool = False
) -> Pixels:
    scale: Callable[[float], float] = math.log10 if logarithmic else float
    width, height = PANEL
    paper = np.full((height, width, 3), 255, dtype=np.uint8)
    points = {
        name: [(step, scale(value)) for step, value in curve if value > 0 or not logarithmic]
        for name, curve in curves.items()
    }
    everything = [point for curve in points.values() for point in curve]
    _words(paper, title, (MARGIN, 18), (40, 40, 40))
    if not everything:
        return paper
    last = max(1, *(step for step, _ in everything))
    low, high = (pick(value for _, value in everything) for pick in (min, max))
    span = high - low or 1.0

    def place(step: int, value: float) -> tuple[int, int]:
        x = MARGIN + step / last * (width - MARGIN - 16)
        y = height - 26 - (value - low) / span * (height - 60)
        return round(x), round(y)

    for share in (0.0, 0.5, 1.0):
        value = low + share * span
        left = place(0, value)
        cv2.line(paper, left, (width - 16, left[1]), (225, 225, 225), 1)
        shown = 10**value if logarithmic else value
        _words(paper, f"{shown:.3g}", (4, left[1] + 4), (90, 90, 90))
        _words(
            paper,
            f"{round(last * share)}",
            (place(round(last * share * 0.94), low)[0], height - 8),
            (90, 90, 90),
        )
    for index, (name, curve) in enumerate(points.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        line = np.array([place(*point) for point in curve], dtype=np.int32).reshape(-1, 1, 2)
        cv2.polylines(paper, [line], False, colour, 1, cv2.LINE_AA)
        if len(points) > 1:
            _words(paper, name, (MARGIN + 240 + 95 * index, 18), colour)
    return paper


def _words(paper: Pixels, text: str, place: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(paper, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1, cv2.LINE_AA)


class LossAverages:
    """Adds up on the device; ``means`` waits for it, so it is asked seldom."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._begun = time.monotonic()
        self._paced = (self._begun, 0)
        self.steps = 0

    def add(self, losses: Losses) -> None:
        """One step's."""
        for name, loss in losses.items():
            value = loss.float()
            self._counts[name] = self._counts.get(name, 0) + 1
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self.steps += 1

    def means(self) -> dict[str, float]:
        """By name, over all processes: every process must ask at the same step."""
        if not self._counts:
            return {}
        stacked = self._ranks.mean(torch.stack(list(self._sums.values())))
        values = numbers(list(stacked))
        counted = zip(self._sums.items(), values, strict=True)
        return {name: value / self._counts[name] for (name, _), value in counted}

    def line(self, step: int, seconds: float, rate: float) -> dict[str, object]:
        """For the journal; what comes after begins anew."""
        losses = {name: round(value, 7) for name, value in self.means().items()}
        self._sums, self._counts = {}, {}
        return {"step": step, "seconds": round(seconds, 2), "lr": rate, "losses": losses}

    def event(self, step: int, done: float, rate: float, waited_seconds: float) -> Stepped:
        """For people: the pace since the last time, and the share of all time waited for data."""
        now = time.monotonic()
        before, steps = self._paced
        self._paced = now, self.steps
        # No collective here: each process tells at a time of its own.
        sums = {name: float(value) / self._counts[name] for name, value in self._sums.items()}
        return Stepped(
            step=step,
            done=done,
            losses=sums,
            rate=rate,
            steps_per_second=(self.steps - steps) / max(1e-9, now - before),
            waiting=waited_seconds / max(1e-9, now - self._begun),
        )

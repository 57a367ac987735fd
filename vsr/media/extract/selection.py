"""Select frames of a film that are worth learning from, by measurements of each frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vsr.errors import OptionsError
from vsr.option_fields import not_negative
from vsr.options import STALL_SECONDS

THUMB = (64, 36)
PRINT = 16
Plane = NDArray[np.float32]

CUT, CUT_RATIO = 0.08, 2.5
"""A scene ends where two thumbnails differ by this share of full scale, and this many times more
than frames around them do: a fast pan differs much, but all the time."""
DARK, FLAT = 0.07, 0.02
BLURRED = 0.004
BLOCKY = 1.6
TWINS = 0.02


@dataclass(frozen=True, slots=True)
class ExtractOptions:
    """Everything that ``vsr extract`` can be told."""

    videos: tuple[Path, ...]
    """The files to take pictures from, at least one."""
    out: Path
    """The folder that gets the pictures, their index and a contact sheet."""
    every: float | None = None
    """Take a frame for so many seconds of a scene; ``None``: one for the whole scene."""
    most: int | None = None
    """Frames to take from all videos together, at most, before crops and bursts make several
    pictures of each; ``None``: all that are good."""
    size: int | None = None
    """Side in pixels of square crops, at least 32; ``None``: whole frames are written."""
    crops: int = 4
    """Crops of one frame, at most, where there is most detail; of no effect without ``size``."""
    burst: int = 1
    """How many consecutive frames of a scene are written at each place."""
    overwrite: bool = False
    """Whether :func:`vsr.jobs.extraction.extract` replaces an earlier extraction."""
    stall: float = STALL_SECONDS
    """Seconds that one read of a video may take before it is an error; 0: any time."""

    def __post_init__(self) -> None:
        if not self.videos:
            raise OptionsError("no video was given")
        if self.every is not None and not 0 < self.every < float("inf"):
            raise OptionsError(f"every must be above 0 seconds, got {self.every:g}")
        for name, least in (("most", 1), ("size", 32), ("crops", 1), ("burst", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                shown = "max" if name == "most" else name
                raise OptionsError(f"{shown} must be at least {least}, got {value}")
        not_negative("stall", self.stall)


@dataclass(frozen=True, slots=True)
class ExtractReport:
    """What an extraction wrote, and what it left out."""

    out: Path
    """The folder with the pictures."""
    frames: int
    """Pictures written: each crop, and each frame of a burst, is one."""
    looked_at: int
    """Frames that were measured, of all videos."""
    scenes: int
    """Scenes found, of all videos."""
    left: dict[str, int]
    """How many parts of scenes gave no picture, by reason."""
    sheet: Path
    """The contact sheet, a picture of the first pictures."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameMeasurements:
    """What was seen of one frame."""

    pts: int
    """Its presentation time, in units of the clips' time base."""
    seconds: float
    """The same in seconds, by the file's own clock, which may not begin at 0."""
    brightness: float
    """Mean of luma, 0..1."""
    contrast: float
    """Standard deviation of luma, whose full scale is 1."""
    sharpness: float
    """Variance of luma's Laplacian over that of luma: what of its contrast is fine detail."""
    blockiness: float
    """How much steeper luma is across the edges of 8x8 blocks than elsewhere; about 1 without
    blocks."""
    thumb: Plane
    """Luma at :data:`THUMB`'s size, (36, 64) float32, 0..1: to find scenes by."""
    print: Plane
    """Luma at 16x16, (16, 16) float32, 0..1: to find frames by that are like others."""


@dataclass(frozen=True, slots=True, eq=False)
class SceneFrame:
    """The best frame of a scene, or of a part of one."""

    frame: FrameMeasurements
    """What was measured of it."""
    scene: int
    """The number of its scene in its video, from 0."""
    left: str = ""
    """Why it is left out, for people; empty where it is taken."""
    following: tuple[int, ...] = field(default=())
    """Presentation times of the rest of its burst: frames after it of the same scene."""


def measure_frame(luma: Plane, pts: int, seconds: float) -> FrameMeasurements:
    """Measure one frame from its luma (h, w), 0..1."""
    thumb = np.asarray(cv2.resize(luma, THUMB, interpolation=cv2.INTER_AREA), dtype=np.float32)
    small = cv2.resize(luma, (PRINT, PRINT), interpolation=cv2.INTER_AREA)
    laplacian = np.asarray(cv2.Laplacian(luma, cv2.CV_32F, ksize=1))
    variance = float(luma.var())
    return FrameMeasurements(
        pts=pts,
        seconds=seconds,
        brightness=float(luma.mean()),
        contrast=variance**0.5,
        sharpness=float(laplacian.var()) / (variance + 1e-4),
        blockiness=blockiness(luma),
        thumb=thumb,
        print=np.asarray(small, dtype=np.float32),
    )


def blockiness(luma: Plane) -> float:
    """Mean step across columns and rows that are multiples of 8 over that across the others."""
    return max(block_steps(luma))


def block_steps(luma: Plane) -> tuple[float, float]:
    """:func:`blockiness` of rows and of columns."""
    ratios: list[float] = []
    for axis in (0, 1):
        steps = np.abs(np.diff(luma, axis=axis)).mean(axis=1 - axis)  # one for each pair of lines
        edge = np.arange(1, len(steps) + 1) % 8 == 0
        inside, across = float(steps[~edge].mean()), float(steps[edge].mean()) if edge.any() else 0
        ratios.append((across + 1e-4) / (inside + 1e-4))
    return ratios[0], ratios[1]


def scenes(measured: Sequence[FrameMeasurements]) -> list[list[FrameMeasurements]]:
    """Consecutive frames cut into scenes by change of content."""
    changes = np.array([float(np.abs(a.thumb - b.thumb).mean()) for a, b in pairwise(measured)])
    found: list[list[FrameMeasurements]] = [[]]
    for number, item in enumerate(measured):
        if number and found[-1]:
            change = changes[number - 1]
            around = np.delete(changes[max(0, number - 6) : number + 5], min(5, number - 1))
            usual = float(np.median(around)) if len(around) else 0.0
            if change > CUT and change > CUT_RATIO * usual:
                found.append([])
        found[-1].append(item)
    return [scene for scene in found if scene]


def choose(
    measured: Sequence[FrameMeasurements], *, every: float | None, burst: int = 1
) -> list[SceneFrame]:
    """The best frame of every scene, or of every so many seconds of it, each with a verdict."""
    chosen: list[SceneFrame] = []
    taken: list[FrameMeasurements] = []
    for number, scene in enumerate(scenes(measured)):
        for part in _parts(scene, every):
            choice = _best(part, scene, number, burst)
            twin = next((t for t in taken if _distance(t, choice.frame) < TWINS), None)
            if not choice.left and twin is not None:
                choice = replace(choice, left=f"like the frame at {twin.seconds:.2f} s")
            if not choice.left:
                taken.append(choice.frame)
            chosen.append(choice)
    return chosen


def spread(chosen: Sequence[SceneFrame], most: int | None) -> list[SceneFrame]:
    """Keep at most ``most`` of the chosen ones, spread evenly; the others are marked as left."""
    taken = [number for number, choice in enumerate(chosen) if not choice.left]
    if most is None or len(taken) <= most:
        return list(chosen)
    step = (len(taken) - 1) / max(1, most - 1)
    kept = {taken[round(number * step)] for number in range(most)}
    return [
        replace(choice, left="beyond the number asked for")
        if not choice.left and number not in kept
        else choice
        for number, choice in enumerate(chosen)
    ]


def crop_places(luma: Plane, side: int, most: int) -> list[tuple[int, int]]:
    """Left upper corners (y, x) of up to ``most`` squares that do not overlap, finest detail first.

    Squares with less than a quarter of the best one's detail are left out: skies teach nothing.
    """
    height, width = luma.shape
    detail = np.abs(np.asarray(cv2.Laplacian(luma, cv2.CV_32F, ksize=1)))
    rows, columns = height // side, width // side
    top, left = (height - rows * side) // 2, (width - columns * side) // 2
    found = [
        (float(detail[y : y + side, x : x + side].mean()), y, x)
        for y in range(top, top + rows * side, side)
        for x in range(left, left + columns * side, side)
    ]
    found.sort(key=lambda item: -item[0])
    return [(y, x) for amount, y, x in found[:most] if amount >= found[0][0] / 4]


def _parts(scene: list[FrameMeasurements], every: float | None) -> list[list[FrameMeasurements]]:
    if every is None:
        return [scene]
    begun = scene[0].seconds
    parts: dict[int, list[FrameMeasurements]] = {}
    for item in scene:
        parts.setdefault(int((item.seconds - begun) / every), []).append(item)
    return list(parts.values())


def _best(
    part: list[FrameMeasurements], scene: list[FrameMeasurements], number: int, burst: int
) -> SceneFrame:
    """The sharpest frame that can be used and has company enough; else the sharpest, and why."""
    place = {item.pts: index for index, item in enumerate(scene)}
    roomy = [item for item in part if place[item.pts] + burst <= len(scene)]
    good = [item for item in roomy if not _fault(item)]
    best = max(good or roomy or part, key=lambda item: item.sharpness)
    after = scene[place[best.pts] + 1 : place[best.pts] + burst]
    left = _fault(best) or ("" if roomy else "its scene is too short")
    return SceneFrame(best, number, left, tuple(item.pts for item in after))


def _fault(item: FrameMeasurements) -> str:
    if item.brightness < DARK and item.contrast < 2 * FLAT:
        return "dark"
    if item.contrast < FLAT:
        return "flat"
    if item.blockiness > BLOCKY:
        return "compressed"
    return "blurred" if item.sharpness < BLURRED else ""


def _distance(first: FrameMeasurements, second: FrameMeasurements) -> float:
    return float(np.abs(first.print - second.print).mean())

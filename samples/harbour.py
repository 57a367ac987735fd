"""Compose the `harbour` clip: a pan along a quay. Frames come out; nothing is encoded here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from boat import BOAT_WIDTH, KEEL, boat, foreground
from canvas import SUPER, Canvas, Layer, Pixels, shift, warp
from town import WATERLINE, hills, sky, town
from water import HORIZON, Sea

Move: TypeAlias = npt.NDArray[np.float32]  # (2, 3), fine pixels

WIDTH, HEIGHT = 1280, 720
MOORING = 538.0  # the row where the boat floats
QUAY_STEP, NEAR_STEP = 1.0, 2.0  # finished pixels per frame that the quay and the railing move


@dataclass(frozen=True)
class Stage:
    """What the camera pans over, from back to front."""

    sky: Pixels
    hills: Layer
    town: Layer
    sea: Sea
    boat: Layer
    near: Layer


def frames(count: int, rate: int) -> Iterator[Pixels]:
    """Give `count` pictures of twice the finished size, (1440, 2560, 3)."""
    near = foreground(WIDTH + NEAR_STEP * count)
    stage = Stage(sky(), hills(), town(), Sea(WIDTH, HEIGHT, WATERLINE), boat(), near)
    # the camera turns (all rows move alike) and walks (near rows move more)
    travel = (NEAR_STEP - QUAY_STEP) / (1 - _nearness(WATERLINE))
    turn = NEAR_STEP - travel
    for number in range(count):
        yield _frame(stage, number / rate, turn=number * turn, travel=number * travel)


def _frame(stage: Stage, seconds: float, *, turn: float, travel: float) -> Pixels:
    sheet = np.zeros((round(WATERLINE * SUPER), WIDTH * SUPER, 3), np.uint8)
    scene = warp(stage.sky, shift(-turn - 2.0 * seconds, 0), sheet, outside=255)
    scene = _gulls(seconds, turn).over(scene, shift(0))
    scene = stage.hills.over(scene, shift(-turn - 0.02 * travel))
    scene = stage.town.over(scene, shift(-turn - travel * _nearness(WATERLINE)))
    rows = HEIGHT * SUPER - scene.shape[0]
    mirrored = np.ascontiguousarray(scene[::-1][:rows])
    roll = 0.5 * np.sin(2.1 * seconds + 0.4)
    x = 935 - turn - travel * _nearness(MOORING)
    afloat = _rock(float(roll), x, MOORING + 1.2 * float(np.sin(1.7 * seconds)))
    # a point at row y is reflected at 2 * MOORING - y; the reflection's sheet starts at WATERLINE
    under = np.diag([1.0, -1.0]).astype(np.float32) @ afloat
    under[1, 2] += (2 * MOORING - WATERLINE) * SUPER
    mirrored = _clip(stage.boat, mirrored, under, (MOORING - WATERLINE) * SUPER, below=True)
    water = stage.sea.frame(mirrored, 0.7 * seconds, turn=turn, travel=travel)
    picture = np.concatenate([scene, water])
    picture = _clip(stage.boat, picture, afloat, MOORING * SUPER, below=False)
    return stage.near.over(picture, shift(-turn - travel))


def _clip(vessel: Layer, picture: Pixels, move: Move, line: float, *, below: bool) -> Pixels:
    """Lay the boat over the picture on one side of its waterline only."""
    whole = vessel.over(picture, move)
    cut = round(line)
    if below:
        return np.concatenate([picture[:cut], whole[cut:]])
    return np.concatenate([whole[:cut], picture[cut:]])


def _nearness(row: float) -> float:
    return (row - HORIZON) / (HEIGHT - HORIZON)


def _rock(degrees: float, x: float, y: float) -> Move:
    """Turn the boat about the middle of its waterline and put that point at (x, y)."""
    pivot = (BOAT_WIDTH / 2 * SUPER, KEEL * SUPER)
    move = np.array(cv2.getRotationMatrix2D(pivot, degrees, 1.0), np.float32)
    move[:, 2] += (x * SUPER - pivot[0], y * SUPER - pivot[1])
    return move


def _gulls(seconds: float, turn: float) -> Layer:
    canvas = Canvas(WIDTH, WATERLINE)
    for x, y, size, speed, beat in (
        (520.0, 96.0, 13.0, 34.0, 0.0),
        (575.0, 122.0, 10.0, 30.0, 1.7),
        (470.0, 142.0, 8.0, 26.0, 3.1),
        (860.0, 70.0, 7.0, -22.0, 0.9),
    ):
        flap = np.sin(9 * seconds + beat) * 0.55 + 0.2
        at, level = x - turn + speed * seconds, y - 6 * seconds
        tip, elbow = size * float(flap), size * 0.35 * float(flap) + size * 0.12
        wing = [
            (at - size, level - tip),
            (at - size * 0.5, level - elbow),
            (at, level),
            (at + size * 0.5, level - elbow),
            (at + size, level - tip),
        ]
        canvas.line(wing, (84, 88, 96), 1)
        canvas.ellipse(at, level + 0.6, size * 0.16, size * 0.12, (240, 238, 232))
    return canvas.layer()

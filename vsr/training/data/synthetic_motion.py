"""Motion made from pictures: films of a camera that moves over one, with another passing before it.

Smooth trajectories of shift, rotation and scale with some shake, in steps of parts of a pixel. The
second picture is seen through a soft shape that moves on its own: what it covers and uncovers
teaches a network to forget what is hidden.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from vsr.degrade.base import Frames, happens
from vsr.degrade.resize import bicubic
from vsr.media.read.rgb import Pixels
from vsr.training.data.patches import below

ROOM = 1.35
"""How much larger than the film a picture is, where it is large enough, to move over."""
FASTEST = 60.0  # pixels a frame
COVERED = 0.45  # share of films with a second layer
Path = Sequence[NDArray[np.float32]]
"""For each frame, (2, 3): from places in the film to places in the picture."""


def film(pictures: Sequence[Pixels], count: int, side: int, rng: Generator) -> Frames:
    """(count, side, side, 3) of one picture, or of two. Each must be ``side`` px wide and high."""
    frames = np.stack(_rendered(*_layer(pictures[0], count, side, rng), side))
    if len(pictures) < 2 or not happens(COVERED, rng):
        return frames
    picture, path = _layer(pictures[1], count, side, rng)
    above, shape = _rendered(picture, path, side), _shape(len(picture), rng)
    masks = [cv2.warpAffine(shape, move, (side, side), flags=_LINEAR) for move in path]
    for frame, over, mask in zip(frames, above, masks, strict=True):
        mixed = frame + (over - frame.astype(np.float32)) * mask[..., None]
        frame[:] = np.clip(np.rint(mixed), 0, 255)
    return frames


_LINEAR = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
_CUBIC = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP


def _layer(picture: Pixels, count: int, side: int, rng: Generator) -> tuple[Pixels, Path]:
    """A square part of a picture, shrunk a little for more detail, and how it is gone over."""
    smaller = min(picture.shape[:2])
    factor = rng.uniform(1, min(1.6, smaller / side))
    wide = max(side, min(smaller, int(side * ROOM * factor)))
    top, left = (below(length - wide + 1, rng) for length in picture.shape[:2])
    part = picture[top : top + wide, left : left + wide]
    room = max(side, int(wide / factor))
    if room < wide:
        part = bicubic(part[None], room, room)[0]
    return part, _path(count, side, room, rng)


def _path(count: int, side: int, room: int, rng: Generator) -> Path:
    """Where the film lies in a picture of ``room`` px, frame by frame."""
    kind, angle = rng.random(), rng.uniform(0, 2 * np.pi)
    speed = 0.0 if kind < 0.1 else rng.exponential(6.0) if kind < 0.8 else rng.uniform(0, 40)
    velocity = min(speed, FASTEST) * np.array([np.cos(angle), np.sin(angle)])
    turn = float(rng.normal(0, math.radians(0.6))) if happens(0.4, rng) else 0.0
    zoom = 1 + float(rng.normal(0, 0.008)) if happens(0.4, rng) else 1.0
    shake = float(rng.exponential(0.8)) if happens(0.4, rng) else 0.0
    bend = float(rng.normal(0, 0.15))
    half = (count - 1) / 2
    middle = rng.uniform(-1, 1, 2) * (room - side) / 2 - velocity * half
    roll, scale = -turn * half, zoom**-half
    moves: list[NDArray[np.float32]] = []
    for _ in range(count):
        place = room / 2 + middle + rng.normal(0, 1, 2) * shake
        linear = scale * _rotation(roll)
        offset = place - linear @ np.full(2, side / 2)
        moves.append(np.hstack([linear, offset[:, None]]).astype(np.float32))
        middle, velocity = middle + velocity, _rotation(-bend) @ velocity
        roll, scale = roll + turn, scale * zoom
    return moves


def _rotation(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _rendered(picture: Pixels, path: Path, side: int) -> list[Pixels]:
    return [
        cv2.warpAffine(
            picture, move, (side, side), flags=_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        ).astype(np.uint8, copy=False)
        for move in path
    ]


def _shape(side: int, rng: Generator) -> NDArray[np.float32]:
    """A soft convex shape in (side, side), 0..1."""
    mask = np.zeros((side, side), np.float32)
    corners = (rng.uniform(0.15, 0.85, (int(rng.integers(3, 7)), 2)) * side).astype(np.int32)
    cv2.fillConvexPoly(mask, cv2.convexHull(corners), (1.0,))
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.5, 3))), np.float32)

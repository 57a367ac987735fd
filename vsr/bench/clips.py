"""Clips made for measuring: one that moves everywhere, and screens where little does."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from vsr.errors import OptionsError
from vsr.geometry import Size

RATE = 24
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "the",
    "lazy",
    "dog",
    "while",
    "nobody",
    "watches",
    "it",
    "at",
    "all",
]
Frame = np.ndarray  # (h, w, 3) uint8 RGB


def moving(size: Size, frames: int) -> Iterator[Frame]:
    """A camera that pans over a landscape, with the noise of its sensor: no pixel stays."""
    random = np.random.default_rng(4)
    tall, wide = size.height + 2 * frames, size.width + 4 * frames
    ground = np.full((tall, wide, 3), 128.0)
    for cell in (64, 32, 16, 8, 4, 2):  # each finer and fainter, as in nature
        fine = random.normal(0, cell**0.5 * 4, (tall // cell + 2, wide // cell + 2, 1))
        tint = random.normal(0, cell**0.5, (tall // cell + 2, wide // cell + 2, 3))
        ground += cv2.resize(fine + tint, (wide, tall), interpolation=cv2.INTER_CUBIC)
    for index in range(frames):
        x, y = 4 * index, 2 * index
        part = ground[y : y + size.height, x : x + size.width]
        yield (part + random.normal(0, 1.5, part.shape)).clip(0, 255).astype(np.uint8)


def terminal(size: Size, frames: int) -> Iterator[Frame]:
    """Somebody types: a letter every other frame, a cursor, a screen that scrolls when full."""
    letter, line = 7, 12
    columns, rows = size.width // letter - 2, size.height // line - 1
    text = " ".join(WORDS * (1 + (columns * rows + frames) // sum(map(len, WORDS))))
    for index in range(frames):
        typed = text[: index // 2 + columns * (rows - 2)]
        lines = [typed[start : start + columns] for start in range(0, len(typed), columns)]
        picture = np.full((size.height, size.width, 3), 24, np.uint8)
        for row, written in enumerate(lines[-rows:]):
            place = (letter, (row + 1) * line)
            _write(picture, written, place, 0.35, (210, 220, 210))
        yield picture


def slides(size: Size, frames: int) -> Iterator[Frame]:
    """A talk: a new slide every five seconds, and a pointer that wanders over it."""
    for index in range(frames):
        slide = index // (5 * RATE)
        picture = np.full((size.height, size.width, 3), 245, np.uint8)
        _write(picture, f"{slide + 1}. {WORDS[slide % len(WORDS)]}", (16, 28), 0.8, (20, 40, 90))
        for row in range(5):
            said = " ".join(WORDS[(slide + row) % 9 : (slide + row) % 9 + 6])
            _write(picture, said, (24, 56 + 22 * row), 0.4, (40, 40, 40))
        angle = index / 15
        x = int(size.width * (0.5 + 0.35 * np.cos(angle)))
        y = int(size.height * (0.5 + 0.35 * np.sin(1.3 * angle)))
        shape = np.array([(x, y), (x, y + 12), (x + 8, y + 9)], np.int32)
        cv2.fillPoly(picture, [shape], (0, 0, 0))
        yield picture


KINDS = {"moving": moving, "terminal": terminal, "slides": slides}


def generate(kind: str, path: Path, size: Size, frames: int) -> None:
    """Write a clip of one of :data:`KINDS`, as screen recorders and cameras do: H.264.

    Raises :class:`OptionsError` for another kind.
    """
    if kind not in KINDS:
        raise OptionsError(
            f"there is no file {kind}, and no clip of that kind is made here",
            hint=f"a video, or one of {', '.join(KINDS)}",
        )
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", RATE, {"crf": "16", "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
        stream.time_base = Fraction(1, RATE)
        for picture in KINDS[kind](size, frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def found_or_made(clip: str, folder: Path, size: Size, frames: int) -> Path:
    """The file of that name, or a clip of that kind made in ``folder``."""
    path = Path(clip)
    if not path.exists():
        path = folder / f"{clip}.mkv"
        generate(clip, path, size, frames)
    return path


def _write(
    picture: Frame, text: str, place: tuple[int, int], height: float, ink: tuple[int, int, int]
) -> None:
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, height, ink, 1, cv2.LINE_AA)

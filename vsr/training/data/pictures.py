"""Training pictures on disk: which there are, how large, and decoding each no more than needed."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vsr.errors import DataError
from vsr.geometry import Size
from vsr.media.read.picture_header import claimed_size

log = logging.getLogger(__name__)

HEADER_BYTES = 1 << 18
SHEET = "sheet.png"
"""What `vsr extract` writes beside its frames."""
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture that can be trained on. ``next`` are the film's frames right after it."""

    path: Path
    size: Size
    next: tuple[Path, ...] = ()

    @property
    def bytes(self) -> int:
        """Of the decoded pixels, its next frames not counted."""
        return self.size.pixels * 3


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is not trained on, and why."""

    path: Path
    reason: str


def files_in(places: Iterable[Path], endings: frozenset[str]) -> list[Path]:
    """Files with one of the endings, in folders and below, or the places themselves. Sorted."""
    found: set[Path] = set()
    for place in places:
        if place.is_dir():
            found |= {
                path
                for path in place.rglob("*")
                if path.suffix.lower() in endings
                and path.is_file()
                and not any(part.startswith(".") for part in path.relative_to(place).parts)
                and path.name != SHEET
            }
        elif place.is_file() and place.suffix.lower() in endings:
            found.add(place)
        elif not place.exists():
            raise DataError(f"there is no file or folder {place}", hint="check the path")
    return sorted(found)


def scan(paths: Iterable[Path], least: int) -> tuple[list[Picture], list[LeftOut]]:
    """Pictures of at least ``least`` pixels a side, and what was left out.

    ``name+1.png``, ``name+2.png`` and so on are the frames right after ``name.png``.
    """
    paths = list(paths)
    known = set(paths)
    pictures: list[Picture] = []
    left_out: list[LeftOut] = []
    for path in paths:
        stem, plus, number = path.stem.rpartition("+")
        if plus and number.isdigit() and path.with_stem(stem) in known:
            continue
        try:
            size = size_of(path)
        except DataError as error:
            left_out.append(LeftOut(path, error.message))
            continue
        if min(size.width, size.height) < least:
            left_out.append(LeftOut(path, f"{size} is smaller than a crop of {least} px"))
            continue
        following: list[Path] = []
        while (after := path.with_stem(f"{path.stem}+{len(following) + 1}")) in known:
            following.append(after)
        pictures.append(Picture(path, size, tuple(following)))
    return pictures, left_out


def size_of(path: Path) -> Size:
    """From the header where it tells, by decoding otherwise. :class:`DataError`."""
    try:
        with path.open("rb") as file:
            size = claimed_size(file.read(HEADER_BYTES))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if size is not None:
        return _checked(size.width, size.height, path)
    pixels = read(path)
    return Size(pixels.shape[1], pixels.shape[0])


def _checked(width: int, height: int, path: Path) -> Size:
    if not 0 < width <= 1 << 16 or not 0 < height <= 1 << 16:
        raise DataError(f"{path} claims to be of {width}x{height} px")
    return Size(width, height)


def read(path: Path) -> Pixels:
    """(h, w, 3) RGB 0..255; 16 bit is rounded to 8. :class:`DataError` if it cannot be decoded."""
    try:
        data = np.fromfile(path, dtype=np.uint8)
        decoded = (
            cv2.imdecode(data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH) if data.size else None
        )
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except cv2.error as error:
        raise DataError(f"{path} is not a picture that can be decoded: {error.err}") from error
    if decoded is None:
        raise DataError(f"{path} is not a picture that can be decoded", hint="is it complete?")
    if decoded.dtype == np.uint16:
        decoded = np.rint(decoded.astype(np.float32) / 257)
    elif decoded.dtype != np.uint8:
        decoded = np.rint(np.clip(decoded, 0, 1) * 255)
    return np.ascontiguousarray(decoded, dtype=np.uint8)


class Cache:
    """Decoded pictures, the least recently used dropped above ``limit`` bytes. For many threads."""

    def __init__(self, limit: int) -> None:
        self.limit, self.bytes, self.decoded = limit, 0, 0
        self._pictures: OrderedDict[Path, Pixels] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: Path) -> Pixels:
        """The pixels of ``path``, not to be written to. Raises :class:`DataError`."""
        with self._lock:
            pixels = self._pictures.get(path)
            if pixels is not None:
                self._pictures.move_to_end(path)
                return pixels
        pixels = read(path)
        pixels.setflags(write=False)
        with self._lock:
            self.decoded += 1
            if path not in self._pictures:
                self._pictures[path] = pixels
                self.bytes += pixels.nbytes
            while self.bytes > self.limit and self._pictures:
                _, dropped = self._pictures.popitem(last=False)
                self.bytes -= dropped.nbytes
        return pixels

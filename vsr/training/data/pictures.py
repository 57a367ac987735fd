"""Training pictures on disk: which there are, and decoding each no more than needed."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vsr.errors import DataError
from vsr.geometry import Size
from vsr.media.read.rgb import Pixels, read_rgb, size_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture that can be trained on."""

    path: Path
    """The file."""
    size: Size
    """In pixels, as its header says."""
    next: tuple[Path, ...] = ()
    """The film's frames right after it, in order; mostly none."""

    @property
    def bytes(self) -> int:
        """Of the decoded pixels, its next frames not counted."""
        return self.size.pixels * 3


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is not trained on."""

    path: Path
    """The file."""
    reason: str
    """Why, for people."""


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
        pixels = read_rgb(path)
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

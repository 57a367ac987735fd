"""What is compared, as a stream of frames: a video, a picture, or a folder of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from vsr.color import ColorSpec, to_rgb
from vsr.errors import MediaError
from vsr.geometry import Size
from vsr.media.clip import Clip
from vsr.media.files import check_reachable
from vsr.media.read.images import pictures_in, read_picture
from vsr.media.read.probe import MediaInfo, probe
from vsr.media.read.reader import Reader
from vsr.media.suffixes import is_picture

CLIP_PIXELS = 1 << 21


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame as decoded."""

    number: int
    """Its number from 0, from where reading began."""
    time: Fraction
    """Its presentation time in seconds, by its file's clock; a picture's is its number."""
    name: str
    """A picture's file name without its ending; empty for a video's frame."""
    planes: tuple[Tensor, ...]
    """Code values, (1, h, w) each, of which chroma may be smaller."""
    color: ColorSpec
    """What the code values mean; the matrix may be unspecified."""
    rotation: int
    """Degrees counterclockwise by which it is turned to be shown; 0 for a picture."""

    def rgb(self) -> Tensor:
        """(3, h, w) float32 RGB 0..1, by its own tags, upright."""
        spec = self.color.resolved(self.planes[0].shape[-2])
        pixels = to_rgb(self.planes, spec)[0, :3].clamp_(0, 1)
        turns = self.rotation // 90 if self.rotation % 90 == 0 else 0
        return torch.rot90(pixels, turns, (-2, -1)) if turns % 4 else pixels

    @property
    def size(self) -> Size:
        """As :meth:`rgb` gives it."""
        height, width = self.planes[0].shape[-2:]
        return Size(height, width) if self.rotation % 180 == 90 else Size(width, height)


class Footage:
    """An input of a comparison, opened far enough to know that it can be read.

    Iterate it for its frames, as often as wanted; ``damaged`` counts what the decoder could not
    read the last time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        check_reachable(path)
        if not path.exists():
            raise MediaError(f"there is no file {path}", hint="check the path")
        self.kind: Literal["video", "picture", "folder"] = (
            "folder" if path.is_dir() else "picture" if is_picture(path) else "video"
        )
        self.pictures = pictures_in(path) if self.kind == "folder" else [path]

    @cached_property
    def info(self) -> MediaInfo | None:
        """A video's description."""
        return probe(self.path) if self.kind == "video" else None

    @cached_property
    def first(self) -> Frame:
        """The first frame. Raises :class:`MediaError` where there is none."""
        for frame in self:
            return frame
        raise MediaError(f"not one frame of {self.path} can be read")

    @property
    def frames(self) -> int | None:
        """How many frames to expect; a video's own claim, or an estimate."""
        if self.info is None:
            return len(self.pictures)
        if self.info.frames:
            return self.info.frames
        seconds = self.info.duration_seconds
        return None if seconds is None else max(1, round(seconds * float(self.info.frame_rate)))

    def __iter__(self) -> Iterator[Frame]:
        return self.read() if self.info is not None else self._stills()

    def read(self, begin: Fraction | None = None) -> Iterator[Frame]:
        """A video's frames from the time ``begin`` on, found by seeking; numbered from there."""
        assert self.info is not None
        per_clip = max(1, min(8, CLIP_PIXELS // self.info.size.pixels))
        first = None if begin is None else -(-begin // self.info.time_base)
        reader = Reader(self.info, clip_frames=per_clip, first=first)
        number = 0
        for clip in reader:
            for place in range(len(clip.pts)):
                yield _frame(clip, place, number, self.info.rotation)
                number += 1
            self.damaged = reader.damaged
        self.damaged = reader.damaged

    def _stills(self) -> Iterator[Frame]:
        for number, path in enumerate(self.pictures):
            planes, color = read_picture(path)
            yield Frame(number, Fraction(number), path.stem, planes, color, 0)


def _frame(clip: Clip, place: int, number: int, rotation: int) -> Frame:
    planes = tuple(plane[place : place + 1] for plane in clip.planes)
    return Frame(number, clip.pts[place] * clip.time_base, "", planes, clip.color, rotation)

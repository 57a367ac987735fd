"""Find black bars around a video's picture: the lines and columns that are black throughout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vsr.errors import OptionsError
from vsr.geometry import Box, Size
from vsr.media.files import is_storage_fault, opened
from vsr.media.read.probe import MediaInfo
from vsr.media.read.reader import Reader
from vsr.media.stall import timed

Luma = NDArray[np.float32] | NDArray[np.uint8]  # (h, w), 0..255
DARK, EVEN = 26.0, 3.0
"""Code values: the mean of a line of a black bar at most, and its spread."""
MIN_BAR = 4
KEY_FRAMES = 24
"""So many of them, at least, show all that there is: encoders put one where scenes change. With
fewer, every frame is looked at."""
LEAST_LEFT = 0.4
"""Of each side: what leaves less is no picture between bars, but titles on black."""
PICTURES = ("hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "xsub")


@dataclass(frozen=True, slots=True)
class Bars:
    """Black lines and columns around the picture in all frames looked at, in source pixels."""

    top: int = 0
    """Black lines at the upper edge."""
    bottom: int = 0
    """Black lines at the lower edge."""
    left: int = 0
    """Black columns at the left edge."""
    right: int = 0
    """Black columns at the right edge."""

    def __bool__(self) -> bool:
        return any((self.top, self.bottom, self.left, self.right))

    def __str__(self) -> str:
        sides = (
            ("top", self.top),
            ("bottom", self.bottom),
            ("left", self.left),
            ("right", self.right),
        )
        return ", ".join(f"{name} {count}" for name, count in sides)


def bars_of(luma: Luma) -> Bars | None:
    """What is black around one frame; ``None`` of a frame that is all black."""
    if float(luma.max()) <= 2 * DARK:
        return None
    sides: list[int] = []
    for axis in (1, 0):  # of rows, then of columns
        mean = _mean(luma, axis)
        squares = _mean(np.square(luma, dtype=np.float32), axis)
        spread = np.sqrt(np.maximum(0, squares - mean**2))
        dark = (mean < DARK) & (spread < EVEN)
        for lines in (dark, dark[::-1]):
            count = 0 if lines.all() else int(np.argmin(lines))
            sides.append(count if count >= MIN_BAR else 0)
    return Bars(*sides)


def _mean(luma: Luma, axis: int) -> NDArray[np.float64]:
    return np.asarray(cv2.reduce(luma, axis, cv2.REDUCE_AVG, dtype=cv2.CV_64F), np.float64).ravel()


def find_bars(info: MediaInfo, *, first: int | None = None, last: int | None = None) -> Bars:
    """The bars of a video from ``first`` to before ``last``, in units of its time base."""
    keys = list(_reduced(_key_frames(info, first, last)))
    if len(keys) >= KEY_FRAMES:
        return _common(keys)
    frames = (frame for frame, _ in Reader(info, first=first, last=last).decoded())
    return _common(list(_reduced(frames)))


def _reduced(frames: Iterable[VideoFrame]) -> Iterator[Bars | None]:
    """The bars of each frame alone; ``None`` of a frame that is all black."""
    gray = VideoReformatter()
    for frame in frames:
        yield bars_of(np.asarray(gray.reformat(frame, format="gray").to_ndarray(), np.uint8))


def _common(found: list[Bars | None]) -> Bars:
    seen = [bars for bars in found if bars is not None]
    if not seen:
        return Bars()
    least = (
        min(getattr(bars, side) for bars in seen) for side in ("top", "bottom", "left", "right")
    )
    return Bars(*least)


def _key_frames(info: MediaInfo, first: int | None, last: int | None) -> Iterator[VideoFrame]:
    with opened(info.path, most_pixels=info.full_size.pixels) as container:
        stream = container.streams[info.video]
        assert isinstance(stream, VideoStream)
        stream.codec_context.skip_frame = "NONKEY"
        for packet in timed(container.demux(stream)):
            try:
                frames = packet.decode()
            except FFmpegError as error:
                if is_storage_fault(error):
                    raise
                continue  # damaged here; the reader counts it when it comes by
            for frame in frames:
                time = frame.pts
                inside = time is None or (first or time) <= time < (
                    time + 1 if last is None else last
                )
                if inside and Size(frame.width, frame.height) == info.full_size:
                    yield frame


def without(bars: Bars, info: MediaInfo) -> Box | None:
    """What is left of a frame without its bars, on whole samples of chroma.

    ``None`` where nothing is to be left out: there are no bars, or less than :data:`LEAST_LEFT`
    would remain.
    """
    across, down = _steps(info)
    size = info.full_size
    left, top = bars.left // across * across, bars.top // down * down
    right, bottom = bars.right // across * across, bars.bottom // down * down
    box = Box(left, top, size.width - left - right, size.height - top - bottom)
    if box.width < LEAST_LEFT * size.width or box.height < LEAST_LEFT * size.height:
        return None
    return None if box == size.box else box


def checked(box: Box, info: MediaInfo) -> Box | None:
    """A box that was asked for; ``None`` where it is the whole frame.

    Raises :class:`OptionsError` where it reaches out of the frames or parts samples of chroma.
    """
    size, (across, down) = info.full_size, _steps(info)
    if box.right > size.width or box.bottom > size.height:
        raise OptionsError(
            f"the crop {text_of(box)} reaches out of the frames, which are {size}",
            hint="--crop WIDTH:HEIGHT:LEFT:TOP, in pixels of the source",
        )
    near = Box(*(n // step * step for n, step in zip(_sides(box), (across, down) * 2, strict=True)))
    odd = (box.x, box.y) != (near.x, near.y)
    odd |= box.right != size.width and box.width != near.width
    odd |= box.bottom != size.height and box.height != near.height
    if odd:
        raise OptionsError(
            f"the crop {text_of(box)} parts samples of chroma, or fields",
            hint=f"whole ones are multiples of {across} and {down}: --crop {text_of(near)}",
        )
    return None if box == size.box else box


def _sides(box: Box) -> tuple[int, int, int, int]:
    return box.x, box.y, box.width, box.height


def text_of(box: Box) -> str:
    """As --crop takes it."""
    return f"{box.width}:{box.height}:{box.x}:{box.y}"


def _steps(info: MediaInfo) -> tuple[int, int]:
    """Pixels of a sample of chroma, and of a pair of fields' where there may be any."""
    shift = info.color.shift if info.color.layout == "yuv" else (0, 0)
    return 1 << shift[0], (1 << shift[1]) * (2 if info.flagged_interlaced else 1)


def cropped(info: MediaInfo, box: Box | None) -> MediaInfo:
    """The same video of which only ``box`` is read."""
    if box is None:
        return info
    return replace(info, size=Size(box.width, box.height), crop=box, decoded=info.full_size)


def told(box: Box, info: MediaInfo) -> tuple[str, ...]:
    """For people: what is left, and what of the file was made for the whole frame."""
    lines = [f"cropped to {text_of(box)} of {info.full_size}"]
    pictures = [f"#{item.index}" for item in info.streams if item.codec in PICTURES]
    if pictures:
        lines.append(
            f"subtitles {', '.join(pictures)} are pictures made for the whole frame: players may "
            "move or stretch them"
        )
    return tuple(lines)

"""How clean a source is: what its codec left of it, and noise. A dozen frames are looked at.

The answer depends on the file alone: the same frames are decoded, on the CPU, whoever asks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean, median

import cv2
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vsr.errors import MediaError, StorageError, VsrError
from vsr.media.extract.selection import FLAT, Plane, block_steps
from vsr.media.files import is_storage_fault, opened
from vsr.media.limits import FFMPEG_PIXELS, SOURCE_PIXELS
from vsr.media.read.images import pictures_in, read_picture
from vsr.media.read.probe import MediaInfo, probe
from vsr.media.side_data import read_side_data
from vsr.media.stall import timed
from vsr.media.suffixes import is_picture

PLACES, RUN = 4, 3
"""A dozen frames: so many in a row, at so many places."""
LONG_SECONDS = 2.0  # shorter ones are looked at from their start
SHORT_FRAMES = 120
"""Of a short one, or one in which nothing can be sought: so many are decoded at most to find a
dozen that are not flat."""
MIN_SIDE = 24  # pixels: less has no block but those at its edges
JPEG_QUALITY = 90
LOSSLESS = ("ffv1", "huffyuv", "ffvhuff", "utvideo", "png", "rawvideo", "qtrle", "v210", "magicyuv")
INTERMEDIATE = ("prores", "dnxhd", "cfhd", "vc2", "dirac")
"""Codecs of editing, at rates at which little is lost."""

BLACK, WHITE = 20, 235
"""Code values, of video's range or full, at which noise is cut off."""
BLOCKS = 5000
"""Blocks that are looked at for noise, about, in one frame."""
QUIET = 5
"""Percentile of blocks that has least structure."""
LEAST = 6 * 0.6745 * 0.7
"""What that percentile is of noise of deviation 1: the mask's weights have a norm of 6, the median
of a Gaussian's size is at 0.6745, and the quietest of 20 blocks of noise has 0.7 of it."""

Gray = NDArray[np.uint8]  # (h, w)


@dataclass(frozen=True, slots=True)
class Condition:
    """What is known of a source's quality."""

    codec: str
    """FFmpeg's name of the video's codec; of pictures, their file suffix without the dot."""
    frames: int
    """How many frames were looked at."""
    pixels: int
    """Pixels of one frame."""
    step: float | None
    """Step of the codec's quantiser, in code values of 8 bits; 1 for a lossless video codec.
    ``None`` where the stream does not tell it."""
    share: float | None
    """Bytes of frames coded on their own (key frames, and other I frames), as a share of what their
    luma takes as JPEG of quality 90; the median. ``None`` of pictures and of codecs of editing, and
    where ``step`` is known or no such frame was met."""
    blockiness: float
    """How much steeper luma is across the edges of 8x8 blocks than elsewhere, as
    :func:`vsr.media.extract.selection.blockiness` measures it; the median."""
    crossing: float
    """The same of that direction, rows or columns, in which it is less: lines of text have steps in
    one alone; the median."""
    noise: float
    """Standard deviation of noise in luma where there is least structure, in code values of 8 bits
    (after Immerkaer, CVIU 1996); the median."""


def condition_of(path: Path, *, allow_huge: bool = False) -> Condition | None:
    """Look at a video, a picture, or a folder of pictures; ``None`` where too little can be seen.

    A file that makes no sense is no error here: whoever enlarges it says so. Raises
    :class:`StorageError` where the system cannot read it.
    """
    try:
        if path.is_dir() or is_picture(path):
            return _of_pictures(path, allow_huge=allow_huge)
        return _of_video(probe(path, allow_huge=allow_huge), allow_huge=allow_huge)
    except StorageError:
        raise
    except VsrError:
        return None


def noise_of(luma: Plane) -> float:
    """The deviation of what no smooth surface explains, where there is least of it.

    (h, w) ``luma`` and the deviation are in code values of 8 bits. Of blocks of 8x8 the median of
    Immerkaer's residue is taken, which passes over edges, and of those a low percentile, which
    passes over texture. Blank black and white hide noise and count for nothing.
    """
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    residue = np.abs(cv2.filter2D(luma, cv2.CV_32F, mask))
    levels, rest = (_blocks(plane[1:-1, 1:-1]) for plane in (luma, residue))
    mean, flat = levels.mean(1), np.ptp(levels, axis=1) <= 1
    rest = rest[~(flat & ((mean <= BLACK) | (mean >= WHITE)))]
    return float(np.percentile(np.median(rest, axis=1), QUIET)) / LEAST if len(rest) else 0.0


def _blocks(plane: Plane) -> Plane:
    """(h, w) as (n, 64): whole blocks of 8x8, some thousands spread evenly."""
    rows, columns = (side // 8 for side in plane.shape)
    whole = plane[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8)
    count = rows * columns
    row, column = np.divmod(np.array(range(0, count, 1 + count // BLOCKS), np.intp), columns)
    return whole[row, :, column].reshape(-1, 64)  # no copy of the others


def look(codec: str, lumas: Sequence[Gray], step: float | None, share: float | None) -> Condition:
    """Of some frames' luma. Raises :class:`MediaError` where there is none large enough."""
    seen = [luma.astype(np.float32) for luma in lumas if min(luma.shape) >= MIN_SIDE]
    if not seen:
        raise MediaError("nothing to look at")
    blocks = [block_steps(luma / np.float32(255)) for luma in seen]
    return Condition(
        codec,
        len(seen),
        seen[0].size,
        step,
        share,
        median(max(steps) for steps in blocks),
        median(min(steps) for steps in blocks),
        median(noise_of(luma) for luma in seen),
    )


def h264_step(quantiser: float) -> float:
    """H.264's and HEVC's step: 1 at 4, and twice that at each 6 more (ITU-T H.264, 8.5.8)."""
    return 2 ** ((quantiser - 4) / 6)


def _of_pictures(path: Path, *, allow_huge: bool) -> Condition:
    paths = pictures_in(path) if path.is_dir() else [path]
    most = PLACES * RUN
    chosen = [paths[place * len(paths) // most] for place in range(most)]
    lumas: list[Gray] = []
    for one in dict.fromkeys(chosen):
        planes, color = read_picture(one, allow_huge=allow_huge)
        plane = planes[1 if color.layout == "rgb" else 0][0].numpy()
        lumas.append((plane >> max(0, color.depth - 8)).astype(np.uint8))
    steps = [step for one in dict.fromkeys(chosen) if (step := jpeg_step(one.read_bytes()))]
    codec = chosen[0].suffix.lower().lstrip(".")
    return look(codec, lumas, median(steps) if steps else None, None)


def jpeg_step(data: bytes) -> float | None:
    """The mean step of the 16 lowest frequencies of luma in a JPEG file (ITU-T T.81, B.2.4.1)."""
    place = 2
    while data[:2] == b"\xff\xd8" and place + 4 <= len(data) and data[place] == 0xFF:
        kind, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4])
        table = data[place + 4 : place + 2 + length]
        if kind == 0xDB and len(table) >= 65 and table[0] == 0:  # 8 bits, the first: luma's
            return fmean(table[1:17])
        if kind == 0xDA:  # pixels begin
            return None
        place += 2 + length
    return None


def _of_video(info: MediaInfo, *, allow_huge: bool) -> Condition:
    length = info.duration_seconds or 0.0
    seen, flat = _Seen(info.codec, [], [], []), _Seen(info.codec, [], [], [])
    if length > LONG_SECONDS:
        for place in range(PLACES):
            moment = info.start_seconds + length * (place + 0.5) / PLACES
            begin = round(moment / info.time_base)
            _watch(info, (seen, flat), RUN, RUN, begin, allow_huge=allow_huge)
    if not (seen.lumas or flat.lumas):  # it is short, or nothing of it can be sought
        _watch(info, (seen, flat), PLACES * RUN, SHORT_FRAMES, None, allow_huge=allow_huge)
    if not seen.lumas:
        seen = flat
    shares = seen.shares or flat.shares
    step = median(seen.steps) if seen.steps else None
    step = 1.0 if info.codec in LOSSLESS or _is_lossless_x265(info) else step
    share = median(shares) if shares and step is None else None
    return look(info.codec, seen.lumas, step, None if info.codec in INTERMEDIATE else share)


def _is_lossless_x265(info: MediaInfo) -> bool:
    """Whether x265 was told to lose nothing: it writes its settings into the stream's header."""
    if info.codec != "hevc":
        return False
    with opened(info.path) as container:
        header = container.streams[info.video].codec_context.extradata or b""
        return b" lossless " in header


@dataclass(frozen=True, slots=True)
class _Seen:
    codec: str
    lumas: list[Gray]
    steps: list[float]
    shares: list[float]

    def add(self, luma: Gray, frame: VideoFrame, intra_bytes: int) -> None:
        self.lumas.append(luma)
        self.steps.extend(_step(frame, self.codec))
        if intra_bytes:
            _, coded = cv2.imencode(".jpg", luma, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            self.shares.append(intra_bytes / len(coded))


def _watch(
    info: MediaInfo,
    kinds: tuple[_Seen, _Seen],
    count: int,
    most: int,
    begin: int | None,
    *,
    allow_huge: bool,
) -> None:
    """Add frames from the key frame ahead of ``begin``, in units of the time base, or the first.

    To the first of ``kinds`` up to ``count`` frames with something on them, to the second those
    without; ``most`` are decoded.
    """
    seen, flat = kinds
    pixels = FFMPEG_PIXELS if allow_huge else SOURCE_PIXELS
    with opened(info.path, most_pixels=pixels) as container:
        stream = container.streams[info.video]
        assert isinstance(stream, VideoStream)
        stream.codec_context.options = {
            "export_side_data": "venc_params",
            "max_pixels": str(pixels),
        }
        gray, sizes = VideoReformatter(), dict[int | None, int]()
        wanted, weighed = len(seen.lumas) + count, len(seen.shares)
        try:
            if begin is not None:
                container.seek(begin, stream=stream)
            for number, frame in enumerate(islice(_decoded(container, stream, sizes), most)):
                luma = np.asarray(gray.reformat(frame, format="gray").to_ndarray(), np.uint8)
                kind = flat if luma.std() < FLAT * 255 else seen
                first = 0 if number else next(iter(sizes.values()), 0)  # some packets have no time
                size = sizes.get(frame.pts, first)
                whole = frame.pict_type == PictureType.I and len(seen.shares) == weighed
                if len(kind.lumas) < wanted:
                    kind.add(luma, frame, size if whole else 0)
                if len(seen.lumas) == wanted:
                    break
        except FFmpegError as error:
            if is_storage_fault(error):
                raise


def _decoded(
    container: InputContainer, stream: VideoStream, sizes: dict[int | None, int]
) -> Iterable[VideoFrame]:
    for packet in timed(container.demux(stream)):
        if packet.size:
            sizes.setdefault(packet.pts, packet.size)
        yield from packet.decode()


def _step(frame: VideoFrame, codec: str) -> list[float]:
    """The mean step of a frame's quantiser, where the decoder tells it (AVVideoEncParams)."""
    told = read_side_data(frame).known.get(SideDataType.VIDEO_ENC_PARAMS)
    if told is None:
        return []
    count, offset, size, _, quantiser = struct.unpack_from("=I4xQQIi", told)
    blocks = [
        struct.unpack_from("=i", told, offset + number * size + 16)[0] for number in range(count)
    ]
    mean = quantiser + (fmean(blocks) if blocks else 0.0)
    if codec == "h264":  # of its own depth
        depth = frame.format.components[0].bits
        return [h264_step(mean) / (1 << max(0, depth - 8))]
    if codec in ("mpeg1video", "mpeg2video"):
        return [0.75 * mean]  # times a matrix of which most is between 1 and 2 sixteenths of 16
    if codec == "vp9":
        return [mean / 8]  # an index into a table of steps times 8, nearly straight
    return []

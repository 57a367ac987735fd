"""The damage of real codecs: frames encoded and decoded in memory, by PyAV or as JPEG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.random import Generator
from torch import Tensor

from vsr.degrade.base import Frames, happens
from vsr.degrade.chroma import random_spec, to_frames, to_planes
from vsr.errors import DataError
from vsr.geometry import Size

if TYPE_CHECKING:
    from av import Packet, VideoFrame

X265_BLOCK = 64
TREE_CRF = 4.7
"""How much more CRF makes the same error without x264's macroblock tree as with it.

With it, x264 counts a CRF as (1 - 0.6) x 13.5 higher (its `ratecontrol.c`), and lowers it again
where later frames use a block. On 24 sequences of 64x64 pixels: 4.5 to 4.95 at CRF 18 to 33."""


@dataclass(frozen=True, slots=True)
class Quality:
    """A codec with the bounds of its quality."""

    encoder: str
    """FFmpeg's name of the encoder."""
    decoder: str
    """FFmpeg's name of the decoder."""
    best: float
    """Least quantiser that is drawn: qscale for MPEG-2 and MPEG-4, else crf, of x264 as with its
    macroblock tree."""
    worst: float
    """Largest quantiser that is drawn, in the same unit."""
    share: float
    """How often this codec is drawn, in relation to the others' shares."""


QUALITIES = (
    Quality("libx264", "h264", 16, 38, 0.5),
    Quality("libx265", "hevc", 16, 34, 0.1),
    Quality("mpeg2video", "mpeg2video", 2, 12, 0.15),
    Quality("mpeg4", "mpeg4", 2, 12, 0.15),
    Quality("libvpx-vp9", "vp9", 20, 50, 0.1),
)
STREAMS = (
    Quality("libx264", "h264", 15, 33, 0.62),
    Quality("libx265", "hevc", 16, 32, 0.08),
    Quality("mpeg2video", "mpeg2video", 2, 8, 0.1),
    Quality("mpeg4", "mpeg4", 2, 8, 0.08),
    Quality("libvpx-vp9", "vp9", 16, 46, 0.12),
)
"""Rates of files that people keep, the best of them next to clean."""


@dataclass(frozen=True, slots=True)
class VideoCodec:
    """A random codec at a random quality and distance between key frames."""

    chance: float = 0.9
    """Probability that it happens to a clip."""
    qualities: tuple[Quality, ...] = QUALITIES
    """The codecs that one is drawn from, by their shares."""
    presets: tuple[str, ...] = ("ultrafast", "superfast", "veryfast", "medium")
    """Presets of x264, each drawn equally often; the other encoders have a fixed speed."""
    frames: int = 5
    """Consecutive frames wanted, so that some are predicted from others."""
    margin: int = 12
    """Low-resolution pixels wanted around a patch: motion and blocks bring something in from
    there."""
    least_side: int = 32
    """Side in low-resolution pixels to which smaller frames are mirrored: some encoders refuse
    them. For x265 it always is 64."""

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """As many frames as came; their sides become even before and are cut back after."""
        if not happens(self.chance, rng):
            return frames
        shares = [quality.share for quality in self.qualities]
        total = sum(shares)
        chosen = self.qualities[int(rng.choice(len(shares), p=[share / total for share in shares]))]
        level = float(rng.uniform(chosen.best, chosen.worst))
        preset = self.presets[int(rng.integers(len(self.presets)))]
        key_interval = int(rng.integers(1, len(frames) + 1)) if len(frames) > 1 else 1
        spec = random_spec(rng)
        height, width = frames.shape[1:3]
        # x265 writes past its memory in frames smaller than its largest block.
        least = X265_BLOCK if chosen.encoder == "libx265" else self.least_side
        padded = _padded(frames, least)
        options = _options(chosen.encoder, level, preset)
        decoded = through(to_planes(padded, spec), chosen, options, key_interval)
        return to_frames(decoded, spec)[:, :height, :width]


def _padded(frames: Frames, least: int) -> Frames:
    """Mirrored to even sides of at least ``least``, below which some encoders refuse."""
    height, width = frames.shape[1:3]
    below, right = (max(least, side + side % 2) - side for side in (height, width))
    if not below and not right:
        return frames
    return np.pad(frames, ((0, 0), (0, below), (0, right), (0, 0)), mode="symmetric")


def _options(encoder: str, level: float, preset: str) -> Mapping[str, str]:
    if encoder == "libx264":
        # Of frames as small as a patch, x264's macroblock tree reads memory that nobody wrote: the
        # same frames came out in two ways. Without it, quality is better at the same CRF.
        still = "mbtree=0"
        return {
            "crf": f"{level + TREE_CRF:.1f}", "preset": preset, "threads": "1",
            "x264-params": still,
        }  # fmt: skip
    if encoder == "libx265":
        quiet = "log-level=none:pools=none:frame-threads=1"
        return {"crf": f"{level:.1f}", "preset": "ultrafast", "x265-params": quiet}
    if encoder == "libvpx-vp9":
        return {
            "crf": f"{level:.0f}", "b": "0", "deadline": "realtime", "cpu-used": "8",
            "lag-in-frames": "0", "threads": "1",
        }  # fmt: skip
    # MPEG-2 and MPEG-4: bounds on the quantiser that leave one value.
    quantiser = str(round(level))
    return {"qmin": quantiser, "qmax": quantiser, "threads": "1"}


def through(
    planes: tuple[Tensor, ...], quality: Quality, options: Mapping[str, str], key_interval: int
) -> tuple[Tensor, ...]:
    """Planes of 4:2:0, each (t, h, w), through an encoder and a decoder that know no file."""
    # Imported here: training on clean pictures must work where PyAV is not installed.
    import av
    import av.error
    from av.video.codeccontext import VideoCodecContext

    from vsr.media.pixels import Unpacker, layout_of, pack

    layout = layout_of("yuv420p")
    assert layout is not None
    count, height, width = planes[0].shape
    encoder = av.CodecContext.create(quality.encoder, "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.gop_size, encoder.thread_count, encoder.options = key_interval, 1, dict(options)
    decoder = av.CodecContext.create(quality.decoder, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.thread_count = 1
    frames: list[VideoFrame] = []
    try:
        packets: list[Packet[Any]] = []
        for place in range(count):
            frame = pack(planes, place, layout, "yuv420p")
            frame.pts, frame.time_base = place, encoder.time_base
            packets += encoder.encode(frame)
        packets += encoder.encode(None)
        for packet in packets:
            frames += decoder.decode(packet)
        frames += decoder.decode(None)
    except av.error.FFmpegError as error:
        raise DataError(f"{quality.encoder} failed on {width}x{height}: {error}") from error
    if len(frames) != count:
        raise DataError(f"{quality.encoder} gave back {len(frames)} frames of {count}")
    unpacker = Unpacker(layout, "yuv420p", Size(width, height))
    result = unpacker.empty(count)
    for place, frame in enumerate(frames):
        unpacker.fill(result, place, frame)
    return result


@dataclass(frozen=True, slots=True)
class Jpeg:
    """Encoded and decoded in memory as JPEG."""

    chance: float = 0.15
    """Probability that it happens to a clip."""
    worst: int = 40
    """Least quality that is drawn, of libjpeg's 1..100."""
    best: int = 95
    """Highest quality that is drawn."""
    frames: int = 1
    """One is enough: each frame is a picture by itself."""
    margin: int = 8
    """Low-resolution pixels around a patch: a block."""

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """One quality for every frame."""
        if not happens(self.chance, rng):
            return frames
        quality = int(rng.integers(self.worst, self.best + 1))
        return np.stack([through_jpeg(frame, quality) for frame in frames])


def through_jpeg(frame: Frames, quality: int) -> Frames:
    """One (h, w, 3) picture, stored and read."""
    stored, data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not stored:
        raise DataError(f"OpenCV could not store a picture of {frame.shape[:2]} as JPEG")
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), dtype=np.uint8)

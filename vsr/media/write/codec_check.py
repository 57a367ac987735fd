"""Check that a codec opens, encodes and decodes, on a few generated frames."""

from __future__ import annotations

import io
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.error import FFmpegError
from av.video.stream import VideoStream

from vsr.errors import DeviceError
from vsr.media.write.codecs import CODECS, Codec
from vsr.media.write.writer import open_encoder

WIDTH, HEIGHT, FRAMES = 256, 144, 4  # the smallest that hardware encoders take is about 145x49


def try_codec(codec: Codec) -> int:
    """Encode and decode a few frames; returns how many came back. Raises :class:`DeviceError`."""
    memory = io.BytesIO()
    try:
        with av.open(memory, "w", format=codec.segment) as output:
            stream = cast(VideoStream, output.add_stream(codec.encoder, rate=25))
            known = [kind.name for kind in stream.codec_context.codec.video_formats or ()]
            stream.pix_fmt = "yuv420p" if "yuv420p" in known else known[0]
            stream.width, stream.height = WIDTH, HEIGHT
            quiet = {"x265-params": "log-level=none"} if codec.encoder == "libx265" else {}
            stream.codec_context.options = {**dict(codec.fixed), **quiet}
            open_encoder(stream.codec_context)
            for place in range(FRAMES):
                output.mux(stream.encode(_frame(place)))
            output.mux(stream.encode(None))
        memory.seek(0)
        with av.open(memory, "r") as made:
            return sum(len(packet.decode()) for packet in made.demux(made.streams.video[0]))
    except (FFmpegError, OSError, ValueError) as error:
        raise DeviceError(f"{codec.encoder} does not work: {error}") from error


def write_clip(path: Path, *, seconds: int) -> int:
    """A small moving picture with a tone, as H.264 and AAC. Returns its number of frames."""
    rate = 12
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        assert isinstance(video, av.VideoStream)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        audio = output.add_stream("aac", rate=48000)
        assert isinstance(audio, av.AudioStream)
        audio.layout = "mono"
        for place in range(seconds * rate):
            output.mux(video.encode(_frame(place).reformat(width=96, height=64)))
        output.mux(video.encode(None))
        wave = np.sin(np.arange(48000 * seconds) / 20).astype(np.float32).reshape(1, -1) / 4
        tone = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        tone.sample_rate, tone.pts = 48000, 0
        output.mux(audio.encode(tone))
        output.mux(audio.encode(None))
    return seconds * rate


def versions() -> dict[str, str]:
    """PyAV's version, and that of FFmpeg's codec library in it."""
    codecs = ".".join(map(str, av.library_versions["libavcodec"]))
    return {"av": av.__version__, "libavcodec": codecs}


def _frame(place: int) -> av.VideoFrame:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    level = 128 + 60 * np.sin((x + 4 * place) / 9) + 50 * np.cos(y / 7)
    pixels = np.stack([level, 255 - level, level / 2], axis=2).clip(0, 255).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame.pts = place
    return frame


_LIBRARIES = {"libx264": "libx264", "libx265": "libx265", "libsvtav1": "libsvtav1enc"}


@cache
def encoder_version(encoder: str) -> str:
    """FFmpeg's libavcodec, and the encoder's own library where PyAV's package brings it.

    Its file is named with its version, and on most systems with a hash of what is in it:
    ``libavcodec 62.28.102, libx264-d6533a8d.so.165``. An encoder of the system's own is told by
    libavcodec's version alone.
    """
    libavcodec = "libavcodec " + ".".join(map(str, av.library_versions["libavcodec"]))
    wanted = _LIBRARIES.get(encoder)
    names = [name for name in _packaged() if wanted and name.lower().startswith(wanted)]
    return ", ".join([libavcodec, *names])


def encoder_versions() -> str:
    """Those of all encoders, for workers that have to be alike."""
    named = {encoder_version(codec.encoder): None for codec in CODECS.values()}
    return "; ".join(named)


@cache
def _packaged() -> tuple[str, ...]:
    """The names of the libraries in PyAV's package."""
    try:
        found = files("av") or ()
    except PackageNotFoundError:
        return ()
    return tuple(sorted(path.name for path in found if path.name.startswith("lib")))

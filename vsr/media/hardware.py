"""Decoding on a GPU: tried on a frame before a run, and left alone where it does not work.

FFmpeg's decoders that run on the graphics card give the very samples that the ones on the processor
give: codecs say how to decode to the bit. The frames come back to the host.
"""

from __future__ import annotations

from av.codec.hwaccel import HWAccel
from av.error import FFmpegError
from av.video.stream import VideoStream

from vsr.errors import MediaError
from vsr.media.files import open_file
from vsr.media.probe import MediaInfo


def accelerator(name: str) -> HWAccel:
    """Returns PyAV's hardware option for a device such as cuda:1, with the CPU as fallback."""
    kind, _, index = name.partition(":")
    return HWAccel(kind, index or None, allow_software_fallback=True)


def refusal(info: MediaInfo, name: str) -> str:
    """Returns why a device does not decode this video, in a few words; empty where it does."""
    if info.decoder is not None:
        return f"{info.decoder} decodes it"
    try:
        with open_file(info.path, hwaccel=accelerator(name)) as container:
            stream = container.streams[info.video]
            assert isinstance(stream, VideoStream)
            next(container.decode(stream))
            return "" if stream.codec_context.is_hwaccel else f"it has no decoder for {info.codec}"
    except (MediaError, FFmpegError, OSError, StopIteration) as error:
        return getattr(error.__cause__ or error, "strerror", None) or "no frame came"

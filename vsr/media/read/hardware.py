"""Decoding on a GPU: tried on a frame before a run, and left alone where it does not work.

FFmpeg's decoders that run on the graphics card give the very samples that the ones on the processor
give: codecs say how to decode to the bit. The frames come back to the host.
"""

from __future__ import annotations

from typing import cast

import torch
from av.codec.hwaccel import HWAccel
from av.error import FFmpegError
from av.video.stream import VideoStream

from vsr.errors import MediaError
from vsr.media.files import open_file
from vsr.media.read.probe import MediaInfo
from vsr.media.stall import timed

CURRENT_CONTEXT = 1 << 1  # FFmpeg's AV_CUDA_USE_CURRENT_CONTEXT
CARD_FORMATS = frozenset(
    ("nv12", "nv16", "p010le", "p012le", "p016le", "p210le", "p212le", "p216le")
)
"""What frames that a graphics card decoded come down in. Software makes planar ones."""


def accelerator(name: str) -> HWAccel:
    """What opens a file for a device, such as cuda:1, in the thread that calls; the CPU goes on
    where that fails.

    FFmpeg is given torch's own CUDA context: one of its own takes a third of a second and 400 MB,
    for every file that is opened.
    """
    kind, _, index = name.partition(":")
    if kind != "cuda" or not torch.cuda.is_available():
        return HWAccel(kind, index or None, allow_software_fallback=True)
    torch.cuda.set_device(int(index or 0))
    torch.cuda.mem_get_info()  # asks the card: only then the context is this thread's current one
    return HWAccel(kind, index or None, allow_software_fallback=True, flags=CURRENT_CONTEXT)


def refusal(info: MediaInfo, name: str) -> str:
    """Returns why a device does not decode this video, in a few words; empty where it does."""
    if info.decoder is not None:
        return f"{info.decoder} decodes it"
    try:
        with open_file(info.path, hwaccel=accelerator(name)) as container:
            stream = cast(VideoStream, container.streams[info.video])
            frame = next(timed(container.decode(stream)))
            # Its context says that it is accelerated also where FFmpeg fell back to software.
            there = frame.format.name in CARD_FORMATS
            return "" if there else f"it has no decoder for {info.codec}"
    except (MediaError, FFmpegError, OSError, StopIteration) as error:
        return getattr(error.__cause__ or error, "strerror", None) or "no frame came"

"""Read the chroma siting of a video stream from its bitstream's headers.

PyAV 18 does not expose ``chroma_location``; FFmpeg's ``trace_headers`` bitstream filter writes
every header field of H.264, HEVC and AV1 to the log, from where it is read here.
"""

from __future__ import annotations

import re
from pathlib import Path

import av
import av.logging
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Stream

from vsr.media.ffmpeg_lock import ffmpeg_lock
from vsr.media.files import open_file
from vsr.media.stall import timed

_TRACED = {"h264", "hevc", "av1"}
_FIELD = re.compile(r"(chroma_sample_loc_type_top_field|chroma_sample_position)\s.*=\s*(\d+)\s*$")
# AV1's chroma_sample_position: 1 is vertically centred (left), 2 is top left (AV1 spec 6.4.2).
_AV1 = {1: 1, 2: 3}
NAMES = ("unspecified", "left", "center", "topleft", "top", "bottomleft", "bottom")


def read_siting(path: Path, index: int) -> int:
    """FFmpeg's chroma location of a video stream; 0 where its headers do not say."""
    with open_file(path) as container:
        stream = container.streams[index]
        codec = stream.codec_context.codec.canonical_name
        if codec not in _TRACED:
            return 0
        with ffmpeg_lock:
            level = av.logging.get_level()
            av.logging.set_level(av.logging.TRACE)
            try:
                with av.logging.Capture(local=True) as lines:
                    _trace(container, stream)
            finally:
                av.logging.set_level(level)
    for _, _, text in lines:
        match = _FIELD.search(text)
        if match is not None:
            value = int(match[2])
            return _AV1.get(value, 0) if codec == "av1" else value + 1
    return 0


def _trace(container: InputContainer, stream: Stream) -> None:
    try:
        headers = BitStreamFilterContext("trace_headers", stream)
        for packet in timed(container.demux(stream)):
            if packet.size:
                headers.filter(packet)
            return
    except FFmpegError:
        return  # a damaged header says nothing about siting

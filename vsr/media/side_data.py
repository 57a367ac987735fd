"""Side data of decoded frames (HDR, rotation, captions ...), whatever PyAV knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
from av.error import FFmpegError
from av.filter import Graph
from av.sidedata.sidedata import SideData, Type

MAX_KINDS = 64
"""FFmpeg 8 numbers its kinds of side data (``AVFrameSideDataType``) from 0 to about 32."""
LOST = {
    Type.DOVI_METADATA: "Dolby Vision metadata",
    Type.DYNAMIC_HDR_PLUS: "HDR10+ dynamic metadata",
    Type.DYNAMIC_HDR_VIVID: "HDR Vivid dynamic metadata",
    Type.A53_CC: "closed captions in the video (A53)",
    Type.ICC_PROFILE: "ICC profile",
    Type.STEREO3D: "layout of a stereoscopic (3D) picture",
    Type.SPHERICAL: "projection of a spherical (360 degrees) picture",
}
"""Kinds that a target cannot have, for people. Those that are not here are of no use to players."""
_UNNAMED = {
    28: "LCEVC enhancement data",
    29: "other views of a multiview video (MV-HEVC): the base view alone is enlarged",
    30: "sizes of reference displays for 3D",
    31: "Exif metadata in the video",
}
"""Kinds of FFmpeg that PyAV's enumeration lacks."""


@dataclass(frozen=True, slots=True)
class FrameSideData:
    """The side data of one frame."""

    known: dict[Type, bytes]
    """Payloads by kind, of the kinds that PyAV knows."""
    lost: tuple[str, ...]
    """What of it a target will not hold, for people."""


def read_side_data(frame: av.VideoFrame) -> FrameSideData:
    """What a decoded frame carries. No kind of side data makes this fail.

    PyAV 18 refuses all side data of a frame that has a kind which its enumeration lacks, and frees
    an entry's metadata twice (only the profile of PNG has any), which ends the process. So FFmpeg
    takes these entries off a copy of the frame first.
    """
    lost: list[str] = []
    if _has(frame, Type.ICC_PROFILE.value):
        lost.append(LOST[Type.ICC_PROFILE])
        frame = _without(frame, [Type.ICC_PROFILE.value])
    try:
        items = list(frame.side_data.keys())
    except ValueError:
        named = {kind.value for kind in Type}
        unnamed = [n for n in range(MAX_KINDS) if n not in named and _has(frame, n)]
        lost += [_UNNAMED.get(n, f"side data of a kind not known here ({n})") for n in unnamed]
        try:
            items = list(_without(frame, unnamed).side_data.keys())
        except ValueError:
            items, lost = [], [*lost, "all side data of its frames"]
    # PyAV's container iterates its items, not their names.
    known = {item.type: bytes(item) for item in cast("list[SideData]", items)}
    lost += [text for kind, text in LOST.items() if kind in known]
    return FrameSideData(known, tuple(lost))


def _has(frame: av.VideoFrame, kind: int) -> bool:
    return _filtered(frame, [f"mode=select:type={kind}"]) is not None


def _without(frame: av.VideoFrame, kinds: list[int]) -> av.VideoFrame:
    """A reference to the same picture without side data of these kinds."""
    made = _filtered(frame, [f"mode=delete:type={kind}" for kind in kinds])
    return frame if made is None else made


def _filtered(frame: av.VideoFrame, steps: list[str]) -> av.VideoFrame | None:
    """What FFmpeg's ``sidedata`` filters make of a frame; ``None`` where they hold it back."""
    try:
        graph = Graph()
        source = graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base or Fraction(1, 1000),
        )
        filters = [graph.add("sidedata", step) for step in steps]
        graph.link_nodes(source, *filters, graph.add("buffersink")).configure()
        graph.push(frame)
        return cast(av.VideoFrame, graph.pull())
    except FFmpegError:
        return None

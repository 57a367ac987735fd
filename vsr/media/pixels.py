"""Map FFmpeg's pixel formats to colour specs, and convert frames to tensors and back."""

from __future__ import annotations

from functools import cache
from typing import cast

import av
import numpy as np
import numpy.typing as npt
import torch
from av.video.plane import VideoPlane
from av.video.reformatter import VideoReformatter
from torch import Tensor

from vsr.color import FULL_RANGE, ColorSpec
from vsr.errors import MediaError
from vsr.geometry import Box, Size

_SUBSAMPLING = {
    (0, 0): "444",
    (1, 0): "422",
    (1, 1): "420",
    (0, 1): "440",
    (2, 0): "411",
    (2, 2): "410",
}
_ALPHA_SUBSAMPLING = ((0, 0), (1, 0), (1, 1))
# FFmpeg keeps planar RGB as G, B, R, A.
_RGB_ORDER = (2, 0, 1, 3)


@cache
def layout_of(name: str) -> ColorSpec | None:
    """The layout of a planar integer format that frames are read in, else ``None``. No tags."""
    try:
        kind = av.VideoFormat(name)
    except ValueError:
        return None
    parts = kind.components
    if not parts:  # a hardware surface
        return None
    depth = parts[0].bits
    alpha = any(part.is_alpha for part in parts)
    one_each = len({part.plane for part in parts}) == len(parts)
    if not one_each or kind.is_big_endian or kind.has_palette or kind.is_bit_stream:
        return None
    if "f" in name.removeprefix("yuv").removeprefix("gbr") or "msb" in name or not 8 <= depth <= 16:
        return None
    if kind.is_rgb:
        return ColorSpec("rgb", depth, (0, 0), alpha) if name.startswith("gbr") else None
    if len(parts) == 1:
        return ColorSpec("gray", depth, (0, 0)) if name.startswith("gray") else None
    if not name.startswith("yuv"):
        return None
    wide = 1 << 8
    shift = (_log2(wide // kind.chroma_width(wide)), _log2(wide // kind.chroma_height(wide)))
    spec_range = FULL_RANGE if name.startswith("yuvj") else 0
    return ColorSpec("yuv", depth, shift, alpha, range=spec_range)


@cache
def nearest_planar(name: str) -> str:
    """The planar format that frames of ``name`` are read in: itself, or one that loses nothing."""
    if layout_of(name) is not None:
        return name
    try:
        kind = av.VideoFormat(name)
    except ValueError as error:
        raise MediaError(f"pixel format {name!r} is unknown") from error
    parts = kind.components
    depth = max(part.bits for part in parts)
    alpha = any(part.is_alpha for part in parts) or kind.has_palette
    if kind.is_rgb or kind.has_palette or (alpha and len(parts) == 2):
        return ("gbrap" if alpha else "gbrp") + _suffix(depth, (8, 10, 12, 14, 16))
    if len(parts) == 1:
        return "gray" + _suffix(depth, (8, 9, 10, 12, 14, 16))
    wide = 1 << 8
    shift = (_log2(wide // kind.chroma_width(wide)), _log2(wide // kind.chroma_height(wide)))
    if alpha:
        shift = shift if shift in _ALPHA_SUBSAMPLING else (0, 0)
    middle = "a" if alpha else ""
    return f"yuv{middle}{_SUBSAMPLING.get(shift, '444')}p{_suffix(depth, (8, 9, 10, 12, 14, 16))}"


def name_of(spec: ColorSpec) -> str:
    """The planar format that holds a layout."""
    suffix = "" if spec.depth == 8 else f"{spec.depth}le"
    if spec.layout == "rgb":
        return ("gbrap" if spec.alpha else "gbrp") + suffix
    if spec.layout == "gray":
        return "gray" + suffix
    return f"yuv{'a' if spec.alpha else ''}{_SUBSAMPLING[spec.shift]}p{suffix}"


class Unpacker:
    """Frames of one stream to tensors; converts formats that are not planar. Keep one a thread.

    ``size`` is that of the frames, or of the part of them that ``box`` names, on whole samples.
    """

    def __init__(self, spec: ColorSpec, name: str, size: Size, box: Box | None = None) -> None:
        self.spec, self.name, self.size = spec, name, size
        corner = (0, 0) if box is None else (box.x, box.y)
        self._corners = [
            tuple(place >> shift for place, shift in zip(corner, shifts, strict=True))
            for shifts in ((0, 0), spec.shift, spec.shift, (0, 0))
        ]
        self._reformatter = VideoReformatter()
        self._sizes = spec.plane_sizes(size)

    def empty(self, frames: int) -> tuple[Tensor, ...]:
        """Returns uninitialised planes for ``frames`` frames."""
        return tuple(
            torch.empty(frames, size.height, size.width, dtype=self.spec.dtype)
            for size in self._sizes
        )

    def fill(self, planes: tuple[Tensor, ...], place: int, frame: av.VideoFrame) -> None:
        """Copy a frame to index ``place`` of ``planes``, or of it what is read."""
        if frame.format.name != self.name:
            frame = self._reformatter.reformat(frame, format=self.name)
        for index, (plane, size) in enumerate(zip(planes, self._sizes, strict=True)):
            source = frame.planes[_RGB_ORDER[index] if self.spec.layout == "rgb" else index]
            left, top = self._corners[index]
            whole = Size(left + size.width, top + size.height)
            plane[place].numpy()[...] = _view(source, whole, self.spec)[top:, left:]


def pack(planes: tuple[Tensor, ...], place: int, spec: ColorSpec, name: str) -> av.VideoFrame:
    """One frame of ``planes`` as a frame of format ``name``, which has the layout of ``spec``."""
    height, width = planes[0].shape[-2:]
    frame = av.VideoFrame(width, height, name)
    for view, plane in zip(planes_of(frame, spec), planes, strict=True):
        view[...] = plane[place].numpy()
    return frame


def planes_of(
    frame: av.VideoFrame, spec: ColorSpec
) -> tuple[npt.NDArray[np.uint8 | np.uint16], ...]:
    """The memory of a frame of the layout of ``spec``: its planes in that order, (h, w) each."""
    rgb, sizes = spec.layout == "rgb", spec.plane_sizes(Size(frame.width, frame.height))
    return tuple(
        _view(frame.planes[_RGB_ORDER[index] if rgb else index], size, spec)
        for index, size in enumerate(sizes)
    )


def _view(plane: VideoPlane, size: Size, spec: ColorSpec) -> npt.NDArray[np.uint8 | np.uint16]:
    """A plane's memory without its padding, (h, w)."""
    kind = np.dtype(np.uint8 if spec.depth <= 8 else np.uint16)
    flat = np.frombuffer(cast(memoryview, plane), kind)
    lines = flat.reshape(-1, plane.line_size // flat.itemsize)
    return lines[: size.height, : size.width]


def _suffix(depth: int, known: tuple[int, ...]) -> str:
    fitting = next((bits for bits in known if bits >= depth), 16)
    return "" if fitting == 8 else f"{fitting}le"


def _log2(number: int) -> int:
    return max(0, number.bit_length() - 1)

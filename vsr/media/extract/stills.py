"""Convert single frames of a clip to pictures: RGB, upright, with square pixels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vsr.color import to_rgb
from vsr.media.clip import Clip
from vsr.media.extract.selection import Plane
from vsr.media.read.probe import MediaInfo

Picture = NDArray[np.uint8] | NDArray[np.uint16]


def luma_of(clip: Clip, place: int) -> Plane:
    """The luma of one frame, (h, w) 0..1; green for RGB layouts."""
    plane = clip.planes[1 if clip.color.layout == "rgb" else 0][place].numpy()
    peak = np.float32((1 << clip.color.depth) - 1)
    level = plane.astype(np.float32) / peak
    return level if clip.color.full else np.clip((level - 16 / 255) * (255 / 219), 0, 1)


def rgb_of(clip: Clip, place: int) -> Picture:
    """One frame as (h, w, 3) RGB of 8 bits, or of 16 where the film has more than 8."""
    spec = clip.color.resolved(clip.size.height)
    planes = tuple(plane[place : place + 1] for plane in clip.planes)
    pixels = to_rgb(planes, spec)[0, :3].clamp_(0, 1).permute(1, 2, 0).numpy()
    if spec.depth <= 8:
        return np.rint(pixels * 255).astype(np.uint8)
    return np.rint(pixels * 65535).astype(np.uint16)


def upright(picture: Picture, info: MediaInfo) -> Picture:
    """A picture as it is meant to be shown: shrunk to square pixels, and turned upright."""
    aspect = info.sample_aspect
    if aspect is not None and aspect > 0 and aspect != 1:
        height, width = picture.shape[:2]
        size = (
            (width, max(1, round(height / aspect)))
            if aspect > 1
            else (max(1, round(width * aspect)), height)
        )
        shrunk = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
        picture = _like(shrunk, picture)
    if info.rotation % 90 == 0 and info.rotation % 360:
        picture = _like(np.rot90(picture, info.rotation // 90), picture)
    return picture


def _like(pixels: NDArray[Any], picture: Picture) -> Picture:
    """Returns the pixels with the picture's type: annotations of numpy and OpenCV lose it."""
    assert pixels.dtype == picture.dtype
    return np.ascontiguousarray(pixels)

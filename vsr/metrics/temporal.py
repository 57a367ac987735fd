"""The flicker of a film: the change between two frames that its motion does not explain."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vsr.metrics.picture import luma, rounded, same_shape

_CONSISTENT = 0.01, 0.5
"""Of Sundaram et al., ECCV 2010: how far forward and backward motion may part."""
MIN_SIDE = 16
"""Pixels a side at least: below it, OpenCV's optical flow has no window to search in."""

MAX_SIDE = (1 << 15) - 2
"""Pixels a side at most: OpenCV's remap, which its optical flow uses too, takes no more."""

Plane = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class FlowField:
    """Dense optical flow: where each pixel was in the frame before."""

    source: NDArray[np.float32]
    """(h, w, 2) float32: the place in the frame before, column then row, in pixels."""
    valid: NDArray[np.bool_]
    """(h, w): false where a pixel was hidden before or came from outside."""


def can_be_followed(height: int, width: int) -> bool:
    """Whether motion can be told in frames of this size."""
    return min(height, width) >= MIN_SIDE and max(height, width) <= MAX_SIDE


def motion(before: Tensor, after: Tensor) -> FlowField:
    """Dense optical flow from ``after`` back to ``before``, both (3, h, w) RGB 0..1.

    OpenCV's DIS (Kroeger et al., ECCV 2016), checked forwards and backwards.
    """
    same_shape(before, after)
    return motion_of(luma(rounded(before)), luma(rounded(after)))


def motion_of(before: Tensor, after: Tensor) -> FlowField:
    """:func:`motion` of two (h, w) planes of 8-bit code values."""
    first, second = (_bytes(plane) for plane in (before, after))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)  # to the pixel: at half size, fine texture would count as flicker
    back = _flow(search, second, first)
    forth = _flow(search, first, second)
    height, width = first.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    source = np.stack([columns, rows], axis=2) + back
    met = _moved(forth, source)
    apart = np.square(back + met).sum(2)
    relative, absolute = _CONSISTENT
    allowed = relative * (np.square(back).sum(2) + np.square(met).sum(2)) + absolute
    inside = (source >= 0).all(2) & (source[..., 0] <= width - 1) & (source[..., 1] <= height - 1)
    return FlowField(source, inside & (apart <= allowed))


def warping_error(before: Tensor, after: Tensor, moved: FlowField) -> float:
    """Root mean square, in 8-bit code values of luma, of ``after`` minus ``before`` moved along.

    The warping error of Lai et al., ECCV 2018 (there the square of it, on RGB), 0..219, over the
    places that ``moved`` can tell; 0 where there are none. The motion should be the reference's:
    then two films are measured at the same places. Blur lowers it, so set it against the
    reference's own.
    """
    same_shape(before, after)
    return unexplained(luma(rounded(before)), luma(rounded(after)), moved)


def flicker(made: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor]) -> float:
    """:func:`warping_error` of two frames that follow each other, above that of the reference's.

    Both along the reference's motion; below 0 where the frames are steadier than it.
    """
    moved = motion(*reference)
    return warping_error(*made, moved) - warping_error(*reference, moved)


def unexplained(before: Tensor, after: Tensor, moved: FlowField) -> float:
    """:func:`warping_error` of two (h, w) planes of 8-bit code values."""
    one, two = (plane.float().cpu().numpy() for plane in (before, after))
    difference = (two - _moved(one, moved.source))[moved.valid]
    return (
        float(np.sqrt(np.square(difference, dtype=np.float64).mean())) if difference.size else 0.0
    )


def _bytes(plane: Tensor) -> Plane:
    return plane.round().to(torch.uint8).cpu().numpy()


def _flow(search: cv2.DISOpticalFlow, first: Plane, second: Plane) -> NDArray[np.float32]:
    empty = np.zeros((*first.shape, 2), np.float32)
    return np.asarray(search.calc(first, second, empty), dtype=np.float32)


def _moved(values: NDArray[np.float32], source: NDArray[np.float32]) -> NDArray[np.float32]:
    columns, rows = np.ascontiguousarray(source[..., 0]), np.ascontiguousarray(source[..., 1])
    moved = cv2.remap(values, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, dtype=np.float32)

"""Low and high pictures of one scene, which networks are measured on, and folders of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from vsr.degrade.base import Frames
from vsr.errors import DataError
from vsr.media.read.rgb import Pixels, files_in, read_rgb
from vsr.media.suffixes import TRAINING_PICTURE_SUFFIXES

THUMB, ALIKE = 32, 0.7
"""Side of the thumbnails by which pictures are told for neighbours, and their least correlation."""


@dataclass(frozen=True, slots=True, eq=False)
class PicturePair:
    """A held-out picture, or some consecutive frames of a film, small and in the original."""

    name: str
    """The file's name, or what a film is called in tables."""
    low: Tensor
    """(n, 3, h, w) float32 RGB 0..1; n is 1 for a picture."""
    high: Tensor
    """(n, 3, h * scale, w * scale), the same."""


def is_pairs(folder: Path) -> bool:
    """Whether it is laid out as the test sets are: ``HR`` and ``LR``, one name on both sides."""
    return (folder / "HR").is_dir() and (folder / "LR").is_dir()


def pairs_in(folder: Path, scale: int) -> Iterator[PicturePair]:
    """The pairs of such a folder, one at a time. Raises :class:`DataError` if there is none."""
    highs = files_in([folder / "HR"], TRAINING_PICTURE_SUFFIXES)
    pairs = [(high, folder / "LR" / high.name) for high in highs]
    pairs = [(high, low) for high, low in pairs if low.exists()]
    if not pairs:
        raise DataError(f"{folder} holds no picture that is both in HR and in LR")
    for high, low in pairs:
        pair = PicturePair(high.name, as_tensor(read_rgb(low)), as_tensor(read_rgb(high)))
        if [side * scale for side in pair.low.shape[-2:]] != list(pair.high.shape[-2:]):
            raise DataError(
                f"{pair.name} in {folder}: HR must be {scale} times as large as LR, got "
                f"{tuple(pair.high.shape[-2:])} and {tuple(pair.low.shape[-2:])}"
            )
        yield pair


def follows(frame: Pixels, before: Pixels) -> bool:
    """Whether two pictures look like neighbours of a film, and not like two photographs."""
    small = [
        cv2.resize(one, (THUMB, THUMB), interpolation=cv2.INTER_AREA).astype(np.float64).ravel()
        for one in (frame, before)
    ]
    one, two = (pixels - pixels.mean() for pixels in small)
    return float(one @ two) > ALIKE * float(np.sqrt((one @ one) * (two @ two)))


def as_tensors(frames: Frames) -> Tensor:
    """(t, h, w, 3) uint8 to (t, 3, h, w) 0..1."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255


def as_tensor(pixels: Pixels) -> Tensor:
    """(h, w, 3) uint8 to (1, 3, h, w) 0..1."""
    return as_tensors(pixels[None])

"""Find pictures and read them as 8-bit RGB, as training and measuring want them.

It works where PyAV is not installed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vsr.errors import DataError
from vsr.geometry import Size
from vsr.media.read.picture_header import claimed_size

Pixels = NDArray[np.uint8]
"""(h, w, 3) RGB 0..255."""
SHEET = "sheet.png"
"""What `vsr extract` writes beside its frames."""
HEADER_BYTES = 1 << 18


def files_in(places: Iterable[Path], endings: frozenset[str]) -> list[Path]:
    """Files with one of the endings, in folders and below, or the places themselves. Sorted."""
    found: set[Path] = set()
    for place in places:
        if place.is_dir():
            found |= {
                path
                for path in place.rglob("*")
                if path.suffix.lower() in endings
                and path.is_file()
                and not any(part.startswith(".") for part in path.relative_to(place).parts)
                and path.name != SHEET
            }
        elif place.is_file() and place.suffix.lower() in endings:
            found.add(place)
        elif not place.exists():
            raise DataError(f"there is no file or folder {place}", hint="check the path")
    return sorted(found)


def size_of(path: Path) -> Size:
    """Returns a picture's size: from its header, or else by decoding. Raises :class:`DataError`."""
    try:
        with path.open("rb") as file:
            size = claimed_size(file.read(HEADER_BYTES))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if size is not None:
        return _checked(size.width, size.height, path)
    pixels = read_rgb(path)
    return Size(pixels.shape[1], pixels.shape[0])


def _checked(width: int, height: int, path: Path) -> Size:
    if not 0 < width <= 1 << 16 or not 0 < height <= 1 << 16:
        raise DataError(f"{path} claims to be of {width}x{height} px")
    return Size(width, height)


def read_rgb(path: Path) -> Pixels:
    """Returns the picture; of 16 bits, rounded to 8. Raises :class:`DataError`."""
    try:
        data = np.fromfile(path, dtype=np.uint8)
        decoded = (
            cv2.imdecode(data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH) if data.size else None
        )
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except cv2.error as error:
        raise DataError(f"{path} is not a picture that can be decoded: {error.err}") from error
    if decoded is None:
        raise DataError(f"{path} is not a picture that can be decoded", hint="is it complete?")
    if decoded.dtype == np.uint16:
        decoded = np.rint(decoded.astype(np.float32) / 257)
    elif decoded.dtype != np.uint8:
        decoded = np.rint(np.clip(decoded, 0, 1) * 255)
    return np.ascontiguousarray(decoded, dtype=np.uint8)

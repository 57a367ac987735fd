"""Limits on the size that a frame may claim, checked before memory is spent on it."""

from __future__ import annotations

from vsr.errors import MediaError
from vsr.geometry import Size

SOURCE_PIXELS = 1 << 27  # 16K video has 15360x8640; a frame of four channels takes half a gigabyte
TARGET_PIXELS = 1 << 29  # 8K four times enlarged has 30720x17280
FFMPEG_PIXELS = (1 << 31) - 1  # its own limit, unless told
PICTURE_BYTES = 1 << 30
HINT = "if it really is that large, and there is memory for it: --allow-huge"


def check_claim(name: object, size: Size, *, allow_huge: bool) -> None:
    """Raise :class:`MediaError` for a source whose claimed frame size is over the limit."""
    if size.pixels > SOURCE_PIXELS and not allow_huge:
        raise MediaError(
            f"{name} claims frames of {size}, more than {SOURCE_PIXELS >> 20} million pixels",
            hint=HINT,
        )


def check_target_size(size: Size, *, allow_huge: bool) -> None:
    """Raise :class:`MediaError` for a target whose frame size is over the limit."""
    if size.pixels > TARGET_PIXELS and not allow_huge:
        raise MediaError(
            f"the target would have frames of {size}, more than {TARGET_PIXELS >> 20} "
            "million pixels",
            hint=f"ask for less with --scale or --height; {HINT}",
        )

"""What a network says of itself, to the engine and to whoever measures and exports it."""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from torch import nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)


class SRModule(nn.Module):
    """A network that enlarges pictures.

    It takes (n, channels, h, w) RGB of 0..1 of any size and returns (n, channels, h * scale,
    w * scale), and casts its input to the type of its own weights. The attributes below are all
    that is asked of it; each default is always right, only slower. A module that states a
    :class:`OwnRadius` is not looked into for its receptive field.
    """

    scale: int
    """How many times it enlarges each side."""
    channels: int = 3
    """How many channels it takes and gives: 1 (grey), 3 (RGB) or 4 (RGBA)."""
    alpha: bool = False
    """Whether it takes RGB and RGBA alike; else alpha is enlarged by bicubic."""
    multiple_of: int = 1
    """Windows of a larger picture must begin at multiples of so many source pixels."""
    can_crop: bool = False
    """Whether ``forward(pixels, crop)`` takes a :class:`~vsr.models.crop_schedule.CropSchedule` and
    leaves out what the kept part of a window does not depend on; else tiles are computed whole."""
    state_channels: int = 0
    """Channels of state that a recurrent network keeps of each pixel, and then it has ``step()``
    and ``zero_state()`` (:class:`vsr.models.recurrent.Recurrent`); 0 where frames are independent
    of each other. Sub-pixel networks have ``subpixel()``, too
    (:class:`vsr.models.subpixel.SubpixelNetwork`)."""


@runtime_checkable
class OwnRadius(Protocol):
    """A layer or network that knows its receptive field: all that it holds is counted in it."""

    radius: float
    """In pixels of its own input."""

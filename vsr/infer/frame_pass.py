"""How frames of a clip go through a network: the interface of the two ways there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from vsr.infer.footprint import Conversion
from vsr.infer.reuse import CellMask
from vsr.motion import Motion

Planes = tuple[Tensor, ...]  # each (n, h, w) integers, luma first


@dataclass(frozen=True, slots=True, eq=False)  # tensors do not compare with ==
class Work:
    """Consecutive frames to be enlarged."""

    planes: Planes
    """The frames as decoded, on the host."""
    conversion: Conversion
    """What they are to become."""
    motion: Motion | None
    """How they move, for recurrent networks."""
    changed: Sequence[CellMask | None] | None
    """What changed in each frame since the one before, where that was found already."""
    begins: bool
    """True if earlier frames must not be used."""
    lead_in: bool = False
    """Whether the frames are seen by the network alone: what is made of them is not used."""


class FramePass(Protocol):
    """Enlarges frames in their order, and keeps what it needs of the last one for the next.

    :class:`vsr.infer.independent.IndependentPass` is for networks that see one frame at a time,
    :class:`vsr.infer.recurrent.RecurrentPass` for recurrent ones.
    """

    def prepared(self, work: Work) -> Work:
        """The work completed with what must be computed once and in order, such as motion.

        Called once for each clip, in order; ``run`` may be called for it again.
        """
        ...

    def run(self, work: Work) -> Planes:
        """The target's planes, (n, H, W) each, on the device."""
        ...

    def forget(self) -> None:
        """Drop what was kept of the last frame."""
        ...

    def snapshot(self) -> Callable[[], None]:
        """Returns a function that restores what is kept now."""
        ...

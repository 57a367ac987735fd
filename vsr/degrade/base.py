"""What a degradation is: frames and a random generator in, frames out. Nothing else is random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Frames: TypeAlias = NDArray[np.uint8]
"""(t, h, w, 3) RGB 0..255: consecutive frames, or one."""


class Degradation(Protocol):
    """One kind of damage; a frozen value whose fields are its strengths.

    ``frames`` is how many consecutive frames it wants to see, ``margin`` how many low-resolution
    pixels around a patch it looks at or spoils because a patch has edges and a film has none.
    """

    @property
    def frames(self) -> int:
        """Consecutive frames wanted."""
        ...

    @property
    def margin(self) -> int:
        """Low-resolution pixels wanted around a patch."""
        ...

    def __call__(self, frames: Frames, rng: Generator) -> Frames:
        """Spoilt frames, as many as came; fresh memory or the very frames that came."""
        ...


def run(chain: Sequence[Degradation], frames: Frames, rng: Generator) -> Frames:
    """One after the other."""
    for degradation in chain:
        frames = degradation(frames, rng)
    return frames


def frames_wanted(chain: Sequence[Degradation]) -> int:
    """The longest of the chain's wishes."""
    return max(degradation.frames for degradation in chain)


def margin_wanted(chain: Sequence[Degradation]) -> int:
    """The widest of the chain's wishes, in low-resolution pixels."""
    return max(degradation.margin for degradation in chain)


def happens(chance: float, rng: Generator) -> bool:
    """True with a probability of ``chance``."""
    return bool(rng.random() < chance)

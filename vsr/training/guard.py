"""What to do when a loss is not a number, or runs away: skip, halve the learning rate, stop."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vsr.errors import TrainingDiverged

HALVE_AFTER, STOP_AFTER = 3, 12
RUNAWAY = 20.0
SMOOTHING = 0.99
SETTLING_STEPS = 200


@dataclass(slots=True)
class Guard:
    """Watches every step's loss and gradient norm.

    A step that is not finite is skipped; three in a row halve the learning rate; twelve in a row
    end the run.
    """

    scale: float = 1.0
    """What the learning rate is multiplied with: 1, halved as often as that happened."""
    skipped: int = 0
    """Steps that were skipped in all."""
    in_a_row: int = 0
    """Steps that were skipped since the last that was taken."""
    smoothed: float = 0.0
    """Running mean of the loss, which begins at 0 and so is too low at first."""
    lowest: float = math.inf
    """The lowest mean so far, once enough steps were seen."""
    seen: int = 0
    """Finite steps since the beginning, or since the loss became another one."""
    watches: bool = True
    """Whether a mean loss of twenty times the lowest ends the run, too."""

    def admits(self, loss: float, norm: float) -> bool:
        """Whether the step may be taken. Raises :class:`TrainingDiverged`."""
        if math.isfinite(loss) and math.isfinite(norm):
            self.in_a_row = 0
            if self.watches:
                self._watch(loss)
            return True
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row >= STOP_AFTER:
            raise TrainingDiverged(
                f"the loss was not finite in {self.in_a_row} steps in a row "
                f"(loss {loss:g}, gradient norm {norm:g})",
                hint="try a lower --lr, or --dtype fp32; the last checkpoint is kept",
            )
        if self.in_a_row % HALVE_AFTER == 0:
            self.scale /= 2
        return False

    def _watch(self, loss: float) -> None:
        self.seen += 1
        self.smoothed = SMOOTHING * self.smoothed + (1 - SMOOTHING) * loss
        if self.seen < SETTLING_STEPS:
            return
        mean = self.smoothed / (1 - SMOOTHING**self.seen)
        self.lowest = min(self.lowest, mean)
        if mean > RUNAWAY * self.lowest:
            raise TrainingDiverged(
                f"the loss ran away: {mean:.4g} now, {self.lowest:.4g} at its lowest",
                hint="try a lower --lr; the best weights until here are kept",
            )

    def settle(self) -> None:
        """Forget how low the loss was: from here on it is another one."""
        self.smoothed, self.lowest, self.seen = 0.0, math.inf, 0

    def state(self) -> dict[str, float]:
        """For a checkpoint."""
        return {name: float(getattr(self, name)) for name in self.__slots__}

    def restore(self, state: dict[str, float]) -> None:
        """From a checkpoint."""
        self.scale, self.smoothed = state["scale"], state["smoothed"]
        self.lowest, self.watches = state["lowest"], bool(state["watches"])
        self.skipped, self.in_a_row = int(state["skipped"]), int(state["in_a_row"])
        self.seen = int(state["seen"])

"""Means of the losses since the last report, and the pace."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from vsr.training.events import Stepped
from vsr.training.ranks import Ranks, numbers
from vsr.training.task import Losses


class LossAverages:
    """Adds up on the device; ``means`` waits for it, so it is asked seldom."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._begun = time.monotonic()
        self._paced = (self._begun, 0)
        self.steps = 0

    def add(self, losses: Losses) -> None:
        """One step's."""
        for name, loss in losses.items():
            value = loss.float()
            self._counts[name] = self._counts.get(name, 0) + 1
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self.steps += 1

    def means(self) -> dict[str, float]:
        """By name, over all processes: every process must ask at the same step."""
        if not self._counts:
            return {}
        stacked = self._ranks.mean(torch.stack(list(self._sums.values())))
        values = numbers(list(stacked))
        counted = zip(self._sums.items(), values, strict=True)
        return {name: value / self._counts[name] for (name, _), value in counted}

    def line(self, step: int, seconds: float, rate: float) -> dict[str, object]:
        """For the journal; what comes after begins anew."""
        losses = {name: round(value, 7) for name, value in self.means().items()}
        self._sums, self._counts = {}, {}
        return {"step": step, "seconds": round(seconds, 2), "lr": rate, "losses": losses}

    def event(self, step: int, done: float, rate: float, waited_seconds: float) -> Stepped:
        """For people: the pace since the last time, and the share of all time waited for data."""
        now = time.monotonic()
        before, steps = self._paced
        self._paced = now, self.steps
        # No collective here: each process tells at a time of its own.
        sums = {name: float(value) / self._counts[name] for name, value in self._sums.items()}
        return Stepped(
            step=step,
            done=done,
            losses=sums,
            rate=rate,
            steps_per_second=(self.steps - steps) / max(1e-9, now - before),
            waiting=waited_seconds / max(1e-9, now - self._begun),
        )

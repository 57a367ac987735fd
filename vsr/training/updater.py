"""Where a step computes, how one network's weights move, and by which learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vsr.training.guard import Guard
from vsr.training.ranks import Ranks, numbers
from vsr.training.recipe import Recipe

State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TrainingDevice:
    """Where a task computes."""

    device: torch.device
    """The torch device of this process."""
    dtype: torch.dtype
    """The type inside of autocast; float32 for none."""
    ranks: Ranks
    """The processes whose gradients are averaged."""
    compile: bool = False
    """Whether networks go through torch.compile."""

    def move(self, module: nn.Module) -> nn.Module:
        """The module itself, on the device, in the memory order that convolutions prefer."""
        to: Any = module.to  # one of its overloads is missing from torch's types
        return to(self.device, memory_format=torch.channels_last)

    def autocast(self) -> torch.autocast:
        """Half precision where the type is half, else nothing."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)


class Updater:
    """Adam on one network, with clipping, loss scaling for fp16, and the guard's word."""

    def __init__(
        self,
        module: nn.Module,
        place: TrainingDevice,
        *,
        lr: float,
        betas: tuple[float, float],
        clip: float,
    ) -> None:
        self._parameters = list(module.parameters())
        self._place, self._lr, self._clip = place, lr, clip
        fused = place.device.type in ("cpu", "cuda")
        self._adam = torch.optim.Adam(self._parameters, lr, betas, fused=fused)
        self._scaler = torch.amp.GradScaler(place.device.type, enabled=place.dtype == torch.float16)

    def update(self, loss: Tensor, factor: float, guard: Guard) -> bool:
        """Backward pass and a step; false if the guard had it skipped."""
        self._adam.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        self._place.ranks.average_gradients(self._parameters)
        self._scaler.unscale_(self._adam)
        norm = nn.utils.clip_grad_norm_(self._parameters, self._clip)
        # Gradients are averaged over processes already; the loss must be, or guards would disagree.
        mean = self._place.ranks.mean(loss.detach().float())
        value, norm = numbers([mean, norm.float()])
        # Loss scaling overflows on purpose now and then; only without any it is a bad sign.
        scaling = self._scaler.is_enabled() and self._scaler.get_scale() > 1
        admitted = guard.admits(value, 0.0 if scaling else norm)
        for group in self._adam.param_groups:
            group["lr"] = self._lr * factor * guard.scale
        if admitted:
            self._scaler.step(self._adam)
        if self._scaler.is_enabled():
            self._scaler.update()
        return admitted

    def state(self) -> State:
        """For a checkpoint."""
        return {"adam": self._adam.state_dict(), "scaler": self._scaler.state_dict()}

    def restore(self, state: State) -> None:
        """From a checkpoint."""
        self._adam.load_state_dict(state["adam"])
        if state["scaler"]:
            self._scaler.load_state_dict(state["scaler"])


def progress(step: int, steps: int, seconds: float, budget_seconds: float | None) -> float:
    """How much of a run is done, 0..1: by steps or by time, whichever is further."""
    by_steps = step / steps
    by_time = seconds / budget_seconds if budget_seconds else 0.0
    return min(1.0, max(by_steps, by_time))


def factor(recipe: Recipe, step: int, done: float) -> float:
    """What the learning rate is multiplied with at ``step``, ``done`` of the run being over.

    A linear rise over the recipe's first steps; then a half cosine down to ``final_lr``
    (Loshchilov & Hutter, ICLR 2017), or by ``step_factor`` at each of ``milestones`` (SRGAN,
    section 3.2). A first stage on pixels falls from its own rate, and the second begins anew.
    """
    first = recipe.pixel_first
    top = recipe.pixel_lr / recipe.lr if done < first else 1.0
    done = done / first if done < first else (done - first) / (1 - first)
    warm = min(1.0, (step + 1) / recipe.warmup_steps) if recipe.warmup_steps else 1.0
    if recipe.schedule == "step":
        return (
            top
            * warm
            * recipe.step_factor ** sum(done >= milestone for milestone in recipe.milestones)
        )
    wave = (1 + math.cos(math.pi * done)) / 2
    return top * warm * (recipe.final_lr + (1 - recipe.final_lr) * wave)

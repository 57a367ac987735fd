"""The learning rate over a run: a factor from progress. Pure numbers."""

from __future__ import annotations

import math

from vsr.training.recipe import Recipe


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

"""One step of learning: what is computed, what is made small, which weights move. No loop.

:class:`PixelTask` is the warm-up and the pixel recipes; :class:`GanTask` adds the discriminator and
the content loss. Pictures are (n, 3, h, w); ``low`` is 0..1, ``high`` and what is made are in the
recipe's range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vsr.models.discriminator import Discriminator
from vsr.training.data import Batch
from vsr.training.ema import Ema
from vsr.training.guard import Guard
from vsr.training.losses.adversarial import ADVERSARIAL_LOSSES
from vsr.training.losses.perceptual import ContentLoss
from vsr.training.losses.pixel import PIXEL_LOSSES, tone
from vsr.training.ranks import Ranks, bare, numbers
from vsr.training.recipes import Recipe
from vsr.training.vgg import Vgg

Losses = Mapping[str, Tensor]
State = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task computes, and in which type inside of autocast."""

    device: torch.device
    dtype: torch.dtype
    ranks: Ranks
    compile: bool = False

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
        self, module: nn.Module, place: Place, *, lr: float, betas: tuple[float, float], clip: float
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


class PixelTask:
    """A generator that learns to be near in pixels."""

    def __init__(self, recipe: Recipe, generator: nn.Module, place: Place) -> None:
        self.recipe, self.place = recipe, place
        self.guard = Guard()
        self.generator = place.move(generator).train()
        self.ema = Ema(self.generator, recipe.ema)
        wrapped = place.ranks.wrap(self.generator)
        self.generator = bare(wrapped)
        self._run: Callable[[Tensor], Tensor] = torch.compile(wrapped) if place.compile else wrapped
        self._pixel = PIXEL_LOSSES[recipe.pixel]
        self._updater = Updater(
            self.generator, place, lr=recipe.lr, betas=recipe.betas, clip=recipe.clip
        )

    def step(self, batch: Batch, factor: float) -> Losses:
        """One batch; ``factor`` multiplies the learning rate. The losses are detached scalars."""
        low, high = self.prepared(batch)
        with self.place.autocast():
            made = self._run(low).float()
        pixel = self._pixel(made, high)
        if self._updater.update(pixel * self.recipe.pixel_weight, factor, self.guard):
            self.ema.update(self.generator)
        return {"pixel": pixel.detach()}

    def prepared(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """uint8 on the host to float32 on the device, in the recipe's ranges."""
        low, high = (
            part.to(self.place.device, non_blocking=True).float().div_(255) for part in batch
        )
        return low, high.mul_(2).sub_(1) if self.recipe.signed else high

    def state(self) -> State:
        """Networks, optimisers, average and guard, for a checkpoint."""
        return {
            "generator": self.generator.state_dict(),
            "average": self.ema.average.state_dict(),
            "updates": self.ema.updates,
            "updater": self._updater.state(),
            "guard": self.guard.state(),
        }

    def restore(self, state: State) -> None:
        """From a checkpoint; everything must fit."""
        self.generator.load_state_dict(state["generator"])
        self.ema.average.load_state_dict(state["average"])
        self.ema.updates = state["updates"]
        self._updater.restore(state["updater"])
        self.guard.restore(state["guard"])


class GanTask(PixelTask):
    """A generator that learns to be near in content and to pass for real, and its adversary."""

    def __init__(self, recipe: Recipe, generator: nn.Module, place: Place, vgg: Vgg | None) -> None:
        super().__init__(recipe, generator, place)
        # A discriminator's loss may fall to nothing and rise again: that is the game.
        self.judge_guard = Guard(watches=False)
        self._adversarial = ADVERSARIAL_LOSSES[recipe.adversarial]
        side = recipe.patch * recipe.scale if recipe.head == "global" else None
        self._judge = place.ranks.wrap(place.move(Discriminator(side)).train())
        self.discriminator = bare(self._judge)
        self._judge_updater = Updater(
            self.discriminator,
            place,
            lr=recipe.discriminator_lr,
            betas=recipe.betas,
            clip=recipe.clip,
        )
        self._content: ContentLoss | None = None
        if vgg is not None:
            place.move(vgg)
            self._content = ContentLoss(vgg, recipe.content[vgg.layout])

    def step(self, batch: Batch, factor: float) -> Losses:
        """First the discriminator (real 1, made 0), then the generator against the new one."""
        low, high = self.prepared(batch)
        with self.place.autocast():
            made = self._run(low).float()
        judged = self.discriminator_step(made.detach(), high, factor)
        return {**judged, **self.generator_step(made, high, factor)}

    def discriminator_step(self, made: Tensor, high: Tensor, factor: float) -> Losses:
        """The discriminator learns to tell ``high`` from ``made``."""
        self.discriminator.requires_grad_(True)
        with self.place.autocast():
            real_logits, made_logits = self._judge(high).float(), self._judge(made).float()
        loss = self._adversarial.discriminator(real_logits, made_logits)
        self._judge_updater.update(loss, factor, self.judge_guard)
        return {
            "discriminator": loss.detach(),
            "real": real_logits.detach().sigmoid().mean(),
            "made": made_logits.detach().sigmoid().mean(),
        }

    def generator_step(self, made: Tensor, high: Tensor, factor: float) -> Losses:
        """Content, adversarial, pixel and tone losses by their weights, all of the same picture."""
        recipe = self.recipe
        self.discriminator.requires_grad_(False)
        with self.place.autocast():
            made_logits = self.discriminator(made).float()
            if self._adversarial.needs_real:
                with torch.no_grad():
                    real_logits = self.discriminator(high).float()
            else:
                real_logits = made_logits.detach()
            losses = {
                "pixel": self._pixel(made, high),
                "tone": tone(made, high, recipe.scale),
                "adversarial": self._adversarial.generator(real_logits, made_logits),
            }
            if self._content is not None:
                losses["content"] = self._content(self._plain(made), self._plain(high))
        total = (
            recipe.pixel_weight * losses["pixel"]
            + recipe.tone_weight * losses["tone"]
            + recipe.adversarial_weight * losses["adversarial"]
            + recipe.content_weight * losses.get("content", torch.zeros_like(losses["pixel"]))
        )
        if self._updater.update(total, factor, self.guard):
            self.ema.update(self.generator)
        return {name: loss.detach() for name, loss in losses.items()}

    def _plain(self, pixels: Tensor) -> Tensor:
        """To 0..1, as VGG expects."""
        return (pixels + 1) / 2 if self.recipe.signed else pixels

    def state(self) -> State:
        """The pixel task's, and the adversary's."""
        return {
            **super().state(),
            "discriminator": self.discriminator.state_dict(),
            "judge": self._judge_updater.state(),
            "judge_guard": self.judge_guard.state(),
        }

    def restore(self, state: State) -> None:
        """From a checkpoint; everything must fit."""
        super().restore(state)
        self.discriminator.load_state_dict(state["discriminator"])
        self._judge_updater.restore(state["judge"])
        self.judge_guard.restore(state["judge_guard"])

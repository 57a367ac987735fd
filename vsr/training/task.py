"""One step of training: what is computed, what is minimised, which weights move. No loop.

:class:`PixelTask` is the warm-up and the pixel recipes; :class:`GanTask` adds the discriminator and
the content loss. Pictures are (n, 3, h, w); ``low`` is 0..1, ``high`` and what is made are in the
recipe's range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from vsr.models.discriminator import Discriminator, UNetDiscriminator
from vsr.perceptual.vgg import Vgg
from vsr.training.data.patches import TrainingBatch
from vsr.training.guard import Guard
from vsr.training.losses import ADVERSARIAL_LOSSES, PIXEL_LOSSES, ContentLoss, tone
from vsr.training.network.ema import Ema
from vsr.training.options import LOSSES
from vsr.training.recipe import Recipe
from vsr.training.updater import State, TrainingDevice, Updater

Losses = Mapping[str, Tensor]


class PixelTask:
    """Trains a generator with a pixel loss."""

    def __init__(self, recipe: Recipe, generator: nn.Module, place: TrainingDevice) -> None:
        self.recipe, self.place = recipe, place
        self.guard = Guard()
        self.generator = place.ranks.synchronized(place.move(generator).train())
        self.ema = Ema(self.generator, recipe.ema)
        self._run: Callable[[Tensor], Tensor] = (
            torch.compile(self.generator) if place.compile else self.generator
        )
        self._pixel = PIXEL_LOSSES[recipe.pixel]
        self._updater = Updater(
            self.generator, place, lr=recipe.lr, betas=recipe.betas, clip=recipe.clip
        )

    def step(self, batch: TrainingBatch, factor: float) -> Losses:
        """One batch; ``factor`` multiplies the learning rate. The losses are detached scalars."""
        return self.pixel_step(batch, factor)

    def pixel_step(self, batch: TrainingBatch, factor: float) -> Losses:
        """The same, from the pixel loss alone."""
        low, high, _ = self.prepared(batch)
        with self.place.autocast():
            made = self._run(low).float()
        pixel = self._pixel(made, high)
        if self._updater.update(pixel * self.recipe.pixel_weight, factor, self.guard):
            self.ema.update(self.generator)
        return {"pixel": pixel.detach()}

    def prepared(self, batch: TrainingBatch) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 on the host to float32 on the device, in the recipe's ranges: low, high, real."""
        high = self._target(batch.high)
        real = high if batch.real is None else self._target(batch.real)
        return self._moved(batch.low), high, real

    def _moved(self, pixels: Tensor) -> Tensor:
        return pixels.to(self.place.device, non_blocking=True).float().div_(255)

    def _target(self, pixels: Tensor) -> Tensor:
        moved = self._moved(pixels)
        return moved.mul_(2).sub_(1) if self.recipe.signed else moved

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
        self.ema.updates = int(state["updates"])
        self._updater.restore(state["updater"])
        self.guard.restore(state["guard"])


class GanTask(PixelTask):
    """Trains a generator with content, pixel and adversarial losses, and its discriminator."""

    def __init__(
        self, recipe: Recipe, generator: nn.Module, place: TrainingDevice, vgg: Vgg | None
    ) -> None:
        super().__init__(recipe, generator, place)
        # A discriminator's loss may fall to nothing and rise again.
        self.discriminator_guard = Guard(watches=False)
        self._adversarial = ADVERSARIAL_LOSSES[recipe.adversarial]
        self._began = False
        self.discriminator = place.ranks.synchronized(place.move(discriminator_for(recipe)).train())
        self._discriminator_updater = Updater(
            self.discriminator,
            place,
            lr=recipe.discriminator_lr,
            betas=recipe.betas,
            clip=recipe.clip,
        )
        self._content: ContentLoss | None = None
        if vgg is not None:
            place.move(vgg)
            self._content = ContentLoss(vgg, recipe.content[vgg.layout], recipe.content_loss)

    def step(self, batch: TrainingBatch, factor: float) -> Losses:
        """First the discriminator (real 1, made 0), then the generator against the new one."""
        if not self._began:  # after a first stage whose losses were others
            self.guard.settle()
            self._began = True
        low, high, real = self.prepared(batch)
        with self.place.autocast():
            made = self._run(low).float()
        losses = self.discriminator_step(made.detach(), real, factor)
        return {**losses, **self.generator_step(made, high, real, factor)}

    def discriminator_step(self, made: Tensor, real: Tensor, factor: float) -> Losses:
        """The discriminator learns to tell ``real`` from ``made``."""
        self.discriminator.requires_grad_(True)
        real, made = self._discriminator_input(real, made)
        with self.place.autocast():
            real_logits, made_logits = (
                self.discriminator(real).float(),
                self.discriminator(made).float(),
            )
        loss = self._adversarial.discriminator(real_logits, made_logits)
        self._discriminator_updater.update(loss, factor, self.discriminator_guard)
        return {
            "discriminator": loss.detach(),
            "real": real_logits.detach().sigmoid().mean(),
            "made": made_logits.detach().sigmoid().mean(),
        }

    def generator_step(self, made: Tensor, high: Tensor, real: Tensor, factor: float) -> Losses:
        """Content, adversarial, pixel and tone losses by their weights, all of the same picture.

        ``real`` is what the adversary takes for real: ``high``, or what it was before sharpening.
        """
        return self.learn(self.generator_losses(made, high, real), factor)

    def generator_losses(self, made: Tensor, high: Tensor, real: Tensor) -> dict[str, Tensor]:
        """The same, unweighted: what :meth:`learn` minimises."""
        self.discriminator.requires_grad_(False)
        shown_real, shown_made = self._discriminator_input(real, made)
        with self.place.autocast():
            made_logits = self.discriminator(shown_made).float()
            if self._adversarial.needs_real:
                with torch.no_grad():
                    real_logits = self.discriminator(shown_real).float()
            else:
                real_logits = made_logits.detach()
            losses = {
                "pixel": self._pixel(made, high),
                "tone": tone(made, high, self.recipe.scale),
                "adversarial": self._adversarial.generator(real_logits, made_logits),
            }
            if self._content is not None:
                seen, wanted = self._shifted(made, high)
                losses["content"] = self._content(self._plain(seen), self._plain(wanted))
        return losses

    def learn(self, losses: Mapping[str, Tensor], factor: float) -> Losses:
        """One update of the generator from losses by the recipe's weights."""
        weights: dict[str, float] = {n: getattr(self.recipe, f"{n}_weight") for n in LOSSES}
        terms = [weight * losses[name] for name, weight in weights.items() if name in losses]
        total = sum(terms[1:], terms[0])
        if self._updater.update(total, factor, self.guard):
            self.ema.update(self.generator)
        return {name: loss.detach() for name, loss in losses.items()}

    def _discriminator_input(self, real: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        """What the discriminator sees; one that answers for a whole patch needs all of it."""
        return (real, made) if self.recipe.head == "global" else self._shifted(real, made)

    def _shifted(self, one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
        """Crop both by scale - 1 rows and columns, at one random offset.

        Pools and strides treat places of a cell unlike each other, always the same ones: a network
        that makes cells of pixels would learn their pattern (Odena et al., Distill 2016).
        """
        scale = self.recipe.scale
        y, x = (int(offset) for offset in torch.randint(scale, (2,)))
        height, width = (side - scale + 1 for side in one.shape[-2:])  # always of one shape
        rows, columns = slice(y, y + height), slice(x, x + width)
        return one[..., rows, columns], two[..., rows, columns]

    def _plain(self, pixels: Tensor) -> Tensor:
        """To 0..1, as VGG expects."""
        return (pixels + 1) / 2 if self.recipe.signed else pixels

    def state(self) -> State:
        """The pixel task's, and the adversary's."""
        return {
            **super().state(),
            "discriminator": self.discriminator.state_dict(),
            "judge": self._discriminator_updater.state(),
            "judge_guard": self.discriminator_guard.state(),
            "began": self._began,
        }

    def restore(self, state: State) -> None:
        """From a checkpoint; everything must fit."""
        super().restore(state)
        self.discriminator.load_state_dict(state["discriminator"])
        self._discriminator_updater.restore(state["judge"])
        self.discriminator_guard.restore(state["judge_guard"])
        self._began = state.get("began", True)  # earlier runs had no first stage


def discriminator_for(recipe: Recipe) -> nn.Module:
    """The discriminator that a recipe asks for."""
    if recipe.head == "unet":
        return UNetDiscriminator(recipe.filters)
    return Discriminator(recipe.patch * recipe.scale if recipe.head == "global" else None)

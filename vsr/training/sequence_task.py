"""One step of learning from sequences: a recurrent network, unrolled; adversaries too."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsr.models.discriminator import Discriminator
from vsr.models.recurrent import Recurrent, warp_previous, warped, without_previous
from vsr.motion import STEP
from vsr.perceptual.vgg import Vgg
from vsr.training.data.patches import TrainingBatch
from vsr.training.guard import Guard
from vsr.training.losses import flicker
from vsr.training.recipe import Recipe
from vsr.training.task import GanTask, Losses, PixelTask
from vsr.training.updater import State, TrainingDevice, Updater


class Unrolled(nn.Module):
    """Frames in, frames out: (n, t, 3, h, w) RGB to (n, t, 3, h * scale, w * scale) float32."""

    def __init__(self, network: Recurrent) -> None:
        super().__init__()
        self.network = network

    def forward(self, low: Tensor, motion: Tensor) -> Tensor:
        """``motion``, (n, t, 2, h, w) in pixels, leads from each frame to the one before it."""
        frames = low.unbind(1)
        before, state = without_previous(frames[0]), self.network.zero_state(frames[0])
        made: list[Tensor] = []
        for number, frame in enumerate(frames):
            if number:
                before, state = warp_previous(frames[number - 1], state, motion[:, number])
            cells, state = self.network.step(frame, before, state)
            made.append(cells.shuffled())
        return torch.stack(made, 1)


class SequenceTask(PixelTask):
    """A recurrent network that learns to be near in pixels, from the first frame on."""

    def __init__(self, recipe: Recipe, generator: nn.Module, place: TrainingDevice) -> None:
        super().__init__(recipe, generator, place)
        self._unrolled = Unrolled(cast("Recurrent", self.generator))
        if place.compile:
            self._unrolled.compile()

    def pixel_step(self, batch: TrainingBatch, factor: float) -> Losses:
        """One batch of sequences."""
        assert batch.motion is not None
        low, high, _ = self.prepared(batch)
        motion = batch.motion.to(self.place.device, non_blocking=True).float().div_(STEP)
        with self.place.autocast():
            made = self._unrolled(low, motion).float()
        pixel = self._pixel(made, high)
        if self._updater.update(pixel * self.recipe.pixel_weight, factor, self.guard):
            self.ema.update(self.generator)
        return {"pixel": pixel.detach()}


SEEN = 3
"""Frames in a row that adversaries and VGG look at in a step; all count for pixels and flicker."""
ROUNDS = 3
"""Of the search for where a pixel goes, from where each comes from."""


class SequenceGanTask(GanTask):
    """A recurrent network that learns to pass for real, frame by frame and in motion."""

    def __init__(
        self, recipe: Recipe, generator: nn.Module, place: TrainingDevice, vgg: Vgg | None
    ) -> None:
        super().__init__(recipe, generator, place, vgg)
        self._unrolled = Unrolled(cast("Recurrent", self.generator))
        self.temporal_guard = Guard(watches=False)
        temporal = Discriminator(channels=3 * SEEN)
        self.temporal = place.ranks.synchronized(place.move(temporal).train())
        self._temporal_updater = Updater(
            self.temporal,
            place,
            lr=recipe.discriminator_lr,
            betas=recipe.betas,
            clip=recipe.clip,
        )

    def step(self, batch: TrainingBatch, factor: float) -> Losses:
        """Both adversaries against the sequences made, then the generator against the new ones."""
        if not self._began:
            self.guard.settle()
            self._began = True
        assert batch.motion is not None
        low, high, _ = self.prepared(batch)  # (n, t, 3, h, w)
        motion = batch.motion.to(self.place.device, non_blocking=True).float().div_(STEP)
        with self.place.autocast():
            made = self._unrolled(low, motion).float()
        motion = enlarged(motion, self.recipe.scale)  # (n, t, 2, H, W)
        first = int(torch.randint(max(1, made.shape[1] - SEEN + 1), (1,)))
        seen = slice(first, first + SEEN)
        frames = made[:, seen].flatten(0, 1), high[:, seen].flatten(0, 1)
        told = dict(self.discriminator_step(frames[0].detach(), frames[1], factor))
        losses = self.generator_losses(frames[0], frames[1], frames[1])
        losses["pixel"] = self._pixel(made, high)
        losses["flicker"] = flicker(made, high, motion)
        if made.shape[1] >= SEEN:
            real, shown = (aligned(one[:, seen], motion[:, seen]) for one in (high, made))
            told |= self._temporal_step(shown.detach(), real, factor)
            losses["temporal"] = self._passing(shown, real)
        return {**told, **self.learn(losses, factor)}

    def _temporal_step(self, made: Tensor, real: Tensor, factor: float) -> Losses:
        """The adversary of motion learns to tell ``real`` from ``made``, (n, 9, H, W) each."""
        self.temporal.requires_grad_(True)
        real, made = self._shifted(real, made)
        with self.place.autocast():
            real_logits, made_logits = self.temporal(real).float(), self.temporal(made).float()
        loss = self._adversarial.discriminator(real_logits, made_logits)
        self._temporal_updater.update(loss, factor, self.temporal_guard)
        return {"temporal_discriminator": loss.detach()}

    def _passing(self, made: Tensor, real: Tensor) -> Tensor:
        """How far the made ones are from passing for real in motion."""
        self.temporal.requires_grad_(False)
        real, made = self._shifted(real, made)
        with self.place.autocast():
            made_logits = self.temporal(made).float()
            with torch.no_grad():
                real_logits = self.temporal(real).float()
        return self._adversarial.generator(real_logits, made_logits)

    def state(self) -> State:
        """Those of the frames, and the adversary of motion."""
        return {
            **super().state(),
            "temporal": self.temporal.state_dict(),
            "temporal_updater": self._temporal_updater.state(),
            "temporal_guard": self.temporal_guard.state(),
        }

    def restore(self, state: State) -> None:
        """From a checkpoint; everything must fit."""
        super().restore(state)
        self.temporal.load_state_dict(state["temporal"])
        self._temporal_updater.restore(state["temporal_updater"])
        self.temporal_guard.restore(state["temporal_guard"])


def enlarged(motion: Tensor, scale: int) -> Tensor:
    """(n, t, 2, h, w) in low pixels to (n, t, 2, h * scale, w * scale) in high ones."""
    count, frames, _, height, width = motion.shape
    size = height * scale, width * scale
    large = functional.interpolate(motion.flatten(0, 1), size=size, mode="bilinear")
    return large.mul_(scale).view(count, frames, 2, *size)


def aligned(frames: Tensor, motion: Tensor) -> Tensor:
    """(n, 3, 3, h, w) frames to (n, 9, h, w): the outer two moved to where the middle one has them.

    ``motion``, (n, 3, 2, h, w) in pixels of these frames, leads from each frame to the one before.
    """
    before = warped(frames[:, 0], motion[:, 1])
    after = warped(frames[:, 2], forward(motion[:, 2]))
    return torch.cat([before, frames[:, 1], after], 1)


def forward(backward: Tensor) -> Tensor:
    """From each pixel of a frame to its place in the next, (n, 2, h, w).

    ``backward`` is known: from each pixel of the next frame to its place in this one. The inverse
    is a fixed point (Chen et al., Medical Physics 35, 2008): f(x) = -backward(x + f(x)).
    """
    found = -backward
    for _ in range(ROUNDS):
        found = -warped(backward, found)
    return found

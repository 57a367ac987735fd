"""One step of learning from sequences: a network with a memory, unrolled over frames."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from vsr.models.recurrent import Recurrent, warp_previous, without_previous
from vsr.motion import STEP
from vsr.training.data.patches import TrainingBatch
from vsr.training.recipe import Recipe
from vsr.training.task import Losses, PixelTask
from vsr.training.updater import TrainingDevice


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
    """A network with a memory that learns to be near in pixels, from the first frame on."""

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

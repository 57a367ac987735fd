"""The losses of training, by name: pixels, VGG features, adversaries, motion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import relu, softplus

from vsr.metrics.perceptual import unit_distance
from vsr.models.recurrent import warped
from vsr.perceptual.vgg import Vgg, compared_layers
from vsr.training.options import Content
from vsr.training.recipe import Layers

EPSILON = 1e-3
WINDOW = 8
"""Cells that a grid is sought in, a side."""


def mse(made: Tensor, real: Tensor) -> Tensor:
    """Mean squared error (Ledig et al. 2017, equation 4)."""
    return functional.mse_loss(made, real)


def l1(made: Tensor, real: Tensor) -> Tensor:
    """Mean absolute error (Zhao et al., IEEE TCI 2017)."""
    return functional.l1_loss(made, real)


def charbonnier(made: Tensor, real: Tensor) -> Tensor:
    """Mean of sqrt(d^2 + 0.001^2): L1 with a round bottom (Lai et al., CVPR 2017, equation 2)."""
    return torch.sqrt((made - real).square() + EPSILON**2).mean()


def tone(made: Tensor, real: Tensor, scale: int) -> Tensor:
    """Mean deviation of each picture, by channel and place in a cell of scale² (tint and grid).

    Neither the content nor the adversary minds a slight tint, or a pattern that repeats with the
    cells of the pixel shuffles (Odena et al., "Deconvolution and Checkerboard Artifacts", Distill
    2016); in a film both are plain to see. Detail, whose errors cancel out, costs nothing here.
    """
    astray = functional.pixel_unshuffle(made - real, scale)  # (n, c * scale², h, w)
    astray = astray.reshape(len(made), -1, scale**2, *astray.shape[2:])
    tint = astray.mean((2, 3, 4)).abs().mean()
    # Separately and by windows: beside an unknowable tint, or where its sign changes, a grid would
    # cancel out.
    grid = (astray - astray.mean(2, keepdim=True)).flatten(1, 2)  # (n, c * scale², h, w)
    local = functional.avg_pool2d(grid, min(WINDOW, *grid.shape[2:]))
    return tint + local.abs().mean()


PIXEL_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": mse,
    "l1": l1,
    "charbonnier": charbonnier,
}
CONTENT_LOSSES = {**PIXEL_LOSSES, "unit": unit_distance}


class ContentLoss(nn.Module):
    """sum over layers of weight * loss(phi(made), phi(real)), for RGB 0..1 (n, 3, h, w).

    ``loss`` is a pixel loss (the mean square in SRGAN, L1 in ESRGAN) or ``unit``: the perceptual
    distance itself, :func:`vsr.metrics.perceptual.unit_distance`, each layer counting once. It
    sees a texture in the dark as it sees an edge in the light, whose maps are many times larger.

    The paper divides by width times height alone and so sums over channels; the mean over channels
    too, as most implementations take it, differs by a constant that the weights hold.
    """

    def __init__(self, vgg: Vgg, layers: Layers, loss: Content = "mse") -> None:
        super().__init__()
        self.vgg, self.layers, self._loss = vgg, layers, CONTENT_LOSSES[loss]
        if loss == "unit":
            self.layers = tuple((name, 1.0) for name in compared_layers(vgg))

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """A scalar; no gradient flows to ``real``."""
        names = [name for name, _ in self.layers]
        with torch.no_grad():
            wanted = self.vgg(real, names)
        found = self.vgg(made, names)
        terms = [
            weight * self._loss(mine.float(), theirs.float())
            for (_, weight), mine, theirs in zip(self.layers, found, wanted, strict=True)
        ]
        return torch.stack(terms).sum()


PairLoss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class AdversarialLoss:
    """Two functions of (real logits, made logits), each a scalar mean."""

    name: str
    """What ``--adversarial`` takes."""
    discriminator: PairLoss
    """What the discriminator minimises."""
    generator: PairLoss
    """What the generator minimises."""
    needs_real: bool
    """Whether the generator's depends on real pictures at all."""


def _standard_discriminator(real: Tensor, made: Tensor) -> Tensor:
    return softplus(-real).mean() + softplus(made).mean()


def _standard_generator(real: Tensor, made: Tensor) -> Tensor:
    del real
    return softplus(-made).mean()


def _relativistic_discriminator(real: Tensor, made: Tensor) -> Tensor:
    above, below = real - made.mean(), made - real.mean()
    return (softplus(-above).mean() + softplus(below).mean()) / 2


def _relativistic_generator(real: Tensor, made: Tensor) -> Tensor:
    above, below = real - made.mean(), made - real.mean()
    return (softplus(above).mean() + softplus(-below).mean()) / 2


def _hinge_discriminator(real: Tensor, made: Tensor) -> Tensor:
    return relu(1 - real).mean() + relu(1 + made).mean()


def _hinge_generator(real: Tensor, made: Tensor) -> Tensor:
    del real
    return -made.mean()


ADVERSARIAL_LOSSES: dict[str, AdversarialLoss] = {
    loss.name: loss
    for loss in (
        # Goodfellow et al. 2014; the generator's is Ledig et al. 2017, equation 6: -log D(G(x)).
        AdversarialLoss("standard", _standard_discriminator, _standard_generator, False),
        # Relativistic average GAN (Jolicoeur-Martineau, ICLR 2019), as in ESRGAN (Wang 2018).
        AdversarialLoss("relativistic", _relativistic_discriminator, _relativistic_generator, True),
        # Lim & Ye 2017; Miyato et al., ICLR 2018.
        AdversarialLoss("hinge", _hinge_discriminator, _hinge_generator, False),
    )
}


def flicker(made: Tensor, real: Tensor, motion: Tensor) -> Tensor:
    """How far warped differences are from those of the originals; a scalar.

    (n, t, 3, h, w) frames; ``motion``, (n, t, 2, h, w) in their pixels, leads from each frame to
    the one before. Wrong motion affects both alike, and changes of the original (a light that
    flashes) are allowed. Of one frame it is 0.
    """
    if made.shape[1] < 2:
        return (made * 0).sum()
    return charbonnier(_unexplained(made, motion), _unexplained(real, motion))


def _unexplained(frames: Tensor, motion: Tensor) -> Tensor:
    before = warped(frames[:, :-1].flatten(0, 1), motion[:, 1:].flatten(0, 1))
    return frames[:, 1:].flatten(0, 1) - before

"""The content loss: how far VGG features differ (Ledig et al. 2017, equation 5; Wang 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vsr.training.losses.pixel import PIXEL_LOSSES
from vsr.training.options import PixelLoss
from vsr.training.recipe import Layers
from vsr.training.vgg import Vgg


class ContentLoss(nn.Module):
    """sum over layers of weight * loss(phi(made), phi(real)), for RGB 0..1 (n, 3, h, w).

    ``loss`` is one of the pixel losses: the mean square in SRGAN, L1 in ESRGAN.

    The paper divides by width times height alone and so sums over channels; the mean over channels
    too, as most implementations take it, differs by a constant that the weights hold.
    """

    def __init__(self, vgg: Vgg, layers: Layers, loss: PixelLoss = "mse") -> None:
        super().__init__()
        self.vgg, self.layers, self._loss = vgg, layers, PIXEL_LOSSES[loss]

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

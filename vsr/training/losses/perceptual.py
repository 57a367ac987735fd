"""The content loss: mean squared error of VGG features (Ledig et al. 2017, equation 5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsr.training.recipes import Layers
from vsr.training.vgg import Vgg


class ContentLoss(nn.Module):
    """sum over layers of weight * mean((phi(made) - phi(real))^2), for RGB 0..1 (n, 3, h, w).

    The paper divides by width times height alone and so sums over channels; the mean over channels
    too, as most implementations take it, differs by a constant that the weights hold.
    """

    def __init__(self, vgg: Vgg, layers: Layers) -> None:
        super().__init__()
        self.vgg, self.layers = vgg, layers

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """A scalar; no gradient flows to ``real``."""
        names = [name for name, _ in self.layers]
        with torch.no_grad():
            wanted = self.vgg(real, names)
        found = self.vgg(made, names)
        terms = [
            weight * functional.mse_loss(mine.float(), theirs.float())
            for (_, weight), mine, theirs in zip(self.layers, found, wanted, strict=True)
        ]
        return torch.stack(terms).sum()

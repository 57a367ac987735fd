"""SRGAN's discriminator (Ledig et al., CVPR 2017, figure 4 and section 2.1.1), with two heads.

Eight 3x3 convolutions of 64 to 512 filters, a stride of 2 in place of each pooling, LeakyReLU 0.2,
batch norm after all but the first. Used in training alone: it is not in the catalog.
"""

from __future__ import annotations

from torch import Tensor, nn

from vsr.errors import OptionsError

PLAN = ((64, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2))
"""Filters and stride of each convolution."""
REDUCTION = 16
HIDDEN = 1024


class Discriminator(nn.Module):
    """(n, 3, h, w) RGB in the range that the generator makes, to logits; above 0 means real.

    With ``patch``, the side of the pictures in pixels, the paper's head: two dense layers, one
    logit a picture, (n, 1), for that size only. Without, the same layers at every place: a map
    (n, 1, h / 16, w / 16), for any size.
    """

    def __init__(self, patch: int | None = None) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for filters, stride in PLAN:
            first = not layers
            layers.append(nn.Conv2d(before, filters, 3, stride, padding=1, bias=first))
            if not first:
                layers.append(nn.BatchNorm2d(filters))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            before = filters
        self.features = nn.Sequential(*layers)
        self.patch = patch
        if patch is None:
            self.head = nn.Sequential(
                nn.Conv2d(before, HIDDEN, 1),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Conv2d(HIDDEN, 1, 1),
            )
        else:
            if patch < REDUCTION:
                raise OptionsError(f"a discriminator needs at least {REDUCTION} px, got {patch}")
            side = -(-patch // REDUCTION)
            self.head = nn.Sequential(
                nn.Flatten(),
                nn.Linear(before * side * side, HIDDEN),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Linear(HIDDEN, 1),
            )

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.features(pixels))

"""The discriminators of SRGAN and of Real-ESRGAN. Used in training alone: not in the catalog.

SRGAN's (Ledig et al., CVPR 2017, figure 4 and section 2.1.1), with two heads: eight 3x3
convolutions of 64 to 512 filters, a stride of 2 in place of each pooling, LeakyReLU 0.2, batch norm
after all but the first. Real-ESRGAN's (Wang et al., ICCV 2021 workshops, section 3.4 and figure 6)
is a U-Net that answers for every pixel, held in check by spectral norms (Miyato et al., ICLR 2018).
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from vsr.errors import OptionsError

PLAN = ((64, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2))
"""Filters and stride of each convolution."""
REDUCTION = 16
HIDDEN = 1024


class Discriminator(nn.Module):
    """(n, 3, h, w) RGB in the range that the generator makes, to logits; above 0 means real.

    With ``patch``, the side of the pictures in pixels, the paper's head: two dense layers, one
    logit a picture, (n, 1), for that size only. Without, the same layers at every place: a map
    (n, 1, h / 16, w / 16), for any size. Frames side by side have more ``channels`` than 3.
    """

    def __init__(self, patch: int | None = None, channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = channels
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


class UNetDiscriminator(nn.Module):
    """(n, 3, h, w) RGB to logits (n, 1, h, w); above 0 means that a pixel passes for real.

    Down three times by 4x4 convolutions of stride 2, up again by bilinear enlargement and 3x3
    convolutions, what was seen on the way down added; the first and the last layer have no norm.
    """

    def __init__(self, features: int = 64) -> None:
        super().__init__()
        widths = [features * 2**stage for stage in range(4)]
        self.first = nn.Conv2d(3, features, 3, padding=1)
        self.down = nn.ModuleList(
            spectral_norm(nn.Conv2d(few, many, 4, stride=2, padding=1, bias=False))
            for few, many in pairwise(widths)
        )
        self.up = nn.ModuleList(
            spectral_norm(nn.Conv2d(many, few, 3, padding=1, bias=False))
            for many, few in pairwise(reversed(widths))
        )
        self.last = nn.Sequential(
            spectral_norm(nn.Conv2d(features, features, 3, padding=1, bias=False)),
            nn.LeakyReLU(0.2, inplace=True),
            spectral_norm(nn.Conv2d(features, features, 3, padding=1, bias=False)),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(features, 1, 3, padding=1),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        x = functional.leaky_relu(self.first(pixels), 0.2)
        seen: list[Tensor] = []
        for layer in self.down:
            seen.append(x)
            x = functional.leaky_relu(layer(x), 0.2)
        for layer in self.up:
            skip = seen.pop()
            x = functional.interpolate(x, size=skip.shape[-2:], mode="bilinear")
            x = functional.leaky_relu(layer(x), 0.2) + skip
        return self.last(x)

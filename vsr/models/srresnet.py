"""SRResNet, the generator of SRGAN (Ledig et al., CVPR 2017, figure 4 and section 2.1).

9x9 head, 16 residual blocks of 64 filters with batch norm and PReLU, a long skip, two stages of
convolution and x2 pixel shuffle, 9x9 tail. Names of layers follow the paper's figure.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsr.errors import WeightsError
from vsr.models.arch import Arch, Hyper, State, indices
from vsr.models.crop_schedule import CropSchedule, residual_trunk
from vsr.models.module import SRModule


class ResidualBlock(nn.Module):
    """Convolution, norm, PReLU, convolution, norm, added to the input: (n, c, h, w) to the same."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(features, features, 3, padding=1, bias=False),
            nn.BatchNorm2d(features),
            nn.PReLU(),
            nn.Conv2d(features, features, 3, padding=1, bias=False),
            nn.BatchNorm2d(features),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class SRResNet(SRModule):
    """(n, 3, h, w) RGB 0..1 to (n, 3, h * scale, w * scale); scale is 2, 4 or 8."""

    can_crop = True

    def __init__(self, scale: int = 4, features: int = 64, blocks: int = 16) -> None:
        super().__init__()
        stages = int(math.log2(scale)) if scale > 0 else 0
        if scale not in (2, 4, 8):
            raise WeightsError(f"srresnet enlarges by 2, 4 or 8, got {scale}")
        self.scale = scale
        self.head = nn.Sequential(nn.Conv2d(3, features, 9, padding=4), nn.PReLU())
        self.blocks = nn.Sequential(*(ResidualBlock(features) for _ in range(blocks)))
        self.join = nn.Sequential(
            nn.Conv2d(features, features, 3, padding=1, bias=False), nn.BatchNorm2d(features)
        )
        self.enlarge = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(features, features * 4, 3, padding=1), nn.PixelShuffle(2), nn.PReLU()
                )
                for _ in range(stages)
            )
        )
        self.tail = Tail(features, 3, 9, padding=4)

    def forward(self, pixels: Tensor, crop: CropSchedule | None = None) -> Tensor:
        x = self.head(pixels.to(self.tail.weight.dtype))  # (n, features, h, w)
        stages = range(len(self.enlarge))  # a pixel each, of their own; then the tail's four
        radius_after = math.ceil(sum(0.5**stage for stage in stages) + 4 / self.scale)
        x = residual_trunk(x, self.blocks, self.join, crop, radius=2, radius_after=radius_after)
        last = self.enlarge[-1]
        assert isinstance(last, nn.Sequential)
        convolution, shuffle, activation = last
        x = self.enlarge[:-1](x)
        # The last shuffle waits until three channels are left: the activation has one slope for all
        # places, and the tail reads the unshuffled grid.
        made = shuffle(self.tail(activation(convolution(x))))  # (n, 3, h * scale, w * scale)
        return made if crop is None else crop.wanted(made)


class Tail(nn.Conv2d):
    """A 9x9 convolution after a x2 pixel shuffle, computed before the shuffle.

    (n, 4 * features, h, w) to (n, 12, h, w). Equal, and faster: twelve channels fill the lanes of a
    processor that three leave idle, and 64 channels are never laid out at the enlarged size.
    """

    radius = 2.0  # of the 5x5 kernel that it runs with

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name that nn.Conv2d has
        """``shuffle(tail(x))`` is the plain convolution of ``shuffle(x)``."""
        assert self.bias is not None
        bias = self.bias.repeat_interleave(4)
        return functional.conv2d(input, phases(self.weight), bias, padding=2)


def phases(kernel: Tensor) -> Tensor:
    """Turn a 9x9 kernel after a x2 pixel shuffle into the equal 5x5 kernel before it.

    (o, c, 9, 9) to (4 * o, 4 * c, 5, 5): for each place in a 2x2 cell of the output, which places
    of which cells of the input it sees; where it sees none there is 0. With ``padding=2`` in place
    of 4 it gives the same sums: ``shuffle(conv(x, phases(k))) == conv(shuffle(x), k)``.
    """
    o, c = kernel.shape[:2]
    wide = functional.pad(kernel, (1, 1, 1, 1))  # (o, c, 11, 11)
    cells = torch.stack([
        wide[..., 1 - a : 11 - a, 1 - b : 11 - b].reshape(o, c, 5, 2, 5, 2)
        for a in (0, 1)
        for b in (0, 1)
    ])  # (4, o, c, 5, 2, 5, 2)  # fmt: skip
    return cells.permute(1, 0, 2, 4, 6, 3, 5).reshape(4 * o, 4 * c, 5, 5)


def _detect(state: State) -> dict[str, Hyper] | None:
    if "head.0.weight" not in state or "join.0.weight" not in state:
        return None
    return {
        "scale": 2 ** len(indices(state, "enlarge")),
        "features": state["head.0.weight"].shape[0],
        "blocks": len(indices(state, "blocks")),
    }


ARCH = Arch(
    "srresnet",
    "SRGAN's generator: 16 residual blocks of 64 filters (Ledig 2017)",
    SRResNet,
    {"scale": 4, "features": 64, "blocks": 16},
    _detect,
)

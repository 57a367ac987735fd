"""SRResNet, the generator of SRGAN (Ledig et al., CVPR 2017, figure 4 and section 2.1).

9x9 head, 16 residual blocks of 64 filters with batch norm and PReLU, a long skip, two stages of
convolution and x2 pixel shuffle, 9x9 tail. Names of layers follow the paper's figure.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from vsr.errors import WeightsError
from vsr.models.arch import Arch, Hyper, State, indices


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


class SRResNet(nn.Module):
    """(n, 3, h, w) RGB 0..1 to (n, 3, h * scale, w * scale); scale is 2, 4 or 8."""

    def __init__(self, scale: int = 4, features: int = 64, blocks: int = 16) -> None:
        super().__init__()
        stages = int(math.log2(scale)) if scale > 0 else 0
        if scale not in (2, 4, 8):
            raise WeightsError(f"srresnet enlarges by 2, 4 or 8, got {scale}")
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
        self.tail = nn.Conv2d(features, 3, 9, padding=4)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.head(pixels.to(self.tail.weight.dtype))  # (n, features, h, w)
        x = x + self.join(self.blocks(x))
        return self.tail(self.enlarge(x))  # (n, 3, h * scale, w * scale)


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

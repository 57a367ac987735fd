"""SRCNN: bicubic enlargement, then three convolutions (Dong et al., ECCV 2014, section 3).

The paper's 9-1-5 network with 64 and 32 filters, on RGB rather than luma alone (its section 4.4).
"""

from __future__ import annotations

from torch import Tensor, nn

from vsr.models.arch import Arch, Hyper, State
from vsr.models.interpolation import Interpolation
from vsr.models.module import SRModule


class SRCNN(SRModule):
    """(n, 3, h, w) RGB 0..1 to (n, 3, h * scale, w * scale)."""

    def __init__(self, scale: int = 4, features: int = 64, mapped: int = 32) -> None:
        super().__init__()
        self.enlarge = Interpolation("bicubic", scale)
        self.extract = nn.Conv2d(3, features, 9, padding=4)
        self.map = nn.Conv2d(features, mapped, 1)
        self.reconstruct = nn.Conv2d(mapped, 3, 5, padding=2)
        for layer in (self.extract, self.map, self.reconstruct):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]  # bias is set

    def forward(self, pixels: Tensor) -> Tensor:
        coarse = self.enlarge(pixels).to(self.extract.weight.dtype)
        features = self.map(self.extract(coarse).relu()).relu()
        return self.reconstruct(features)


def _detect(state: State) -> dict[str, Hyper] | None:
    if "extract.weight" not in state or "reconstruct.weight" not in state:
        return None
    return {"features": state["extract.weight"].shape[0], "mapped": state["map.weight"].shape[0]}


ARCH = Arch(
    "srcnn",
    "three convolutions on the bicubic enlargement (Dong 2014)",
    SRCNN,
    {"scale": 4, "features": 64, "mapped": 32},
    _detect,
)

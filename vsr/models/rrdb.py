"""RRDBNet, the generator of ESRGAN (Wang et al., ECCV 2018 workshops, section 3.1 and figure 4).

Residual-in-residual dense blocks without norms: each of three dense blocks of five convolutions,
every branch scaled by 0.2. Enlarges by nearest neighbours and convolutions. Real-ESRGAN (Wang et
al., ICCV 2021 workshops, section 3.3) runs the same network for factors 1 and 2 on pixels that are
unshuffled first. Names of layers are those of Real-ESRGAN's files; ``state_dict_keys`` knows the
others.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsr.errors import WeightsError
from vsr.models.adapters import CHANNELS
from vsr.models.arch import Arch, Hyper, State, indices
from vsr.models.crop_schedule import CropSchedule, residual_trunk
from vsr.models.module import SRModule
from vsr.models.padding import PixelUnshuffle

RESIDUAL = 0.2
_UPS = {1: 0, 2: 1, 3: 1, 4: 2, 8: 3}
"""Number of enlargements with a convolution, by factor: each doubles, but for that of 3."""


class DenseBlock(nn.Module):
    """Five densely connected convolutions: (n, features, h, w) to the same."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        for number in range(5):
            made = features if number == 4 else growth
            layer = nn.Conv2d(features + number * growth, made, 3, padding=1)
            nn.init.kaiming_normal_(layer.weight)
            layer.weight.data *= 0.1  # section 3.1: a smaller start, or a deep one does not learn
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]  # bias is set
            self.add_module(f"conv{number + 1}", layer)

    def forward(self, x: Tensor) -> Tensor:
        layers = list(self.children())
        seen = [x]
        for layer in layers[:-1]:
            seen.append(functional.leaky_relu(layer(torch.cat(seen, 1)), 0.2))
        return x + layers[-1](torch.cat(seen, 1)) * RESIDUAL


class Rrdb(nn.Module):
    """Three dense blocks with a residual connection: (n, features, h, w) to the same."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(features, growth)
        self.rdb2 = DenseBlock(features, growth)
        self.rdb3 = DenseBlock(features, growth)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.rdb3(self.rdb2(self.rdb1(x))) * RESIDUAL


class RrdbNet(SRModule):
    """(n, channels, h, w) 0..1 to (n, channels, h * scale, w * scale).

    ``unshuffle`` is the side of the cells of pixels that become channels first.
    """

    def __init__(
        self,
        scale: int = 4,
        features: int = 64,
        blocks: int = 23,
        growth: int = 32,
        channels: int = 3,
        unshuffle: int = 1,
    ) -> None:
        super().__init__()
        factor = scale * unshuffle
        if factor not in _UPS or unshuffle not in (1, 2, 4) or channels not in CHANNELS:
            raise WeightsError(
                f"rrdb cannot have scale {scale}, unshuffle {unshuffle}, {channels} channels",
                hint="scale times unshuffle is 1, 2, 3, 4 or 8; unshuffle 1, 2 or 4; "
                "1, 3 or 4 channels",
            )
        self.scale, self.channels, self.multiple_of = scale, channels, unshuffle
        self.can_crop = unshuffle == 1
        self.cells = PixelUnshuffle(unshuffle)
        self.conv_first = nn.Conv2d(channels * unshuffle**2, features, 3, padding=1)
        self.body = nn.Sequential(*(Rrdb(features, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(features, features, 3, padding=1)
        self.factors = (3,) if factor == 3 else (2,) * _UPS[factor]
        for number in range(len(self.factors)):
            self.add_module(f"conv_up{number + 1}", nn.Conv2d(features, features, 3, padding=1))
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, channels, 3, padding=1)

    def forward(self, pixels: Tensor, crop: CropSchedule | None = None) -> Tensor:
        x = self.conv_first(self.cells(pixels.to(self.conv_first.weight.dtype)))
        assert crop is None or self.can_crop  # a cut might begin within a cell
        # Behind the blocks: two whole pixels at most, at any factor.
        x = residual_trunk(x, self.body, self.conv_body, crop, radius=15, radius_after=2)
        for number, factor in enumerate(self.factors, 1):
            x = functional.interpolate(x, scale_factor=factor, mode="nearest")
            x = functional.leaky_relu(self.get_submodule(f"conv_up{number}")(x), 0.2)
        x = self.conv_last(functional.leaky_relu(self.conv_hr(x), 0.2))
        if crop is not None:
            return crop.wanted(x)
        height, width = pixels.shape[-2:]
        return x[..., : height * self.scale, : width * self.scale]  # what Cells repeated goes


def _detect(state: State) -> dict[str, Hyper] | None:
    if "conv_first.weight" not in state or "body.0.rdb1.conv1.weight" not in state:
        return None
    features, given = state["conv_first.weight"].shape[:2]
    channels = state["conv_last.weight"].shape[0]
    unshuffle = math.isqrt(given // channels)
    factor = 2 ** sum(f"conv_up{number}.weight" in state for number in (1, 2, 3))
    if unshuffle**2 * channels != given or factor % unshuffle:
        return None
    return {
        "scale": factor // unshuffle,
        "features": features,
        "blocks": len(indices(state, "body")),
        "growth": state["body.0.rdb1.conv1.weight"].shape[0],
        "channels": channels,
        "unshuffle": unshuffle,
    }


ARCH = Arch(
    "rrdb",
    "ESRGAN's generator: 23 residual-in-residual dense blocks (Wang 2018)",
    RrdbNet,
    {"scale": 4, "features": 64, "blocks": 23, "growth": 32, "channels": 3, "unshuffle": 1},
    _detect,
)

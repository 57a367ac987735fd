"""Compact: a plain chain of 3x3 convolutions at the input's size, for CPUs and real time.

All work is done on the small grid, as in ESPCN (Shi et al., CVPR 2016) and the SRVGG networks; the
chain only learns what bicubic misses. That residual is added in float32, so that half precision
touches detail and never the base, and smooth gradients stay smooth. With ``slopes="layer"`` an
activation has one slope for all channels, which a convolution can apply as it writes; with "one"
all have the same, so that one kernel does for all layers. With
``base="nearest"`` it is SRVGGNetCompact as Real-ESRGAN published it (realesr-general-x4v3,
realesr-animevideov3).
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from vsr.errors import WeightsError
from vsr.models.adapters import CHANNELS
from vsr.models.arch import Arch, Hyper, State, indices
from vsr.models.crop_schedule import CropSchedule
from vsr.models.interpolation import Phases
from vsr.models.module import SRModule
from vsr.models.subpixel import SubpixelOutput


class Compact(SRModule):
    """(n, channels, h, w) 0..1 to (n, channels, h * scale, w * scale) float32.

    Learnt layers see the pixels clamped to 0..1, which is all they ever learnt; the base sees them
    as they are, so that what lies outside of 0..1 is enlarged by interpolation, and not lost.
    """

    can_crop = True

    def __init__(
        self,
        scale: int = 4,
        features: int = 64,
        layers: int = 16,
        channels: int = 3,
        base: str = "bicubic",
        slopes: str = "channel",
    ) -> None:
        super().__init__()
        if base not in ("bicubic", "nearest") or channels not in CHANNELS:
            raise WeightsError(
                f"compact cannot have {channels} channels on base {base!r}",
                hint="1, 3 or 4 channels; bicubic or nearest",
            )
        if slopes not in ("channel", "layer", "one"):
            raise WeightsError(
                f"compact cannot have slopes {slopes!r}", hint="channel, layer or one"
            )
        self.scale, self.channels = scale, channels
        self.base = Phases(base, scale)
        self.radius = max(layers + 2, self.base.radius)  # side by side
        many = features if slopes == "channel" else 1
        chain: list[nn.Module] = [nn.Conv2d(channels, features, 3, padding=1), nn.PReLU(many)]
        for _ in range(layers):
            chain += [nn.Conv2d(features, features, 3, padding=1), nn.PReLU(many)]
        chain.append(nn.Conv2d(features, channels * scale**2, 3, padding=1))
        self.body = nn.Sequential(*chain)
        if slopes == "one":
            for layer in chain[1:-1:2]:
                layer.register_parameter("weight", chain[1].get_parameter("weight"))
        for layer in self.body:
            if isinstance(layer, nn.Conv2d):
                # PReLU starts at 0.25; without its gain a deep plain chain does not learn.
                nn.init.kaiming_normal_(layer.weight, a=0.25)
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]  # bias is set
        nn.init.normal_(chain[-1].weight, std=1e-3)  # pyright: ignore[reportArgumentType]

    def forward(self, pixels: Tensor, crop: CropSchedule | None = None) -> Tensor:
        return self.subpixel(pixels, crop).shuffled()

    def subpixel(self, pixels: Tensor, crop: CropSchedule | None = None) -> SubpixelOutput:
        """As ``forward``, before the pixel shuffle."""
        x = pixels.clamp(0, 1).to(next(self.body.parameters()).dtype)
        if crop is None:
            detail = self.body(x)  # (n, channels * scale**2, h, w); the base is not there meanwhile
            return SubpixelOutput((self.base(pixels), detail), self.scale)
        window, radius_ahead = crop.box, len(self.body) // 2 + 1  # convolutions to come
        for number, layer in enumerate(self.body):
            x = layer(x)
            if number % 2:  # an activation
                radius_ahead -= 1
                x = crop(x, max(radius_ahead, self.base.radius))
        base = self.base(crop.cut(pixels, window))
        return SubpixelOutput((crop.wanted(base), crop.wanted(x)), self.scale)


def _detect(state: State) -> dict[str, Hyper] | None:
    numbers = indices(state, "body")
    if len(numbers) < 3 or {key.split(".")[0] for key in state} != {"body"}:
        return None
    last = state[f"body.{numbers[-1]}.weight"]
    channels = state["body.0.weight"].shape[1]
    if last.dim() != 4 or last.shape[0] % channels:
        return None
    return {
        "scale": math.isqrt(last.shape[0] // channels),
        "features": last.shape[1],
        "layers": (len(numbers) - 3) // 2,
        "channels": channels,
        "base": "nearest",  # our own files say what they are; one that does not is a published one
        "slopes": "layer" if state[f"body.{numbers[-2]}.weight"].numel() == 1 else "channel",
    }


ARCH = Arch(
    "compact",
    "a plain chain of convolutions on the small grid, for CPUs and real time",
    Compact,
    {
        "scale": 4,
        "features": 64,
        "layers": 16,
        "channels": 3,
        "base": "bicubic",
        "slopes": "channel",
    },
    _detect,
)

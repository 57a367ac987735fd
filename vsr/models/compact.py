"""Compact: a plain chain of 3x3 convolutions at the input's size, for CPUs and real time.

All work is done on the small grid, as in ESPCN (Shi et al., CVPR 2016) and the SRVGG networks; the
chain only learns what bicubic misses. That residual is added in float32, so that half precision
touches detail and never the base, and smooth gradients stay smooth.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from vsr.models.arch import Arch, Hyper, State, indices
from vsr.models.interpolation import Interpolation


class Compact(nn.Module):
    """(n, 3, h, w) RGB 0..1 to (n, 3, h * scale, w * scale) float32."""

    def __init__(self, scale: int = 4, features: int = 64, layers: int = 16) -> None:
        super().__init__()
        self.scale = scale
        self.base = Interpolation("bicubic", scale)
        chain: list[nn.Module] = [nn.Conv2d(3, features, 3, padding=1), nn.PReLU(features)]
        for _ in range(layers):
            chain += [nn.Conv2d(features, features, 3, padding=1), nn.PReLU(features)]
        chain.append(nn.Conv2d(features, 3 * scale**2, 3, padding=1))
        self.body = nn.Sequential(*chain)
        for layer in self.body:
            if isinstance(layer, nn.Conv2d):
                # PReLU starts at 0.25; without its gain a deep plain chain does not learn.
                nn.init.kaiming_normal_(layer.weight, a=0.25)
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]  # bias is set
        nn.init.normal_(chain[-1].weight, std=1e-3)  # pyright: ignore[reportArgumentType]

    def forward(self, pixels: Tensor) -> Tensor:
        first = self.body[0]
        assert isinstance(first, nn.Conv2d)
        detail = functional.pixel_shuffle(self.body(pixels.to(first.weight.dtype)), self.scale)
        return self.base(pixels.float()) + detail.float()


def _detect(state: State) -> dict[str, Hyper] | None:
    numbers = indices(state, "body")
    if not numbers or {key.split(".")[0] for key in state} != {"body"}:
        return None
    last = state[f"body.{numbers[-1]}.weight"]
    if last.dim() != 4 or last.shape[0] % 3:
        return None
    return {
        "scale": round((last.shape[0] // 3) ** 0.5),
        "features": last.shape[1],
        "layers": (len(numbers) - 3) // 2,
    }


ARCH = Arch(
    "compact",
    "a plain chain of convolutions on the small grid, for CPUs and real time",
    Compact,
    {"scale": 4, "features": 64, "layers": 16},
    _detect,
)

"""A recurrent network: it gets its own features of the frame before, warped by the motion.

For each frame it gets the frame, the frame before and its own features of the frame before, both
warped to the present one by the motion between them, as FRVSR (Sajjadi et al., CVPR 2018) and
BasicVSR's forward branch (Chan et al., CVPR 2021) do. The warped frame beside the present one
shows where the motion is wrong. All work is done at the source's size, and added to the
interpolated frame.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsr.errors import WeightsError
from vsr.models.arch import Arch, Hyper, State, indices
from vsr.models.interpolation import Phases
from vsr.models.module import SRModule
from vsr.models.subpixel import SubpixelOutput

BEFORE = 5  # channels of the warped frame before, beside the state
SLOPE = 0.1  # of the activations' negative side
SMALL = 0.1  # factor of the state's initial weights


class Residual(nn.Module):
    """Two 3x3 convolutions, an activation between them, added to the input."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(features, features, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(features, features, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Recurrent(SRModule):
    """One step: a frame and the state of the frame before, to the enlarged frame and the new state.

    The state has ``features`` channels; ``layers`` 3x3 convolutions form residual blocks of two.
    """

    def __init__(self, scale: int = 4, features: int = 64, layers: int = 8) -> None:
        super().__init__()
        if layers % 2:
            raise WeightsError(f"recurrent has an even number of layers, got {layers}")
        self.scale, self.state_channels = scale, features
        self.base = Phases("bicubic", scale)
        self.radius = max(layers + 2, self.base.radius)
        self.head = nn.Sequential(
            nn.Conv2d(3 + BEFORE + features, features, 3, padding=1),
            nn.LeakyReLU(SLOPE, inplace=True),
        )
        blocks = [Residual(features) for _ in range(layers // 2)]
        self.blocks = nn.Sequential(*blocks)
        self.tail = nn.Conv2d(features, 3 * scale**2, 3, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=SLOPE)
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]  # bias is set
        with torch.no_grad():
            for block in blocks:
                block.body[2].weight *= SMALL  # pyright: ignore[reportOperatorIssue, reportArgumentType]  # a Conv2d
            self.head[0].weight[:, 3 + BEFORE :] *= SMALL  # pyright: ignore[reportIndexIssue]  # a Conv2d
            self.tail.weight *= 0.01

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, 3, h, w) RGB to (n, 3, h * scale, w * scale) float32, each frame without a state."""
        return self.step(pixels, without_previous(pixels), self.zero_state(pixels))[0].shuffled()

    def zero_state(self, pixels: Tensor) -> Tensor:
        """The state before a first frame: zeros, (n, features, h, w)."""
        count, _, height, width = pixels.shape
        state = pixels.new_zeros(
            count, self.state_channels, height, width, dtype=self.tail.weight.dtype
        )
        return state.contiguous(memory_format=torch.channels_last)

    def step(self, pixels: Tensor, before: Tensor, state: Tensor) -> tuple[SubpixelOutput, Tensor]:
        """Enlarge (n, 3, h, w) RGB, given :func:`warp_previous` or :func:`without_previous` for
        ``before``.

        Returns the sub-pixel output and the state of this frame. Learnt layers get RGB clamped to
        0..1, the bicubic base gets it as it is.
        """
        dtype = self.tail.weight.dtype
        seen = (pixels.clamp(0, 1), before[:, :3].clamp(0, 1), before[:, 3:], state)
        x = self.head(torch.cat([part.to(dtype) for part in seen], 1))
        x = self.blocks(x)
        return SubpixelOutput((self.base(pixels), self.tail(x)), self.scale), x


def warp_previous(pixels: Tensor, state: Tensor, motion: Tensor) -> tuple[Tensor, Tensor]:
    """Warp the frame before and its state to the present frame.

    ``pixels`` (n, 3 or 4, h, w) and ``state`` (n, features, h, w) are of the frame before;
    ``motion`` is (n, 2, h, w) in pixels, x then y, from each present pixel to its place
    there.
    Returns ``before``, (n, 5, h, w): RGB, bilinear, and by how much each pixel's state is off, half
    a pixel at most; and the state, copied from the nearest pixel. A bilinear state would lose
    sharpness from frame to frame, and take thirty times as long on a CPU.
    """
    whole = motion.round()
    return torch.cat([warped(pixels[:, :3], motion), motion - whole], 1), _copied(state, whole)


def without_previous(pixels: Tensor) -> Tensor:
    """Returns ``before`` for a first frame: the frame itself."""
    return torch.cat([pixels[:, :3], torch.zeros_like(pixels[:, :2])], 1)


def warped(x: Tensor, motion: Tensor) -> Tensor:
    """Warp (n, c, h, w) by ``motion``: bilinear in float32, repeated beyond the borders."""
    height, width = x.shape[-2:]
    rows = torch.arange(height, device=x.device, dtype=torch.float32)
    columns = torch.arange(width, device=x.device, dtype=torch.float32)
    across = (motion[:, 0] + columns) * (2 / max(1, width - 1)) - 1
    down = (motion[:, 1] + rows[:, None]) * (2 / max(1, height - 1)) - 1
    grid = torch.stack([across, down], 3)
    return functional.grid_sample(
        x.float(), grid, mode="bilinear", padding_mode="border", align_corners=True
    )


def _copied(x: Tensor, motion: Tensor) -> Tensor:
    """Warp (n, c, h, w) by whole pixels, repeated beyond the borders."""
    count, channels, height, width = x.shape
    rows = torch.arange(height, device=x.device)[:, None]
    columns = torch.arange(width, device=x.device)
    across = (motion[:, 0].long() + columns).clamp_(0, width - 1)
    down = (motion[:, 1].long() + rows).clamp_(0, height - 1)
    pictures = torch.arange(count, device=x.device)[:, None, None] * (height * width)
    places = (pictures + down * width + across).flatten()
    lines = x.permute(0, 2, 3, 1).reshape(-1, channels)
    return lines.index_select(0, places).view(count, height, width, channels).permute(0, 3, 1, 2)


def _detect(state: State) -> dict[str, Hyper] | None:
    if "head.0.weight" not in state or "blocks.0.body.0.weight" not in state:
        return None
    if "tail.weight" not in state or {key.split(".")[0] for key in state} != {
        "head",
        "blocks",
        "tail",
    }:
        return None
    return {
        "scale": math.isqrt(state["tail.weight"].shape[0] // 3),
        "features": state["tail.weight"].shape[1],
        "layers": 2 * len(indices(state, "blocks")),
    }


ARCH = Arch(
    "recurrent",
    "sees the video: a chain at the source's size with a state that follows the motion",
    Recurrent,
    {"scale": 4, "features": 64, "layers": 8},
    _detect,
)

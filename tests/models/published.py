"""Files as other projects publish them, at random weights, and what they compute: from the papers.

Nothing of `vsr` is used here: keys, shapes and sums are written down anew.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

State = dict[str, Tensor]


def _conv(state: State, name: str, made: int, given: int) -> None:
    state[f"{name}.weight"] = torch.randn(made, given, 3, 3) * (1.2 / (9 * given) ** 0.5)
    state[f"{name}.bias"] = torch.randn(made) * 0.05


def srvgg(
    *, layers: int = 3, features: int = 8, scale: int = 4, channels: int = 3, seed: int = 0
) -> State:
    """SRVGGNetCompact: realesr-general-x4v3 has 32 layers, realesr-animevideov3 16."""
    torch.manual_seed(seed)
    state: State = {}
    for place in range(layers + 1):
        _conv(state, f"body.{2 * place}", features, features if place else channels)
        state[f"body.{2 * place + 1}.weight"] = torch.rand(features) * 0.4
    _conv(state, f"body.{2 * layers + 2}", channels * scale**2, features)
    return state


def run_srvgg(state: State, pixels: Tensor, scale: int = 4) -> Tensor:
    """Convolutions with PReLU between, shuffled, on the nearest enlargement."""
    x, last = pixels, len([key for key in state if key.endswith(".bias")]) - 1
    for place in range(last + 1):
        x = functional.conv2d(
            x, state[f"body.{2 * place}.weight"], state[f"body.{2 * place}.bias"], padding=1
        )
        if place < last:
            x = functional.prelu(x, state[f"body.{2 * place + 1}.weight"])
    return functional.pixel_shuffle(x, scale) + functional.interpolate(pixels, scale_factor=scale)


NAMES = {
    "real-esrgan": {
        "first": "conv_first", "block": "body.{0}.rdb{1}.conv{2}", "body": "conv_body",
        "up": "conv_up{0}", "hr": "conv_hr", "last": "conv_last",
    },
    "new": {
        "first": "conv_first", "block": "RRDB_trunk.{0}.RDB{1}.conv{2}", "body": "trunk_conv",
        "up": "upconv{0}", "hr": "HRconv", "last": "conv_last",
    },
    "old": {
        "first": "model.0", "block": "model.1.sub.{0}.RDB{1}.conv{2}.0", "body": "model.1.sub.{0}",
        "up": "model.{1}", "hr": "model.{0}", "last": "model.{1}",
    },
}  # fmt: skip


def names(layout: str, blocks: int, ups: int) -> dict[str, str]:
    """Each part's name in a layout; in the old one the numbers of a Sequential."""
    kind = NAMES[layout]
    after = 3 * ups + 2  # each of ups: nearest, convolution, activation
    found = {"first": kind["first"], "body": kind["body"].format(blocks)}
    found |= {f"up{n}": kind["up"].format(n, 3 * n) for n in range(1, ups + 1)}
    found |= {"hr": kind["hr"].format(after), "last": kind["last"].format(0, after + 2)}
    for block in range(blocks):
        for dense in (1, 2, 3):
            for conv in range(1, 6):
                name = kind["block"].format(block, dense, conv)
                found[f"{block}.{dense}.{conv}"] = name
    return found


def rrdb(
    layout: str,
    *,
    blocks: int = 2,
    features: int = 8,
    growth: int = 4,
    ups: int = 2,
    channels: int = 3,
    unshuffle: int = 1,
    seed: int = 0,
) -> State:
    """RRDBNet: RealESRGAN_x4plus has 23 blocks, _anime_6B 6; _x2plus unshuffles by 2."""
    torch.manual_seed(seed)
    state: State = {}
    for part, name in names(layout, blocks, ups).items():
        given, made = features, features
        if part == "first":
            given = channels * unshuffle**2
        elif part == "last":
            made = channels
        elif part[0].isdigit():
            number = int(part.split(".")[2])
            given, made = features + (number - 1) * growth, features if number == 5 else growth
        _conv(state, name, made, given)
    return state


def run_rrdb(
    state: State, pixels: Tensor, layout: str, *, blocks: int = 2, ups: int = 2, unshuffle: int = 1
) -> Tensor:
    """Figure 4 of ESRGAN: residual in residual, 0.2 each; two enlargements by nearest."""
    name = names(layout, blocks, ups)

    def conv(part: str, x: Tensor) -> Tensor:
        weight, bias = state[f"{name[part]}.weight"], state[f"{name[part]}.bias"]
        return functional.conv2d(x, weight, bias, padding=1)

    def leaky(x: Tensor) -> Tensor:
        return functional.leaky_relu(x, 0.2)

    first = conv("first", functional.pixel_unshuffle(pixels, unshuffle))
    trunk = first
    for block in range(blocks):
        inner = trunk
        for dense in (1, 2, 3):
            seen = [inner]
            for number in range(1, 5):
                seen.append(leaky(conv(f"{block}.{dense}.{number}", torch.cat(seen, 1))))
            inner = inner + 0.2 * conv(f"{block}.{dense}.5", torch.cat(seen, 1))
        trunk = trunk + 0.2 * inner
    x = first + conv("body", trunk)
    for up in range(1, ups + 1):
        x = leaky(conv(f"up{up}", functional.interpolate(x, scale_factor=2)))
    return conv("last", leaky(conv("hr", x)))

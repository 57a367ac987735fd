"""The perceptual distance of two pictures: of the features of a network that the caller gives.

The distance of LPIPS (Zhang et al., CVPR 2018) without its learnt weights, their "baseline": unit
length across channels, squared difference, mean over places, summed over layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vsr.metrics.picture import same_shape

Features = Callable[[Tensor], Sequence[Tensor]]
"""(n, 3, h, w) RGB 0..1 to feature maps (n, c, h', w'), one a layer."""


@torch.inference_mode()
def perceptual_distance(first: Tensor, second: Tensor, features: Features) -> float:
    """0 for equal (3, h, w) RGB pictures 0..1, at most 4 a layer; smaller looks more alike."""
    same_shape(first, second)
    pairs = zip(features(first[None]), features(second[None]), strict=True)
    return float(sum(unit_distance(one, two) for one, two in pairs))


def unit_distance(first: Tensor, second: Tensor) -> Tensor:
    """One layer of it: of two (n, c, h, w) maps a scalar, 0 to 4, through which gradients flow."""
    return (_unit(first) - _unit(second)).square().sum(1).mean()


def _unit(maps: Tensor) -> Tensor:
    maps = maps.float()
    # Inside of the root: behind a ReLU a place may be zero in every channel, where its slope is
    # infinite.
    return maps / (maps.square().sum(1, keepdim=True) + 1e-12).sqrt()

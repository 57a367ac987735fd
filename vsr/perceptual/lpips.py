"""LPIPS, a perceptual distance that no network here learnt from: an extra, by torchmetrics.

Zhang et al., CVPR 2018: distances of AlexNet's features, weighted as people judged. AlexNet's own
weights are torchvision's, downloaded once.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor

from vsr.errors import MissingExtra, WeightsError

Lpips = Callable[[Tensor, Tensor], float]
"""Of two (3, h, w) RGB pictures 0..1: 0 for equal ones, more the less alike they look."""


def load_lpips() -> Lpips:
    """The distance, on the CPU.

    Raises :class:`MissingExtra` where the packages are not there, :class:`WeightsError` where its
    network cannot be had.
    """
    try:
        library: Any = importlib.import_module("torchmetrics.image.lpip")
        network = library.LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True)
    except ImportError as error:  # torchmetrics says so of torchvision, too
        raise MissingExtra(
            "LPIPS needs the packages torchmetrics and torchvision", hint="pip install 'vsr[lpips]'"
        ) from error
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"LPIPS's AlexNet cannot be downloaded: {error}",
            hint="--vgg PATH judges by a file instead",
        ) from error
    network.eval()

    @torch.inference_mode()
    def distance(made: Tensor, original: Tensor) -> float:
        pair = (one[None].float().cpu().clamp(0, 1) for one in (made, original))
        return float(network(*pair))

    return distance

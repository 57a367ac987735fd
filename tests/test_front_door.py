"""The front door in Python: what it lists, and what it says of tensors that are none."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

import vsr
from vsr.errors import OptionsError


def test_dir_lists_what_there_is_before_anything_is_imported() -> None:
    program = (
        "import sys, vsr; names = dir(vsr); "
        "assert set(vsr.__all__) <= set(names), names; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((8, 8, 3), np.uint8), "must be a torch tensor, got numpy.ndarray"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "of floating point, 0..1, got torch.uint8"),
        (torch.full((1, 3, 8, 8), 255.0), "must be 0..1, got values from 255 to 255"),
        (torch.zeros(3, 8, 8), "must be .n, 3 or 4, h, w."),
        (torch.full((1, 3, 8, 8), float("nan")), "must be 0..1, got values from nan to nan"),
    ],
)
@pytest.mark.parametrize("model", ["nearest", "video-tiny"])
def test_pixels_that_are_none_are_refused(model: str, pixels: Any, said: str) -> None:
    engine = vsr.Engine(vsr.load(model))
    with pytest.raises(OptionsError, match=said):
        engine.upscale(pixels)
    with pytest.raises(OptionsError, match=said):
        engine.follow(pixels)


def test_what_overshoots_is_taken() -> None:
    engine = vsr.Engine(vsr.load("nearest"))
    pixels = torch.tensor([-0.25, 1.25]).view(1, 1, 1, 2).expand(1, 3, 8, 2)
    made = engine.upscale(pixels)
    assert (float(made.amin()), float(made.amax())) == (-0.25, 1.25)  # it is not clamped

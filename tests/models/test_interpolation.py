"""Interpolations against torch's and Pillow's own resizing, at any size and in any precision."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from vsr.models.interpolation import Interpolation, Phases
from vsr.models.subpixel import shuffled

SIZES = ((1, 1), (2, 3), (5, 4), (31, 20))


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_an_enlargement_is_torchs_up_to_the_borders(kernel: str, scale: int) -> None:
    for height, width in SIZES:
        pixels = torch.rand(2, 3, height, width)
        expected = functional.interpolate(
            pixels, size=(height * scale, width * scale), mode=kernel, antialias=True
        )
        made = Interpolation(kernel, scale)(pixels)
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)


def test_lanczos_is_pillows_up_to_the_borders() -> None:
    for height, width in SIZES:
        grey = torch.rand(1, 1, height, width)
        picture = Image.fromarray(grey[0, 0].numpy(), mode="F")
        large = picture.resize((width * 4, height * 4), Image.Resampling.LANCZOS)
        made = Interpolation("lanczos", 4)(grey)[0, 0]
        torch.testing.assert_close(made, torch.from_numpy(np.array(large)), atol=1e-5, rtol=0)


def test_nearest_keeps_every_value() -> None:
    pixels = torch.rand(1, 4, 7, 9)
    expected = pixels.repeat_interleave(3, 2).repeat_interleave(3, 3)
    assert torch.equal(Interpolation("nearest", 3)(pixels), expected)


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_a_shuffle_is_pixel_shuffle_and_gives_planes(order: torch.memory_format) -> None:
    phases = torch.rand(2, 27, 4, 5).contiguous(memory_format=order)
    made = shuffled(phases, 3)
    assert torch.equal(made, functional.pixel_shuffle(phases, 3))
    assert made.is_contiguous()


def test_half_precision_never_reaches_it() -> None:
    pixels = torch.rand(1, 3, 8, 8)
    module = Phases("bicubic", 4)
    expected = module(pixels)
    assert torch.equal(copy.deepcopy(module).to(torch.bfloat16)(pixels), expected)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module(pixels), expected)

"""A convolution with its activation gives what the two give."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tests.infer.test_engine import upscaler
from vsr.infer.device import Placement, has_fast_bfloat16
from vsr.infer.fusing import fused
from vsr.infer.network import Network
from vsr.models.compact import Compact
from vsr.models.srresnet import SRResNet


def kinds(module: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in module.children()]


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@torch.no_grad()
def test_srgans_generator_is_the_same(memory: torch.memory_format) -> None:
    torch.manual_seed(1)
    plain = SRResNet(blocks=3).eval()
    for layer in plain.modules():
        if isinstance(layer, nn.PReLU):
            layer.weight.uniform_(-0.5, 0.9)
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()  # pyright: ignore[reportOptionalMemberAccess]
    quick = fused(copy.deepcopy(plain))
    assert kinds(quick.get_submodule("head")) == ["_Activated", "Identity"]
    assert kinds(quick.get_submodule("enlarge.1")) == ["_Activated", "PixelShuffle", "Identity"]
    pixels = torch.rand(2, 3, 37, 50).contiguous(memory_format=memory)
    torch.testing.assert_close(quick(pixels), plain(pixels), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_only_what_one_slope_can_say_is_fused() -> None:
    torch.manual_seed(2)
    plain = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.PReLU(8),  # a slope a channel
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4), nn.LeakyReLU(0.2),
        nn.Conv2d(8, 8, 3, stride=2, bias=False), nn.Identity(), nn.ReLU(), nn.ReLU(),
    ).eval()  # fmt: skip
    quick = fused(copy.deepcopy(plain))
    assert [place for place, kind in enumerate(kinds(quick)) if kind == "_Activated"] == [7, 9]
    assert kinds(quick)[-2:] == ["Identity", "ReLU"]
    pixels = torch.randn(1, 3, 30, 41)
    torch.testing.assert_close(quick(pixels), plain(pixels), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("slopes", ["layer", "one"])
@torch.no_grad()
def test_compact_with_a_slope_a_layer_has_no_activations_of_their_own(slopes: str) -> None:
    torch.manual_seed(4)
    plain = Compact(features=16, layers=3, slopes=slopes).eval()
    quick = fused(copy.deepcopy(plain))
    assert kinds(quick.get_submodule("body")) == ["_Activated", "Identity"] * 4 + ["Conv2d"]
    pixels = torch.rand(2, 3, 21, 34).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(quick(pixels), plain(pixels), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.no_grad()
def test_slopes_of_channels_are_the_same_to_the_bit(
    dtype: torch.dtype, memory: torch.memory_format
) -> None:
    torch.manual_seed(3)
    slopes = nn.PReLU(20, dtype=dtype)
    slopes.weight.uniform_(-0.5, 1.1)
    plain = nn.Sequential(nn.Identity(), slopes)
    quick = fused(copy.deepcopy(plain))
    assert kinds(quick) == ["Identity", "_Slopes"]
    pixels = torch.randn(2, 20, 13, 37).to(dtype).contiguous(memory_format=memory)
    made = quick(pixels)
    assert torch.equal(made, plain(pixels))
    assert made.is_contiguous(memory_format=memory)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_engine_runs_it_and_leaves_the_upscaler_as_it_was(dtype: torch.dtype) -> None:
    generator = upscaler("srresnet")
    before = str(generator.module)
    network = Network(
        generator, Placement(torch.device("cpu"), dtype, channels_last=True), compiles=False
    )
    quick = dtype == torch.float32 or has_fast_bfloat16()  # else oneDNN has no such thing
    assert ("_Activated" in str(network.module)) == quick
    assert str(generator.module) == before
    pixels = torch.rand(1, 3, 32, 48)
    with torch.no_grad():
        error = (network.run(pixels)[0] - generator.module.float()(pixels)).square().mean()
    assert error < (1e-10 if dtype == torch.float32 else 1e-3)

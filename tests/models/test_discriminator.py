"""The discriminator against figure 4 of the SRGAN paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from vsr.errors import OptionsError
from vsr.models.discriminator import Discriminator, UNetDiscriminator


def test_eight_convolutions_with_the_papers_filters_and_strides() -> None:
    layers = list(Discriminator(96).features)
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == [64, 64, 128, 128, 256, 256, 512, 512]
    assert [layer.stride[0] for layer in convolutions] == [1, 2] * 4
    assert all(layer.kernel_size == (3, 3) for layer in convolutions)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in layers) == 7
    assert not isinstance(layers[1], nn.BatchNorm2d)
    slopes = [layer.negative_slope for layer in layers if isinstance(layer, nn.LeakyReLU)]
    assert slopes == [0.2] * 8


def test_global_head_gives_one_logit_a_picture_by_1024_and_1() -> None:
    discriminator = Discriminator(96)
    dense = [layer for layer in discriminator.head if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in dense] == [
        (512 * 6 * 6, 1024),
        (1024, 1),
    ]
    assert discriminator(torch.rand(2, 3, 96, 96)).shape == (2, 1)


@pytest.mark.parametrize(("side", "places"), [(256, 16), (96, 6), (112, 7)])
def test_local_head_gives_a_map_for_any_size(side: int, places: int) -> None:
    with torch.device("meta"):
        assert Discriminator()(torch.zeros(1, 3, side, side)).shape == (1, 1, places, places)


def test_both_heads_learn_to_tell_flat_from_noise() -> None:
    torch.manual_seed(0)
    for patch in (32, None):
        discriminator = Discriminator(patch)
        adam = torch.optim.Adam(discriminator.parameters(), 1e-4)
        losses: list[float] = []
        for _ in range(6):
            real, made = torch.rand(4, 3, 32, 32), torch.full((4, 3, 32, 32), 0.5)
            loss = nn.functional.softplus(-discriminator(real)).mean()
            loss = loss + nn.functional.softplus(discriminator(made)).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < 1.2  # one that guesses has 2 ln 2 = 1.386


def test_a_patch_that_is_too_small_is_refused() -> None:
    with pytest.raises(OptionsError, match="at least 16 px"):
        Discriminator(8)


def test_unet_answers_for_every_pixel_whatever_the_size() -> None:
    unet = UNetDiscriminator(4)
    for height, width in ((96, 96), (64, 40), (52, 50), (33, 47)):
        assert unet(torch.rand(2, 3, height, width)).shape == (2, 1, height, width)


def test_unet_is_as_large_as_the_published_one() -> None:
    with torch.device("meta"):
        unet = UNetDiscriminator()
    assert sum(parameter.numel() for parameter in unet.parameters()) == 4_376_897
    convolutions = [layer for layer in unet.modules() if isinstance(layer, nn.Conv2d)]
    widths = [layer.out_channels for layer in convolutions]
    assert widths == [64, 128, 256, 512, 256, 128, 64, 64, 64, 1]
    plain = [index for index, layer in enumerate(convolutions) if not is_parametrized(layer)]
    assert plain == [0, 9]


def test_unet_layers_have_a_spectral_norm_of_one() -> None:
    torch.manual_seed(0)
    unet = UNetDiscriminator(8).train()
    for _ in range(30):  # each pass takes one more step of the power iteration
        unet(torch.rand(1, 3, 16, 16))
    for layer in unet.modules():
        if isinstance(layer, nn.Conv2d) and is_parametrized(layer):
            largest = np.linalg.norm(layer.weight.detach().flatten(1).numpy(), 2)
            assert largest == pytest.approx(1, abs=0.05)


def silenced(layer: nn.Module, given: object, output: torch.Tensor) -> torch.Tensor:
    del layer, given
    return output * 0


def test_unet_sees_far_and_adds_what_it_saw_on_the_way_down() -> None:
    torch.manual_seed(1)
    unet = UNetDiscriminator(4).eval()
    pixels = torch.rand(1, 3, 64, 64, requires_grad=True)
    unet(pixels)[0, 0, 32, 32].backward()
    assert pixels.grad is not None
    seen = (pixels.grad.abs().sum((0, 1)) > 0).nonzero()
    assert int(seen[:, 0].max() - seen[:, 0].min()) > 30
    # The skip alone: with all that comes up from below silenced, an answer is left.
    with torch.no_grad():
        for layer in unet.up:
            assert isinstance(layer, nn.Conv2d)
            layer.register_forward_hook(silenced)
        one, two = unet(torch.zeros(1, 3, 32, 32)), unet(torch.rand(1, 3, 32, 32))
    assert not torch.equal(one, two)

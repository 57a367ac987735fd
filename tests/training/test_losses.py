"""Every loss against its formula."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vsr.perceptual.vgg import Vgg, conv_names, feature_index, from_state, vgg_distance
from vsr.training.losses import ADVERSARIAL_LOSSES, PIXEL_LOSSES, ContentLoss, tone
from vsr.training.recipes import RECIPES

ONE, TWO = torch.tensor([[0.1, 0.5]]), torch.tensor([[0.4, 0.1]])


def test_pixel_losses_are_their_formulas() -> None:
    values = {name: float(loss(ONE, TWO)) for name, loss in PIXEL_LOSSES.items()}
    assert values["mse"] == pytest.approx((0.3**2 + 0.4**2) / 2)
    assert values["l1"] == pytest.approx(0.35)
    rounded = (math.sqrt(0.3**2 + 1e-6) + math.sqrt(0.4**2 + 1e-6)) / 2
    assert values["charbonnier"] == pytest.approx(rounded)


def test_tone_sees_a_tint_and_a_grid_but_no_detail() -> None:
    torch.manual_seed(2)
    real = torch.rand(2, 3, 32, 48)
    assert float(tone(real, real, 4)) == 0
    assert float(tone(real + 0.02, real, 4)) == pytest.approx(0.02, rel=1e-3)
    grid = torch.tensor([[0.1, -0.1], [-0.1, 0.1]]).repeat(16, 24)  # its mean is 0
    assert float(tone(real + grid, real, 4)) == pytest.approx(0.1, rel=1e-3)
    both = torch.tensor([[0.05, -0.05], [-0.05, 0.05]]).repeat(16, 24) + 0.2
    assert float(tone(real + both, real, 4)) == pytest.approx(0.25, rel=1e-3)
    detail = torch.zeros_like(real)
    detail[..., ::8, ::8], detail[..., 4::8, 4::8] = 0.5, -0.5  # cancels out at each place
    assert float(tone(real + detail, real, 4)) == pytest.approx(0, abs=1e-7)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


REAL, MADE = [0.3, 1.2], [-0.4, 0.6]


def losses(name: str) -> tuple[float, float]:
    real, made = torch.tensor(REAL), torch.tensor(MADE)
    loss = ADVERSARIAL_LOSSES[name]
    return float(loss.discriminator(real, made)), float(loss.generator(real, made))


def test_standard_is_minus_log_of_the_probability() -> None:
    discriminator, generator = losses("standard")
    real = sum(-math.log(sigmoid(value)) for value in REAL) / 2
    made = sum(-math.log(1 - sigmoid(value)) for value in MADE) / 2
    assert discriminator == pytest.approx(real + made)
    assert generator == pytest.approx(sum(-math.log(sigmoid(value)) for value in MADE) / 2)


def test_relativistic_compares_with_the_mean_of_the_others() -> None:
    discriminator, generator = losses("relativistic")
    mean_real, mean_made = sum(REAL) / 2, sum(MADE) / 2
    above = [sigmoid(value - mean_made) for value in REAL]
    below = [sigmoid(value - mean_real) for value in MADE]
    expected = (sum(-math.log(p) for p in above) / 2 + sum(-math.log(1 - p) for p in below) / 2) / 2
    assert discriminator == pytest.approx(expected)
    swapped = (sum(-math.log(1 - p) for p in above) / 2 + sum(-math.log(p) for p in below) / 2) / 2
    assert generator == pytest.approx(swapped)


def test_hinge_stops_at_a_margin_of_one() -> None:
    discriminator, generator = losses("hinge")
    real = sum(max(0.0, 1 - value) for value in REAL) / 2
    made = sum(max(0.0, 1 + value) for value in MADE) / 2
    assert discriminator == pytest.approx(real + made)
    assert generator == pytest.approx(-sum(MADE) / 2)


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_gradients_push_the_right_way_and_stay_finite(name: str) -> None:
    real = torch.tensor([60.0, -60.0], requires_grad=True)
    made = torch.tensor([-60.0, 0.1], requires_grad=True)
    loss = ADVERSARIAL_LOSSES[name]
    (gradient,) = torch.autograd.grad(loss.generator(real.detach(), made), made)
    assert torch.isfinite(gradient).all()
    assert (gradient <= 0).all()  # a larger logit of what was made is better for the generator
    (real_gradient,) = torch.autograd.grad(loss.discriminator(real, made.detach()), real)
    assert torch.isfinite(real_gradient).all()
    assert (real_gradient <= 0).all()


def published(seed: int = 0) -> dict[str, Tensor]:
    """torchvision's layout with random weights and few filters."""
    torch.manual_seed(seed)
    state: dict[str, Tensor] = {}
    before = 3
    for name in conv_names():
        filters = 4 * int(name[0])
        state[f"features.{feature_index(name)}.weight"] = torch.randn(filters, before, 3, 3) / 6
        state[f"features.{feature_index(name)}.bias"] = torch.randn(filters) / 10
        before = filters
    return state


def test_content_loss_is_the_weighted_mean_square_of_feature_differences() -> None:
    vgg: Vgg = from_state(published(), "a test")
    content = ContentLoss(vgg, (("2_2", 0.5), ("5_4", 1 / 12.75**2)))
    made, real = torch.rand(2, 3, 64, 64, requires_grad=True), torch.rand(2, 3, 64, 64)
    shallow, deep = (vgg(picture, ["2_2", "5_4"]) for picture in (made, real))
    expected = 0.5 * (shallow[0] - deep[0]).square().mean()
    expected = expected + (shallow[1] / 12.75 - deep[1] / 12.75).square().mean()
    loss = content(made, real)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    loss.backward()
    assert made.grad is not None
    assert float(made.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in vgg.parameters())
    assert float(content(real, real)) == 0


def test_content_of_unit_length_is_the_distance_that_is_measured() -> None:
    vgg: Vgg = from_state(published(), "a test")
    content = ContentLoss(vgg, (("2_2", 0.5),), "unit")
    made, real = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
    assert float(content(made, real)) == pytest.approx(vgg_distance(made, real, vgg), rel=1e-5)
    assert float(content(made * 0.5, made)) < float(content(real, made))  # light is no texture
    black = torch.zeros(1, 3, 64, 64, requires_grad=True)
    content(black, real).backward()
    assert black.grad is not None
    assert bool(black.grad.isfinite().all())


def test_content_before_activation_by_l1_is_esrgans() -> None:
    vgg: Vgg = from_state(published(), "a test")
    content = ContentLoss(vgg, RECIPES["esrgan"].content["torchvision"], "l1")
    made, real = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    one, two = (vgg(picture, ["conv5_4"])[0] for picture in (made, real))
    assert float(one.min()) < 0
    assert float(content(made, real)) == pytest.approx(float((one - two).abs().mean()), rel=1e-5)

"""Schedules, the guard, the average, the quick PReLU, and ranges: against their formulas."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from vsr.errors import OptionsError, TrainingDiverged
from vsr.models.catalog import ARCHS
from vsr.training.guard import Guard
from vsr.training.network.ema import Ema
from vsr.training.network.export import from_signed, to_signed
from vsr.training.network.layers import QuickPReLU, quicken
from vsr.training.recipes import PRESETS, RECIPES
from vsr.training.updater import factor, progress

COMPACT = replace(PRESETS["compact"], warmup_steps=10, final_lr=0.1)


def test_progress_is_the_further_of_steps_and_time() -> None:
    assert progress(50, 100, 10, None) == 0.5
    assert progress(50, 100, 90, 100) == 0.9
    assert progress(50, 100, 10, 100) == 0.5
    assert progress(500, 100, 0, None) == 1


def test_cosine_rises_linearly_then_falls_to_its_end() -> None:
    assert [factor(COMPACT, step, 0) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1])
    assert factor(COMPACT, 99, 0.5) == pytest.approx(0.1 + 0.9 / 2)
    assert factor(COMPACT, 99, 1) == pytest.approx(0.1)
    falling = [factor(COMPACT, 99, share / 20) for share in range(21)]
    assert falling == sorted(falling, reverse=True)


def test_steps_divide_by_ten_at_milestones() -> None:
    recipe = replace(COMPACT, schedule="step", milestones=(0.5, 0.75), warmup_steps=0)
    found = [factor(recipe, 0, done) for done in (0, 0.49, 0.5, 0.8)]
    assert found == pytest.approx([1, 1, 0.1, 0.01])


def test_a_first_stage_has_a_rate_of_its_own_and_falls_before_the_second_begins() -> None:
    recipe = replace(RECIPES["real-esrgan"], pixel_lr=5e-4, final_lr=0.1, warmup_steps=0)
    assert (recipe.lr, recipe.pixel_first) == (1e-4, 0.6)
    rates = [recipe.lr * factor(recipe, 0, done) for done in (0, 0.3, 0.6, 0.8, 1)]
    assert rates == pytest.approx([5e-4, 5e-4 * 0.55, 1e-4, 1e-4 * 0.55, 1e-5])
    assert recipe.lr * factor(recipe, 0, 0.5999) == pytest.approx(5e-5, rel=0.01)


def test_the_guard_takes_another_loss_for_another() -> None:
    guard = Guard()
    for _ in range(300):
        guard.admits(0.01, 1.0)
    guard.settle()
    for _ in range(1000):
        assert guard.admits(9.0, 1.0)


def test_the_guard_skips_halves_and_stops() -> None:
    guard = Guard()
    assert guard.admits(1.0, 1.0)
    assert not guard.admits(math.nan, 1.0)
    assert not guard.admits(1.0, math.inf)
    assert guard.scale == 1
    assert not guard.admits(math.nan, 1.0)
    assert guard.scale == 0.5  # the third in a row
    assert guard.admits(1.0, 1.0)
    assert (guard.skipped, guard.in_a_row) == (3, 0)
    for _ in range(11):
        guard.admits(math.nan, math.nan)
    with pytest.raises(TrainingDiverged, match="12 steps in a row") as caught:
        guard.admits(math.nan, math.nan)
    assert "--lr" in (caught.value.hint or "")
    assert guard.scale == 0.5 / 2**3


def feed(guard: Guard, loss: float, steps: int) -> None:
    for _ in range(steps):
        assert guard.admits(loss, 1.0)


def test_a_loss_that_runs_away_ends_the_run_and_a_noisy_one_does_not() -> None:
    guard, adversary = Guard(), Guard(watches=False)
    generator = torch.Generator().manual_seed(0)
    for _ in range(500):
        loss = float(torch.rand((), generator=generator)) * 0.1
        guard.admits(loss, 1.0)
        adversary.admits(loss, 1.0)
    with pytest.raises(TrainingDiverged, match="ran away"):
        feed(guard, 5.0, 200)
    feed(adversary, 5.0, 200)


def test_the_guard_survives_a_checkpoint() -> None:
    guard = Guard(watches=False)
    for loss in (0.5, 0.25, math.nan):
        guard.admits(loss, 1)
    other = Guard()
    other.restore(guard.state())
    assert other == guard


def test_the_average_is_the_formula() -> None:
    module = nn.Linear(2, 1, bias=False)
    ema = Ema(module, decay=0.5)
    expected = module.weight.detach().clone()
    for number in range(4):
        with torch.no_grad():
            module.weight += 1
        ema.update(module)
        decay = min(0.5, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * module.weight.detach()
    torch.testing.assert_close(ema.average.get_parameter("weight"), expected)
    assert not ema.average.training


def test_the_average_copies_running_statistics() -> None:
    module = nn.BatchNorm2d(2)
    ema = Ema(module, 0.9)
    module(torch.rand(4, 2, 3, 3))
    ema.update(module)
    running = module.running_mean
    assert running is not None
    torch.testing.assert_close(ema.average.get_buffer("running_mean"), running)
    assert int(ema.average.get_buffer("num_batches_tracked")) == 1


@pytest.mark.parametrize("slopes", [1, 6])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_quick_prelu_is_prelu(slopes: int, order: torch.memory_format) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, 5, 7, dtype=torch.float64).contiguous(memory_format=order)
    gradient = torch.randn_like(x)
    results: list[tuple[torch.Tensor, ...]] = []
    for kind in (nn.PReLU, QuickPReLU):
        layer = kind(slopes).double()
        with torch.no_grad():
            layer.weight.copy_(torch.linspace(-0.2, 0.9, slopes))
        given = x.clone().requires_grad_()
        made = layer(given)
        made.backward(gradient)
        assert given.grad is not None
        assert layer.weight.grad is not None
        results.append((made, given.grad, layer.weight.grad))
    for one, two in zip(*results, strict=True):
        torch.testing.assert_close(one, two)
    point = torch.zeros(1, 6, 1, 1, dtype=torch.float64, requires_grad=True)
    QuickPReLU(slopes).double()(point).sum().backward()
    assert point.grad is not None
    assert torch.isfinite(point.grad).all()


def test_quickening_keeps_parameters_and_names() -> None:
    module = ARCHS["srresnet"].module({"blocks": 1, "features": 8})
    state, count = copy.deepcopy(module.state_dict()), len(list(module.parameters()))
    pixels = torch.rand(1, 3, 8, 8)
    before = module.eval()(pixels)
    quick = quicken(module)
    assert sum(isinstance(layer, QuickPReLU) for layer in quick.modules()) == 4
    assert list(quick.state_dict()) == list(state)
    assert len(list(quick.parameters())) == count
    torch.testing.assert_close(quick(pixels), before)


@pytest.mark.parametrize("arch", ["srresnet", "srcnn"])
def test_signed_ranges_fold_into_the_last_layer_and_back(arch: str) -> None:
    torch.manual_seed(0)
    hparams = {"features": 8, "blocks": 1} if arch == "srresnet" else {"features": 8, "mapped": 4}
    module = ARCHS[arch].module(hparams).double().eval()
    pixels = torch.rand(1, 3, 9, 9, dtype=torch.float64)
    plain = module(pixels)
    to_signed(module, arch)
    torch.testing.assert_close(module(pixels), 2 * plain - 1)
    from_signed(module, arch)
    torch.testing.assert_close(module(pixels), plain)


def test_compact_cannot_be_signed() -> None:
    with pytest.raises(OptionsError, match="adds to its input"):
        to_signed(ARCHS["compact"].module({"layers": 1, "features": 4}), "compact")

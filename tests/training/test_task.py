"""One step of each adversarial recipe: what each loss is of, and what is made small."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from tests.marks import usually
from tests.training.test_losses import published
from tests.training.test_recipes import NETS
from vsr.models.catalog import ARCHS
from vsr.perceptual.vgg import from_state
from vsr.training.data.patches import TrainingBatch
from vsr.training.guard import Guard
from vsr.training.ranks import Ranks
from vsr.training.recipe import GENERATORS
from vsr.training.recipes import RECIPES
from vsr.training.task import GanTask
from vsr.training.updater import TrainingDevice, Updater

ADVERSARIAL = [name for name, recipe in RECIPES.items() if recipe.is_gan]


class Watched:
    """A task of a tiny network, and every picture that its adversary sees."""

    def __init__(self, recipe: str, generator: str = "compact") -> None:
        torch.manual_seed(3)
        size = dict(NETS[generator])
        self.recipe = replace(
            RECIPES[recipe], generator=generator, hparams=size, patch=12, filters=4
        )
        module = ARCHS[self.recipe.arch].module(self.recipe.network)
        place = TrainingDevice(torch.device("cpu"), torch.float32, Ranks())
        self.vgg = from_state(published(), "a test")
        self.task = GanTask(self.recipe, module, place, self.vgg)
        self.seen: list[Tensor] = []
        self.task.discriminator.register_forward_pre_hook(self.watch)

    def watch(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        del module
        self.seen.append(given[0].detach().clone())


def batch() -> TrainingBatch:
    low, high, real = (
        torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8) for side in (12, 48, 48)
    )
    return TrainingBatch(low, high, real)


def test_the_adversary_sees_plain_pictures_and_the_other_losses_sharp_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched, pair = Watched("real-esrgan"), batch()
    monkeypatch.setattr(torch, "randint", unshifted)
    assert pair.real is not None
    made = watched.task.generator(pair.low / 255).detach()
    losses = watched.task.step(pair, 0.0)
    seen = (slice(None), slice(None), slice(45), slice(45))  # of the 48 px, less scale - 1
    torch.testing.assert_close(watched.seen[0], pair.real[seen] / 255)
    torch.testing.assert_close(watched.seen[1], made[seen])
    wanted = (made - pair.high / 255).abs().mean()
    assert float(losses["pixel"]) == pytest.approx(float(wanted), rel=1e-5)
    layers = watched.recipe.content["torchvision"]
    names = [name for name, _ in layers]
    seen_by_vgg = (watched.vgg(pixels[seen], names) for pixels in (made, pair.high / 255))
    pairs = zip(*seen_by_vgg, strict=True)
    terms = [float((one - two).abs().mean()) for one, two in pairs]
    content = sum(weight * term for (_, weight), term in zip(layers, terms, strict=True))
    assert float(losses["content"]) == pytest.approx(content, rel=1e-4)


def unshifted(below: int, size: tuple[int]) -> Tensor:
    del below
    return torch.zeros(size, dtype=torch.int64)


def test_no_place_of_a_cell_is_always_the_first_that_is_judged() -> None:
    watched = Watched("real-esrgan")
    low = batch()
    assert low.real is not None
    places = {
        (y, x): low.real[..., y : y + 45, x : x + 45] / 255 for y in range(4) for x in range(4)
    }
    met: set[tuple[int, int]] = set()
    for _ in range(8):
        watched.task.step(low, 0.0)
    for seen in watched.seen:
        # One shape: for another, libraries would have to choose their kernels anew.
        assert tuple(seen.shape[-2:]) == (45, 45)
        met |= {place for place, part in places.items() if torch.allclose(seen, part)}
    assert len({y for y, _ in met}) > 1
    assert len({x for _, x in met}) > 1
    whole = Watched("esrgan")
    whole.task.step(low, 0.0)
    assert {tuple(seen.shape[-2:]) for seen in whole.seen} == {(48, 48)}  # one answer for all of it


@pytest.mark.parametrize("recipe", ["esrgan", "real-esrgan", "srgan"])
def test_what_is_made_small_is_the_weighted_sum(
    recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(recipe)
    totals: list[float] = []

    def noted(updater: Updater, loss: Tensor, factor: float, guard: Guard) -> bool:
        del updater, factor, guard
        totals.append(float(loss.detach()))
        return False

    monkeypatch.setattr(Updater, "update", noted)
    losses = {name: float(loss) for name, loss in watched.task.step(batch(), 1.0).items()}
    weights = {
        "esrgan": {"content": 1, "adversarial": 5e-3, "pixel": 1e-2, "tone": 2},
        "real-esrgan": {"content": 1, "adversarial": 0.1, "pixel": 1, "tone": 20},
        "srgan": {"content": 1, "adversarial": 1e-3, "pixel": 0.1, "tone": 2},
    }[recipe]
    wanted = sum(weight * losses[name] for name, weight in weights.items())
    assert totals == [pytest.approx(losses["discriminator"]), pytest.approx(wanted, rel=1e-5)]


@pytest.mark.parametrize(
    ("recipe", "generator"),
    usually(
        [*((name, "compact") for name in ADVERSARIAL), *(("srgan", name) for name in GENERATORS)],
        product(ADVERSARIAL, GENERATORS),
    ),
)
def test_every_adversarial_recipe_trains_every_network(recipe: str, generator: str) -> None:
    watched = Watched(recipe, generator)
    task = watched.task
    before = [one.detach().clone() for one in task.generator.parameters()]
    losses = task.step(batch(), 1.0)
    assert all(bool(torch.isfinite(loss)) for loss in losses.values())
    moved = zip(before, task.generator.parameters(), strict=True)
    assert sum(not torch.equal(one, two) for one, two in moved) > len(before) / 2


def test_the_first_stage_leaves_the_adversary_alone() -> None:
    watched = Watched("real-esrgan")
    before = [one.detach().clone() for one in watched.task.discriminator.parameters()]
    assert set(watched.task.pixel_step(batch(), 1.0)) == {"pixel"}
    assert not watched.seen
    after = list(watched.task.discriminator.parameters())
    assert all(torch.equal(one, two) for one, two in zip(before, after, strict=True))


def test_rrdb_begins_with_a_tenth_of_hes_weights() -> None:
    torch.manual_seed(0)
    net = ARCHS["rrdb"].module({"blocks": 1})
    for number in range(1, 6):
        weight = net.get_parameter(f"body.0.rdb2.conv{number}.weight")
        he = (2 / (9 * weight.shape[1])) ** 0.5  # He et al. 2015, for inputs of 3x3 cells
        assert float(weight.detach().std()) == pytest.approx(0.1 * he, rel=0.03)

"""Adversaries of frames and of motion: what they see, what they teach, and what flicker costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.training.test_losses import published
from tests.training.test_recipes import NETS
from vsr.models.catalog import ARCHS
from vsr.models.recurrent import warped
from vsr.perceptual.vgg import from_state
from vsr.training.data.patches import TrainingBatch
from vsr.training.losses import flicker
from vsr.training.ranks import Ranks
from vsr.training.recipes import PRESETS
from vsr.training.sequence_task import SequenceGanTask, aligned, enlarged, forward
from vsr.training.updater import TrainingDevice


def task(lengths: int = 4) -> SequenceGanTask:
    torch.manual_seed(5)
    recipe = replace(
        PRESETS["video-gan"], hparams=dict(NETS["video"]), patch=12, lengths=((0, lengths),)
    )
    module = ARCHS[recipe.arch].module(recipe.network)
    place = TrainingDevice(torch.device("cpu"), torch.float32, Ranks())
    return SequenceGanTask(recipe, module, place, from_state(published(), "a test"))


def batch(frames: int = 4) -> TrainingBatch:
    generator = torch.Generator().manual_seed(1)
    low, high = (
        torch.randint(0, 256, (2, frames, 3, side, side), dtype=torch.uint8, generator=generator)
        for side in (12, 48)
    )
    motion = torch.randint(-32, 33, (2, frames, 2, 12, 12), dtype=torch.int16, generator=generator)
    return TrainingBatch(low, high, None, motion)


def pan(frames: int, shift: int) -> tuple[Tensor, Tensor]:
    """(1, t, 3, 40, 40) of something smooth that moves to the left, and its motion."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(40.0 + shift * frames), indexing="ij")
    wide = (torch.sin(x / 4) + torch.cos(y / 5)) / 4 + 0.5
    shown = torch.stack([wide[:, shift * n : shift * n + 40] for n in range(frames)])
    motion = torch.zeros(1, frames, 2, 40, 40)
    motion[:, 1:, 0] = shift  # what is here now was farther to the right
    return shown[None, :, None].expand(1, frames, 3, 40, 40), motion


def test_the_outer_frames_are_moved_onto_the_middle_one() -> None:
    frames, motion = pan(3, 3)
    shown = aligned(frames, motion)
    assert shown.shape == (1, 9, 40, 40)
    before, middle, after = (shown[:, n : n + 3, :, 6:-6] for n in (0, 3, 6))
    torch.testing.assert_close(before, middle, atol=1e-5, rtol=0)
    torch.testing.assert_close(after, middle, atol=1e-5, rtol=0)
    assert (frames[:, 0] - frames[:, 1]).abs().max() > 0.1


def test_motion_forward_is_the_inverse_of_motion_backward() -> None:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    backward = torch.stack([2 + torch.sin(y / 6), 1 + torch.cos(x / 7)])[None]
    there = forward(backward)
    back = warped(backward, there)  # from where it went, back again
    assert (there + back)[..., 5:-5, 5:-5].abs().max() < 0.02


def test_motion_grows_with_the_picture() -> None:
    motion = torch.full((1, 2, 2, 5, 6), 1.5)
    large = enlarged(motion, 4)
    assert large.shape == (1, 2, 2, 20, 24)
    assert (large == 6).all()


def test_what_moves_along_does_not_flicker_and_what_comes_and_goes_does() -> None:
    frames, motion = pan(4, 2)
    still = float(flicker(frames, frames, motion))
    assert still == pytest.approx(1e-3, rel=1e-3)  # the loss's round bottom
    flashing = frames + torch.tensor([0.0, 0.1, 0.0, 0.1]).view(1, 4, 1, 1, 1)
    assert float(flicker(flashing, frames, motion)) > 50 * still
    assert float(flicker(flashing, flashing, motion)) == pytest.approx(still)  # so does the real
    assert float(flicker(frames[:, :1], frames[:, :1], motion[:, :1])) == 0


def test_each_adversary_sees_what_it_judges_and_learns() -> None:
    watched = task()
    seen: dict[str, list[tuple[int, ...]]] = {"frames": [], "motion": []}

    def note(name: str) -> object:
        def hook(module: nn.Module, given: tuple[Tensor, ...]) -> None:
            del module
            seen[name].append(tuple(given[0].shape[:2]))

        return hook

    watched.discriminator.register_forward_pre_hook(note("frames"))  # pyright: ignore[reportArgumentType]
    watched.temporal.register_forward_pre_hook(note("motion"))  # pyright: ignore[reportArgumentType]
    before = {
        name: [value.detach().clone() for value in network.parameters()]
        for name, network in (
            ("frames", watched.discriminator),
            ("motion", watched.temporal),
            ("generator", watched.generator),
        )
    }
    losses = watched.step(batch(), 1.0)
    assert set(seen["frames"]) == {(2 * 3, 3)}
    assert set(seen["motion"]) == {(2, 9)}
    assert {"pixel", "flicker", "temporal", "temporal_discriminator", "content"} <= losses.keys()
    assert all(torch.isfinite(loss) for loss in losses.values())
    for name, network in (
        ("frames", watched.discriminator),
        ("motion", watched.temporal),
        ("generator", watched.generator),
    ):
        after = list(network.parameters())
        assert any(not torch.equal(a, b) for a, b in zip(before[name], after, strict=True)), name


def test_two_frames_have_no_adversary_of_motion() -> None:
    losses = task(2).step(batch(2), 1.0)
    assert "temporal" not in losses
    assert torch.isfinite(losses["flicker"])


@pytest.mark.extended
def test_a_generator_without_flicker_is_what_the_loss_leads_to() -> None:
    """Weights that flicker become steadier by that loss alone."""
    steady = task()
    steady.recipe = replace(
        steady.recipe, pixel_weight=0.0, content_weight=0.0, tone_weight=0.0,
        adversarial_weight=0.0, temporal_weight=0.0,
    )  # fmt: skip
    torch.manual_seed(0)
    pair = batch()
    costs = [float(steady.step(pair, 20.0)["flicker"]) for _ in range(9)]
    assert costs[-1] < costs[0]

"""What each kind of training is made of: one frozen value a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import torch

from vsr.errors import OptionsError
from vsr.models.arch import Hyper
from vsr.models.catalog import ARCHS
from vsr.training.degrade.base import Degradation
from vsr.training.degrade.catalog import CHAINS
from vsr.training.options import Adversarial, Head, PixelLoss, TrainOptions

Layers = tuple[tuple[str, float], ...]

VGG_PAPER: Layers = (("5_4", 1 / 12.75**2),)
"""SRGAN's phi_5,4, its maps scaled by 1/12.75 (section 3.2), which squares in the loss."""
VGG_NORMALISED: Layers = (("2_2", 5e-2), ("3_1", 1e-1))
"""For a net cut at conv3_1 whose mean activation is 1."""
VGG_DISTILLED: Layers = (("3_1", 5e-2), ("4_1", 2e-1), ("5_1", 4e-1))
"""For the pruned net, its predicted full maps: each of about the same size. Together some hundred
times the adversarial term: with a tenth of that, short runs on small batches strayed."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one network is trained.

    ``patch`` is in low-resolution pixels; ``cpu_batch`` is the batch on a CPU, where many small
    steps win. ``shrink`` bounds the random factor that crops are first
    shrunk by, for more texture a pixel. ``signed`` trains on targets in [-1, 1], as the paper; the
    exported network gives 0..1 all the same. ``content`` maps a layout of VGG weights to layers and
    their weights; ``tone_weight`` holds colour and the grid of cells. ``head`` is what the
    discriminator answers for: the patch or each place of it. ``best`` is the metric that the kept
    weights are chosen by: the perceptual distance counts only while PSNR stays above the start's
    less ``psnr_floor`` dB.
    """

    name: str
    summary: str
    arch: str
    hparams: Mapping[str, Hyper] = field(default_factory=dict[str, Hyper])
    patch: int = 24
    batch: int = 16
    cpu_batch: int = 4
    steps: int = 100_000
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    schedule: Literal["cosine", "step"] = "cosine"
    warmup_steps: int = 200
    final_lr: float = 0.01
    milestones: tuple[float, ...] = (0.5,)
    clip: float = 1.0
    ema: float = 0.999
    shrink: tuple[float, float] = (1.0, 2.5)
    signed: bool = False
    pixel: PixelLoss = "charbonnier"
    pixel_weight: float = 1.0
    content: Mapping[str, Layers] = field(default_factory=dict[str, Layers])
    content_weight: float = 0.0
    tone_weight: float = 0.0
    adversarial: Adversarial = "standard"
    adversarial_weight: float = 0.0
    head: Head = "local"
    discriminator_lr: float = 1e-4
    best: Literal["psnr", "perceptual"] = "psnr"
    psnr_floor: float = 3.0
    validate_every: int = 1000
    clean: tuple[Degradation, ...] = CHAINS["clean"]
    video: tuple[Degradation, ...] = CHAINS["video"]

    @property
    def scale(self) -> int:
        """How many times the network enlarges."""
        return int({**ARCHS[self.arch].defaults, **self.hparams}["scale"])

    @property
    def is_gan(self) -> bool:
        """Whether a discriminator takes part."""
        return self.adversarial_weight > 0


_CONTENT = {"torchvision": VGG_PAPER, "normalised": VGG_NORMALISED, "distilled": VGG_DISTILLED}

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "srcnn",
            "SRCNN with a pixel loss: small, slow to run, of historical interest",
            arch="srcnn",
            pixel="mse",
            lr=1e-3,
            patch=24,
        ),
        Recipe(
            "srresnet",
            "SRGAN's generator with a pixel loss: fidelity, and the warm start of srgan",
            arch="srresnet",
            pixel="mse",
            signed=True,
            lr=4e-4,
            betas=(0.9, 0.999),
            shrink=(1.0, 2.0),
        ),
        Recipe(
            "srgan",
            "the paper's SRGAN: VGG content and an adversary; --init it with srresnet weights",
            arch="srresnet",
            signed=True,
            pixel="mse",
            pixel_weight=0.1,
            content=_CONTENT,
            content_weight=1.0,
            tone_weight=2.0,
            adversarial_weight=1e-3,
            head="global",
            lr=1e-4,
            betas=(0.9, 0.999),
            schedule="step",
            shrink=(1.0, 1.5),
            best="perceptual",
            validate_every=500,
        ),
        Recipe(
            "compact",
            "a plain chain for CPUs and real time, with a pixel loss",
            arch="compact",
            batch=32,
            lr=7e-4,
            shrink=(1.0, 1.5),
            validate_every=2500,
        ),
        Recipe(
            "compact-gan",
            "compact with VGG content and an adversary; --init it with compact weights",
            arch="compact",
            pixel="l1",
            pixel_weight=0.1,
            content=_CONTENT,
            content_weight=1.0,
            tone_weight=2.0,
            adversarial="relativistic",
            adversarial_weight=2e-3,
            head="local",
            lr=1e-4,
            shrink=(1.0, 1.5),
            best="perceptual",
            validate_every=500,
        ),
    )
}


def resolve(options: TrainOptions) -> Recipe:
    """The recipe asked for, with what the options change. Raises :class:`OptionsError`."""
    recipe = RECIPES.get(options.recipe)
    if recipe is None:
        raise OptionsError(
            f"there is no recipe {options.recipe!r}", hint=f"one of {', '.join(RECIPES)}"
        )
    unknown = sorted({name for name, _ in options.net} - set(ARCHS[recipe.arch].defaults))
    if unknown:
        raise OptionsError(
            f"{recipe.arch} has no hyper-parameter {', '.join(unknown)}",
            hint=f"it has {', '.join(ARCHS[recipe.arch].defaults)}",
        )
    given = {
        name: getattr(options, name)
        for name in (
            "steps", "batch", "patch", "lr", "pixel", "pixel_weight",
            "adversarial", "head", "validate_every",
        )
        if getattr(options, name) is not None
    }  # fmt: skip
    if _on_cpu(options.device):
        recipe = replace(recipe, batch=recipe.cpu_batch)
    if options.vgg == "none" and recipe.content_weight:  # then pixels say what the content is
        recipe = replace(recipe, content_weight=0.0, pixel_weight=1.0, best="psnr")
    changed = replace(recipe, hparams={**recipe.hparams, **dict(options.net)}, **given)
    if not changed.pixel_weight and not changed.content_weight:
        raise OptionsError("nothing is left to learn from", hint="a pixel weight above 0")
    if options.minutes is not None and options.steps is None:
        return replace(changed, steps=1 << 40)  # the clock ends this run
    return changed


def _on_cpu(device: str) -> bool:
    found = torch.cuda.is_available() or torch.backends.mps.is_available()
    return device == "cpu" or (device == "auto" and not found)


def damage(recipe: Recipe, options: TrainOptions) -> tuple[Degradation, ...]:
    """The chain that makes low pictures of high ones."""
    return recipe.video if options.degrade == "video" else recipe.clean

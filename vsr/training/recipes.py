"""The recipes and the presets, by name; and the recipe that a person's options ask for."""

from __future__ import annotations

from dataclasses import replace

import torch

from vsr.errors import OptionsError
from vsr.models.catalog import ARCHS
from vsr.training.options import TrainOptions
from vsr.training.recipe import GENERATORS, Layers, Recipe

VGG_PAPER: Layers = (("5_4", 1 / 12.75**2),)
"""SRGAN's phi_5,4, its maps scaled by 1/12.75 (section 3.2), which squares in the loss."""
VGG_NORMALISED: Layers = (("2_2", 5e-2), ("3_1", 1e-1))
"""For a net cut at conv3_1 whose mean activation is 1."""
VGG_DISTILLED: Layers = (("3_1", 5e-2), ("4_1", 2e-1), ("5_1", 4e-1))
"""For the pruned net, its predicted full maps: each of about the same size. Together some hundred
times the adversarial term: with a tenth of that, short runs on small batches strayed."""
CONTENT = {"torchvision": VGG_PAPER, "normalised": VGG_NORMALISED, "distilled": VGG_DISTILLED}
ESRGAN_CONTENT: dict[str, Layers] = {
    "torchvision": (("conv5_4", 1.0),),
    "normalised": (("conv2_2", 5e-2), ("conv3_1", 5e-1)),
    "distilled": (("3_1", 1e-1), ("4_1", 2e-1), ("5_1", 4e-1)),
}
"""Before activation (section 3.3). What the pruned net predicts are maps after it."""
REAL_CONTENT: dict[str, Layers] = {
    "torchvision": (
        ("conv1_2", 0.1), ("conv2_2", 0.1), ("conv3_4", 1.0), ("conv4_4", 1.0), ("conv5_4", 1.0),
    ),
    "normalised": (("conv1_2", 0.1), ("conv2_2", 0.1), ("conv3_1", 1.0)),
    "distilled": (("3_1", 0.5), ("4_1", 0.5), ("5_1", 0.5)),
}  # fmt: skip
"""The published layers; of the pruned net such as make the term some ten times the adversary's: by
more, short runs drew a grid of cells where they knew no texture. Its first two stages would take
more time than all the others."""

GROWING = ((0, 2), (2000, 4), (8000, 9))
"""Frames of a sequence from a step on: what a frame is made of is learnt from few, soonest."""

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("psnr", "a pixel loss alone: near to the original, soft where it cannot know"),
        Recipe(
            "srgan",
            "the paper's SRGAN: VGG content and an adversary; --init it with pixel-trained weights",
            generator="srresnet",
            pixel="mse",
            pixel_weight=0.1,
            content=CONTENT,
            content_weight=1.0,
            tone_weight=2.0,
            adversarial_weight=1e-3,
            head="global",
            lr=1e-4,
            betas=(0.9, 0.999),
            schedule="step",
            best="perceptual",
            validate_every=500,
        ),
        Recipe(
            "esrgan",
            "ESRGAN: a relativistic adversary, features before activation, L1; --init it, too",
            generator="rrdb",
            patch=32,
            pixel="l1",
            pixel_weight=1e-2,
            content=ESRGAN_CONTENT,
            content_loss="l1",
            content_weight=1.0,
            tone_weight=2.0,
            adversarial="relativistic",
            adversarial_weight=5e-3,
            head="global",
            lr=1e-4,
            schedule="step",
            milestones=(0.125, 0.25, 0.5, 0.75),
            step_factor=0.5,
            best="perceptual",
            validate_every=500,
        ),
        Recipe(
            "real-esrgan",
            "Real-ESRGAN, for poor sources: spoilt twice and by codecs; an adversary after pixels",
            generator="rrdb",
            degrade="real",
            sharp=True,
            pixel_first=0.6,
            pixel="l1",
            content=REAL_CONTENT,
            content_loss="l1",
            content_weight=1.0,
            tone_weight=20.0,
            adversarial_weight=0.1,
            head="unet",
            lr=1e-4,
            best="perceptual",
            validate_every=2000,
        ),
    )
}

VIDEO = Recipe(
    "video",
    "a network that sees the video, with a pixel loss: for video, clean and compressed",
    generator="video",
    degrade="stream",
    patch=36,
    batch=16,
    lengths=GROWING,
    clip=0.5,
    validate_every=2000,
)

PRESETS: dict[str, Recipe] = {
    preset.name: preset
    for preset in (
        Recipe(
            "srcnn",
            "SRCNN with a pixel loss: small, slow to run, of historical interest",
            generator="srcnn",
            pixel="mse",
            lr=1e-3,
            shrink=(1.0, 2.5),
        ),
        Recipe(
            "srresnet",
            "SRGAN's generator with a pixel loss: fidelity, and the warm start of srgan",
            generator="srresnet",
            pixel="mse",
            lr=4e-4,
            betas=(0.9, 0.999),
            shrink=(1.0, 2.0),
        ),
        Recipe(
            "compact",
            "a plain chain for CPUs and real time, with a pixel loss",
            batch=32,
            lr=7e-4,
            validate_every=2500,
        ),
        Recipe(
            "tiny",
            "the smallest chain, with a pixel loss: the quickest to learn and to run",
            generator="tiny",
            batch=32,
            lr=1e-3,
            validate_every=2500,
        ),
        VIDEO,
        replace(
            VIDEO,
            name="video-tiny",
            summary="the same, four times as quick",
            generator="video-tiny",
        ),
        replace(
            VIDEO,
            name="video-gan",
            summary="for real footage, with adversaries of frames and motion; --init it with video",
            degrade="footage",
            patch=32,
            batch=8,
            cpu_batch=2,
            lengths=((0, 7),),
            lr=1e-4,
            pixel="l1",
            pixel_weight=0.3,
            content=CONTENT,
            content_weight=1.0,
            tone_weight=2.0,
            adversarial="relativistic",
            adversarial_weight=2e-3,
            temporal_weight=1e-3,
            flicker_weight=1.0,
            best="perceptual",
            validate_every=500,
        ),
        Recipe(
            "compact-video",
            "compact for compressed video, with a pixel loss; --init it with compact weights",
            degrade="video",
            batch=32,
            lr=4e-4,
            validate_every=2500,
        ),
        Recipe(
            "compact-gan",
            "compact with VGG content and an adversary; --init it with compact weights",
            pixel="l1",
            pixel_weight=0.1,
            content=CONTENT,
            content_weight=1.0,
            tone_weight=2.0,
            adversarial="relativistic",
            adversarial_weight=2e-3,
            head="local",
            lr=1e-4,
            best="perceptual",
            validate_every=500,
        ),
    )
}
"""A recipe for one network each, by the names that were there before the two were told apart."""


def named(name: str, arch: str | None) -> Recipe:
    """The recipe and the network that were asked for, as they are. Raises :class:`OptionsError`."""
    recipe = RECIPES.get(name) or PRESETS.get(name)
    if recipe is None:
        raise OptionsError(
            f"there is no recipe {name!r}",
            hint=f"one of {', '.join(RECIPES)}; or of the presets {', '.join(PRESETS)}",
        )
    if arch is None:
        return recipe
    if arch not in GENERATORS:
        raise OptionsError(
            f"there is no network {arch!r} to train", hint=f"one of {', '.join(GENERATORS)}"
        )
    if recipe.name in PRESETS and arch != recipe.generator:
        raise OptionsError(
            f"the preset {recipe.name} trains {recipe.generator}, not {arch}",
            hint=f"--recipe {', '.join(RECIPES)} train any network",
        )
    return replace(recipe, generator=arch)


def resolve(options: TrainOptions) -> Recipe:
    """The recipe asked for, with what the options change. Raises :class:`OptionsError`."""
    recipe = named(options.recipe, options.arch)
    unknown = sorted({name for name, _ in options.net} - set(ARCHS[recipe.arch].defaults))
    if unknown:
        raise OptionsError(
            f"{recipe.arch} has no hyper-parameter {', '.join(unknown)}",
            hint=f"it has {', '.join(ARCHS[recipe.arch].defaults)}",
        )
    own = GENERATORS[recipe.generator].pixel_lr
    recipe = replace(recipe, lr=recipe.lr or own)
    recipe = replace(recipe, pixel_lr=own * (options.lr or recipe.lr) / recipe.lr)
    given = {
        name: getattr(options, name)
        for name in (
            "steps", "batch", "patch", "lr", "pixel", "pixel_first",
            "adversarial", "head", "degrade", "validate_every",
        )
        if getattr(options, name) is not None
    }  # fmt: skip
    if options.content is not None:
        if not recipe.content_weight:
            raise OptionsError(
                f"{recipe.name} compares no features",
                hint="leave --content away, or choose an adversarial recipe",
            )
        given["content_loss"] = options.content
    for name, weight in options.loss_weights or ():
        if not getattr(recipe, f"{name}_weight"):
            raise OptionsError(
                f"{recipe.name} has no {name} loss that could be weighed",
                hint="leave its weight away, or choose another recipe",
            )
        given[f"{name}_weight"] = weight
    if given.get("pixel_first") and not recipe.is_gan:
        raise OptionsError(
            f"{recipe.name} learns from pixels alone: there is nothing that could come after them",
            hint="leave --pixel-first away, or choose an adversarial recipe",
        )
    if _on_cpu(options.device):
        recipe = replace(recipe, batch=recipe.cpu_batch, filters=recipe.cpu_filters)
    if options.vgg == "none" and recipe.content_weight:  # then pixels say what the content is
        recipe = replace(recipe, content_weight=0.0, pixel_weight=1.0, best="psnr")
    changed = replace(recipe, hparams={**recipe.hparams, **dict(options.net)}, **given)
    if changed.pixel_first == 1:  # no adversary ever comes
        changed = replace(
            changed, pixel_first=0.0, lr=changed.pixel_lr, best="psnr",
            adversarial_weight=0.0, content_weight=0.0,
        )  # fmt: skip
    if changed.is_sequential:
        if changed.is_gan and not changed.temporal_weight:
            raise OptionsError(
                f"{changed.name} judges single frames: {changed.generator} would flicker",
                hint="--recipe video-gan, or psnr and video for pixels alone",
            )
        lengths = changed.lengths or GROWING
        changed = replace(
            changed,
            # Weights to start from know already what a frame is made of.
            lengths=((0, lengths[-1][1]),) if options.init else lengths,
            degrade="stream" if changed.degrade == "video" else changed.degrade,
        )
    if not changed.pixel_weight and not changed.content_weight:
        raise OptionsError("nothing is left to learn from", hint="a pixel weight above 0")
    if options.minutes is not None and options.steps is None:
        return replace(changed, steps=1 << 40)  # the clock ends this run
    return changed


def _on_cpu(device: str) -> bool:
    found = torch.cuda.is_available() or torch.backends.mps.is_available()
    return device == "cpu" or (device == "auto" and not found)

"""What a recipe is: all that a training does, but for its data, in one frozen value. No table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from vsr.models.arch import Hyper
from vsr.models.catalog import ARCHS
from vsr.training.options import Adversarial, Content, Degrade, Head, PixelLoss


@dataclass(frozen=True, slots=True)
class Generator:
    """A network that can be trained: an architecture of the catalog with its hyper-parameters."""

    name: str
    """What ``--arch`` takes."""
    arch: str
    """The architecture's name in the catalog."""
    pixel_lr: float
    """The learning rate that a pixel loss may begin with."""
    hparams: Mapping[str, Hyper] = field(default_factory=dict[str, Hyper])
    """Hyper-parameters that differ from the architecture's defaults."""
    signed: bool = False
    """Whether it trains on targets in [-1, 1], as the paper; the exported network gives 0..1 all
    the same."""


GENERATORS: dict[str, Generator] = {
    generator.name: generator
    for generator in (
        Generator("srcnn", "srcnn", 1e-3),
        Generator("srresnet", "srresnet", 4e-4, signed=True),
        Generator("compact", "compact", 7e-4, {"slopes": "one"}),
        Generator("tiny", "compact", 1e-3, {"features": 32, "layers": 8, "slopes": "one"}),
        Generator("rrdb", "rrdb", 2e-4),
        Generator("video", "recurrent", 5e-4),
        Generator("video-tiny", "recurrent", 8e-4, {"features": 32, "layers": 6}),
    )
}


Layers = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained."""

    name: str
    """What ``--recipe`` takes."""
    summary: str
    """What it is, in a phrase, for the card of the weights."""
    generator: str = "compact"
    """The network's name in :data:`GENERATORS`."""
    hparams: Mapping[str, Hyper] = field(default_factory=dict[str, Hyper])
    """Hyper-parameters that differ from the generator's own."""
    degrade: Degrade = "clean"
    """The chain of damage that makes low pictures, by its name in :mod:`vsr.degrade.catalog`."""
    sharp: bool = False
    """Whether targets are sharpened; the adversary sees plain ones."""
    patch: int = 24
    """Side of a patch, in low-resolution pixels."""
    batch: int = 16
    """Patches or sequences a step, in each process."""
    cpu_batch: int = 4
    """The same on a CPU, where many small steps win."""
    steps: int = 100_000
    """Length of the run; 2**40 where the clock ends it."""
    lr: float = 0.0
    """The learning rate that the schedule multiplies; 0 is the generator's own for a pixel loss."""
    pixel_first: float = 0.0
    """Share of the run, 0..1, that learns from pixels alone before the adversary comes."""
    pixel_lr: float = 0.0
    """The learning rate of that share, which :func:`vsr.training.recipes.resolve` finds."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Adam's decays of the mean gradient and of the mean square."""
    schedule: Literal["cosine", "step"] = "cosine"
    """How the rate falls: along half a cosine to ``final_lr``, or by ``step_factor`` at
    ``milestones``."""
    warmup_steps: int = 200
    """Steps in which the rate rises from the first; 0 for none."""
    final_lr: float = 0.01
    """Of the cosine: where the rate ends, as a share of ``lr``."""
    milestones: tuple[float, ...] = (0.5,)
    """Of the other: shares of the run, or of each of its stages, at which the rate falls."""
    step_factor: float = 0.1
    """What the rate is multiplied with at each milestone."""
    clip: float = 1.0
    """The largest norm of all gradients together; larger ones are scaled down to it."""
    ema: float = 0.999
    """Decay of the average of weights at each step."""
    shrink: tuple[float, float] = (1.0, 1.5)
    """Bounds of the random factor that crops are first shrunk by, for more texture a pixel."""
    pixel: PixelLoss = "charbonnier"
    """The loss that pixels are compared by."""
    pixel_weight: float = 1.0
    """Weight of that loss."""
    content: Mapping[str, Layers] = field(default_factory=dict[str, Layers])
    """For each layout of VGG weights its layers and their weights; empty without a content loss."""
    content_loss: Content = "mse"
    """The loss that VGG features are compared by; ``unit`` has layers and weights of its own."""
    content_weight: float = 0.0
    """Weight of the content loss; 0 for none."""
    tone_weight: float = 0.0
    """Weight of what holds colour and the grid of cells, beside an adversary or a content loss:
    :func:`vsr.training.losses.tone`."""
    adversarial: Adversarial = "standard"
    """The adversary's loss, by its name in :mod:`vsr.training.losses`."""
    adversarial_weight: float = 0.0
    """Its weight for the generator; 0 for no discriminator."""
    temporal_weight: float = 0.0
    """Weight of an adversary of three consecutive frames; 0 where pictures are learnt."""
    flicker_weight: float = 0.0
    """Weight of the loss of motion: how far what changes between frames is from the original's."""
    head: Head = "local"
    """What the discriminator answers for: the patch, each place of it, or each pixel."""
    filters: int = 64
    """Width of a U-Net discriminator."""
    cpu_filters: int = 32
    """The same on a CPU."""
    discriminator_lr: float = 1e-4
    """The discriminators' learning rate, which the schedule multiplies as the generator's."""
    best: Literal["psnr", "perceptual"] = "psnr"
    """The metric that the kept weights are chosen by."""
    psnr_floor: float = 3.0
    """Decibels that PSNR may be below the start's for the perceptual distance to count."""
    lengths: tuple[tuple[int, int], ...] = ()
    """(step, frames) pairs: how long a training sequence is from that step on. Empty for pictures;
    a network that sees the video then gets :data:`vsr.training.recipes.GROWING`."""
    validate_every: int = 1000
    """Steps between validations; on a GPU fewer are made where they would take long."""

    @property
    def arch(self) -> str:
        """The network's architecture, by its name in the catalog."""
        return GENERATORS[self.generator].arch

    @property
    def network(self) -> Mapping[str, Hyper]:
        """Every hyper-parameter of the network."""
        return {**ARCHS[self.arch].defaults, **GENERATORS[self.generator].hparams, **self.hparams}

    @property
    def signed(self) -> bool:
        """Whether targets are in [-1, 1] while it trains."""
        return GENERATORS[self.generator].signed

    @property
    def scale(self) -> int:
        """How many times the network enlarges."""
        return int(self.network["scale"])

    @property
    def is_sequential(self) -> bool:
        """Whether the network has a memory, and learns from consecutive frames."""
        return self.arch == "recurrent"

    @property
    def is_gan(self) -> bool:
        """Whether a discriminator takes part."""
        return self.adversarial_weight > 0

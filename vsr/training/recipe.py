"""What a recipe is: all that a training does, but for its data, in one frozen value. No table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from vsr.models.arch import Hyper
from vsr.models.catalog import ARCHS
from vsr.training.options import Adversarial, Degrade, Head, PixelLoss


@dataclass(frozen=True, slots=True)
class Generator:
    """An architecture of the catalog with its hyper-parameters.

    ``pixel_lr`` is the learning rate that a pixel loss may begin with. ``signed`` trains on targets
    in [-1, 1], as the paper; the exported network gives 0..1 all the same.
    """

    name: str
    arch: str
    pixel_lr: float
    hparams: Mapping[str, Hyper] = field(default_factory=dict[str, Hyper])
    signed: bool = False


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
    """How a network is trained.

    ``generator`` names the network, ``hparams`` are those that differ from its own. ``patch`` is
    in low-resolution pixels; ``cpu_batch`` is the batch on a CPU, where many small steps win, and
    ``cpu_filters`` the width of a U-Net discriminator there, else ``filters``.
    ``lr`` of 0 is the generator's own for a pixel loss. Of a run with an adversary, the first
    ``pixel_first`` learns from pixels alone, with ``pixel_lr``. ``shrink`` bounds the random factor
    that crops are first shrunk by, for more texture a pixel. ``sharp`` teaches sharpened targets;
    the adversary sees plain ones. ``content`` maps a layout of VGG weights to layers and their
    weights, compared by ``content_loss``; ``tone_weight`` holds colour and the grid of cells.
    ``head`` is what the discriminator answers for: the patch, each place of it, or each pixel.
    ``temporal_weight`` is that of an adversary of three consecutive frames, ``flicker_weight`` that
    of how what changes between frames differs from the original's. ``lengths`` are the frames of a
    training sequence, from a step on each; none are pictures.
    ``best`` is the metric that the kept weights are chosen by: the perceptual distance counts only
    while PSNR stays above the start's less ``psnr_floor`` dB.
    """

    name: str
    summary: str
    generator: str = "compact"
    hparams: Mapping[str, Hyper] = field(default_factory=dict[str, Hyper])
    degrade: Degrade = "clean"
    sharp: bool = False
    patch: int = 24
    batch: int = 16
    cpu_batch: int = 4
    steps: int = 100_000
    lr: float = 0.0
    pixel_first: float = 0.0
    pixel_lr: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    schedule: Literal["cosine", "step"] = "cosine"
    warmup_steps: int = 200
    final_lr: float = 0.01
    milestones: tuple[float, ...] = (0.5,)
    step_factor: float = 0.1
    clip: float = 1.0
    ema: float = 0.999
    shrink: tuple[float, float] = (1.0, 1.5)
    pixel: PixelLoss = "charbonnier"
    pixel_weight: float = 1.0
    content: Mapping[str, Layers] = field(default_factory=dict[str, Layers])
    content_loss: PixelLoss = "mse"
    content_weight: float = 0.0
    tone_weight: float = 0.0
    adversarial: Adversarial = "standard"
    adversarial_weight: float = 0.0
    temporal_weight: float = 0.0
    flicker_weight: float = 0.0
    head: Head = "local"
    filters: int = 64
    cpu_filters: int = 32
    discriminator_lr: float = 1e-4
    best: Literal["psnr", "perceptual"] = "psnr"
    psnr_floor: float = 3.0
    lengths: tuple[tuple[int, int], ...] = ()
    validate_every: int = 1000

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

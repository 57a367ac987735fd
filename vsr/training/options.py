"""What a person can ask of a training run: frozen values, defaults once, checked when made."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from vsr.errors import OptionsError
from vsr.option_fields import check_types
from vsr.options import DtypeName

Degrade = Literal["clean", "video", "real", "stream", "footage"]
PixelLoss = Literal["mse", "l1", "charbonnier"]
Content = Literal[PixelLoss, "unit"]
Adversarial = Literal["standard", "relativistic", "hinge"]
Head = Literal["global", "local", "unet"]
LOSSES = ("pixel", "tone", "adversarial", "content", "temporal", "flicker")
"""What a total is made of, in the order of its sum; a recipe weighs each by its ``NAME_weight``."""

_RUNTIME: tuple[str, ...] = (
    "device",
    "workers",
    "tensorboard",
    "cache",
    "resume",
    "pause_minutes",
    "frames",
    "out",
)
"""Fields that do not change what is learnt, so a run may be resumed with others."""
TEST_SETS = ("set5", "set14", "bsd100", "bsds100")
"""Sets on which models are reported, by the names of their folders."""


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """Everything that ``vsr train`` can be told; ``None`` means as the recipe says.

    ``minutes`` and ``steps`` both end a run, whichever comes first.
    """

    frames: tuple[Path, ...]
    """Pictures, videos and folders of them, at least one."""
    out: Path
    """The folder for weights, log, sheets and checkpoint; an unfinished run in it is gone on
    with."""
    recipe: str = "psnr"
    """The name of a recipe or of a preset."""
    arch: str | None = None
    """The network to train, by its name in :data:`vsr.training.recipe.GENERATORS`."""
    init: str | None = None
    """Weights to start from, by name or path; ``None`` for fresh ones."""
    steps: int | None = None
    """Length of the run, at least 1; ``None`` beside ``minutes`` is no bound."""
    minutes: float | None = None
    """Length of the run in minutes, which the learning rate follows; ``None`` for no bound."""
    pause_minutes: float | None = None
    """Minutes after which this process is stopped and saved, not the run; ``None`` for never."""
    batch: int | None = None
    """Patches or sequences a step, in each process, at least 1."""
    patch: int | None = None
    """Side of a patch in low-resolution pixels, at least 8."""
    lr: float | None = None
    """Learning rate of the generator, above 0."""
    seed: int = 0
    """Seed of weights, crops and damage, at least 0."""
    device: str = "auto"
    """Where to compute: auto, cpu, mps, cuda, or one GPU such as cuda:1."""
    dtype: DtypeName = "auto"
    """Precision of the networks' arithmetic; auto takes what the device computes fast."""
    workers: int | None = None
    """Threads that make batches; ``None`` by the number of processors, 0 for none: when needed."""
    val: Path | None = None
    """A folder of pictures or films to measure on, or of ``HR`` and ``LR``, that are never trained
    on; ``None`` holds some of ``frames`` out."""
    validate_every: int | None = None
    """Steps between validations, at least 1."""
    resume: bool = False
    """Go on with the run in ``out`` even though it has other settings; it has to be there."""
    degrade: Degrade | None = None
    """The chain of damage that makes low pictures, by its name in :mod:`vsr.degrade.catalog`."""
    vgg: str = "auto"
    """VGG19 for the content loss: auto (torchvision's, downloaded once), none, or a path."""
    pixel: PixelLoss | None = None
    """The loss that pixels are compared by: mse, l1 or charbonnier."""
    pixel_first: float | None = None
    """Share of the run, 0..1, that learns from pixels alone before an adversary comes."""
    content: Content | None = None
    """The loss that VGG features are compared by: one of the pixel losses, or unit, which is the
    perceptual distance that is measured."""
    adversarial: Adversarial | None = None
    """The adversary's loss: standard, relativistic or hinge."""
    loss_weights: tuple[tuple[str, float], ...] | None = None
    """Weights of losses, at least 0, by name, in place of the recipe's: pixel, content, tone,
    adversarial, temporal, flicker."""
    head: Head | None = None
    """What the discriminator answers for: the patch (global), each place of it (local), or each
    pixel (unet)."""
    net: tuple[tuple[str, int], ...] = ()
    """Hyper-parameters of the network, by name, in place of the recipe's."""
    branches: bool = False
    """Whether 3x3 convolutions are trained as sums of branches, which are merged for export."""
    compile: bool = False
    """Whether networks go through torch.compile."""
    cache: int = 2 << 30
    """Bytes of decoded pictures, and of films, that are kept in memory."""
    tensorboard: Path | None = None
    """Folder for TensorBoard's files; ``None`` for none."""

    def __post_init__(self) -> None:
        check_types(self)
        if not self.frames:
            raise OptionsError("no frames to train on were given", hint="give pictures or videos")
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise OptionsError(
                f"there is no device {self.device!r}", hint="one of auto, cpu, cuda, cuda:1, mps"
            )
        for name, known in (
            ("dtype", DtypeName),
            ("degrade", Degrade),
            ("pixel", PixelLoss),
            ("content", Content),
            ("adversarial", Adversarial),
            ("head", Head),
        ):
            value = getattr(self, name)
            if value is not None and value not in get_args(known):
                raise OptionsError(
                    f"there is no {name} {value!r}", hint=f"one of {', '.join(get_args(known))}"
                )
        for name, least in (
            ("steps", 1),
            ("batch", 1),
            ("patch", 8),
            ("seed", 0),
            ("workers", 0),
            ("validate_every", 1),
            ("cache", 0),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise OptionsError(f"{name} must be at least {least}, got {value}")
        for name in ("minutes", "pause_minutes", "lr"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise OptionsError(f"{name} must be above 0, got {value:g}")
        for name, weight in self.loss_weights or ():
            if name not in LOSSES:
                raise OptionsError(f"there is no loss {name!r}", hint=f"one of {', '.join(LOSSES)}")
            if not 0 <= weight < math.inf:
                raise OptionsError(f"the weight of {name} must not be negative, got {weight:g}")
        if self.pixel_first is not None and not 0 <= self.pixel_first <= 1:
            raise OptionsError(f"pixel_first must be from 0 to 1, got {self.pixel_first:g}")
        for place in (*self.frames, *(() if self.val is None else (self.val,))):
            tested = [part for part in place.absolute().parts if part.lower() in TEST_SETS]
            if tested:
                raise OptionsError(
                    f"{tested[0]} is a test set: what is learnt or chosen on it is not measured on "
                    f"it, got {place}",
                    hint="leave --val away to hold out some of the material; `vsr eval` reports",
                )

    def as_json(self) -> dict[str, object]:
        """Every field as JSON has it; a checkpoint keeps this."""
        return {
            key: [str(item) for item in value]
            if key == "frames"
            else (str(value) if isinstance(value, Path) else value)
            for key, value in asdict(self).items()
        }

    def identity(self) -> str:
        """What makes two runs the same run: all that changes what is learnt, as JSON."""
        kept = {key: value for key, value in self.as_json().items() if key not in _RUNTIME}
        kept["frames"] = [str(path.absolute()) for path in self.frames]
        return json.dumps(kept, sort_keys=True)


def parse_net(text: str | None) -> tuple[tuple[str, int], ...]:
    """ "features=32,layers=8"."""
    found: list[tuple[str, int]] = []
    for part in (text or "").split(","):
        match = re.fullmatch(r"\s*([a-z]+)\s*=\s*(\d{1,4})\s*", part)
        if match is not None:
            found.append((match[1], int(match[2])))
        elif part.strip():
            raise OptionsError(f"not a size of a network: {part!r}", hint="features=32,layers=8")
    return tuple(found)


def parse_loss_weights(text: str | None) -> tuple[tuple[str, float], ...] | None:
    """ "pixel=1,adversarial=0.003"."""
    if text is None:
        return None
    found: list[tuple[str, float]] = []
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            found.append((name.strip(), float(value)))
        except ValueError:
            raise OptionsError(
                f"not a weight of a loss: {part!r}", hint="pixel=1,adversarial=0.003"
            ) from None
    return tuple(found)

"""What a person can ask of a training run: frozen values, defaults once, checked when made."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from vsr.errors import OptionsError
from vsr.options import DtypeName

Degrade = Literal["clean", "video", "real", "stream", "footage"]
PixelLoss = Literal["mse", "l1", "charbonnier"]
Adversarial = Literal["standard", "relativistic", "hinge"]
Head = Literal["global", "local", "unet"]

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

    ``frames`` are pictures, videos and folders of them; ``val`` a folder of pictures that are never
    trained on (some of ``frames`` are held out otherwise). ``patch`` is the side of a training crop
    in low-resolution pixels. ``minutes`` and ``steps`` both end a run, whichever comes first.
    ``pause_minutes`` stops this process, not the run. ``cache`` bounds decoded pictures in bytes.
    ``arch`` is the network, ``net`` overrides its hyper-parameters; ``branches`` trains its 3x3
    convolutions as sums of branches that are merged for export. ``pixel_first`` is the share of a
    run that learns from pixels before an adversary comes.
    """

    frames: tuple[Path, ...]
    out: Path
    recipe: str = "psnr"
    arch: str | None = None
    init: str | None = None
    steps: int | None = None
    minutes: float | None = None
    pause_minutes: float | None = None
    batch: int | None = None
    patch: int | None = None
    lr: float | None = None
    seed: int = 0
    device: str = "auto"
    dtype: DtypeName = "auto"
    workers: int | None = None
    val: Path | None = None
    validate_every: int | None = None
    resume: bool = False
    degrade: Degrade | None = None
    vgg: str = "auto"
    pixel: PixelLoss | None = None
    pixel_weight: float | None = None
    pixel_first: float | None = None
    adversarial: Adversarial | None = None
    head: Head | None = None
    net: tuple[tuple[str, int], ...] = ()
    branches: bool = False
    compile: bool = False
    cache: int = 2 << 30
    tensorboard: Path | None = None

    def __post_init__(self) -> None:
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
        if self.pixel_weight is not None and not 0 <= self.pixel_weight < math.inf:
            raise OptionsError(f"pixel_weight must not be negative, got {self.pixel_weight:g}")
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

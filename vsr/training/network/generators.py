"""The networks that a recipe can train, by the names of ``--arch``: a size and a pace for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vsr.models.arch import Hyper


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

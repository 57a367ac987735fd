"""How fast recipes learn on this machine, and what they wait for."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch

from vsr.bench.clips import moving
from vsr.geometry import Size
from vsr.training.data.loader import Loader
from vsr.training.device_data import DeviceSource
from vsr.training.events import ignore
from vsr.training.loop import convolutions
from vsr.training.options import TrainOptions
from vsr.training.ranks import Ranks
from vsr.training.recipes import resolve
from vsr.training.setup import prepare

PICTURES, SIDES = 24, Size(640, 480)
WARM = 5  # steps that are not counted: kernels are chosen, caches filled


@dataclass(frozen=True, slots=True)
class TrainSpeed:
    """How fast one recipe learns here."""

    recipe: str
    """The recipe's name."""
    network: str
    """The network's name among those that can be trained."""
    device: str
    """The torch device."""
    dtype: str
    """Torch's name of the type inside of autocast, such as "bfloat16"."""
    batch: int
    """Patches or sequences a step."""
    patch: int
    """Side of a patch, in low-resolution pixels."""
    data: str
    """Where pairs are made: "on the device", or on how many threads."""
    steps: int
    """Steps that were timed, those to warm up left out."""
    steps_per_second: float
    """Timed steps by the seconds that they took."""
    waiting: float
    """Share of the time, 0..1, in which steps waited for their pictures."""
    device_peak: int | None
    """The most bytes that a GPU held; ``None`` on other devices."""


def bench_train(
    recipes: Sequence[str],
    frames: Sequence[Path],
    *,
    device: str = "auto",
    seconds: float = 20,
    workers: int | None = None,
    compiles: bool = False,
    vgg: str = "auto",
) -> list[TrainSpeed]:
    """Train each recipe for so many seconds, on pictures that are made here where none are given.

    Nothing is validated or saved: what is timed are steps and their data.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = tuple(frames) or (_pictures(folder / "pictures"),)
        return [
            _measured(
                TrainOptions(
                    given,
                    folder / recipe,
                    recipe=recipe,
                    device=device,
                    workers=workers,
                    compile=compiles,
                    vgg=vgg,
                ),
                seconds,
            )
            for recipe in recipes
        ]


def _pictures(folder: Path) -> Path:
    folder.mkdir()
    for number, picture in enumerate(moving(SIDES, PICTURES)):
        cv2.imwrite(str(folder / f"{number:03d}.png"), picture)
    return folder


def _measured(options: TrainOptions, seconds: float) -> TrainSpeed:
    recipe, ranks = resolve(options), Ranks()
    training = prepare(options, recipe, ranks, None, ignore)
    place = training.place
    cuda = place.device.type == "cuda"
    steps, waited, begun = -WARM, 0.0, 0.0
    with (
        Loader(training.source, workers=training.workers, pin=cuda) as loader,
        convolutions(place.device),
    ):
        for batch in loader:
            if steps == 0 or not begun:
                if cuda:
                    torch.cuda.synchronize(place.device)
                    torch.cuda.reset_peak_memory_stats(place.device)
                begun, waited = time.perf_counter(), loader.waited_seconds
            if steps > 0 and time.perf_counter() - begun >= seconds:
                break
            training.task.step(batch, 1.0)
            steps += 1
        if cuda:
            torch.cuda.synchronize(place.device)
        spent = time.perf_counter() - begun
    on_device = isinstance(training.source, DeviceSource)
    return TrainSpeed(
        recipe=recipe.name,
        network=recipe.generator,
        device=str(place.device),
        dtype=str(place.dtype).removeprefix("torch."),
        batch=recipe.batch,
        patch=recipe.patch,
        data="on the device" if on_device else f"{training.workers} threads",
        steps=steps,
        steps_per_second=steps / spent,
        waiting=(loader.waited_seconds - waited) / spent,
        device_peak=torch.cuda.max_memory_allocated(place.device) if cuda else None,
    )

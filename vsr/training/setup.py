"""Everything that a training needs before its first step: network, data, place, earlier run."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from vsr.degrade.catalog import chain
from vsr.degrade.noise import Specks
from vsr.errors import OptionsError
from vsr.events import Warned
from vsr.infer import device as devices
from vsr.models.arch import make_upscaler
from vsr.models.catalog import ARCHS
from vsr.models.module import SRModule
from vsr.options import EngineOptions
from vsr.perceptual.vgg import Vgg, load_vgg
from vsr.system import processors
from vsr.training import checkpoint
from vsr.training.checkpoint import Checkpoint
from vsr.training.data.gather import Material, gather
from vsr.training.data.patches import PatchSource, Sampling
from vsr.training.data.pictures import Cache
from vsr.training.data.sequences import SequenceSampling, SequenceSource
from vsr.training.device_data import DeviceSource
from vsr.training.events import TrainingSink
from vsr.training.network.export import to_signed
from vsr.training.network.initial_network import InitialNetwork, initial_network
from vsr.training.network.layers import branch, quicken
from vsr.training.options import TrainOptions
from vsr.training.ranks import Ranks
from vsr.training.recipe import Recipe
from vsr.training.recipes import named
from vsr.training.sequence_task import SequenceGanTask, SequenceTask
from vsr.training.task import GanTask, PixelTask
from vsr.training.updater import TrainingDevice

SPECKS = Specks()
SHARED_STEPS = {
    "clean": (1, 0),
    "video": (4, 16),
    "real": (8, 16),
    "stream": (4, 16),
    "footage": (4, 16),
}
"""Steps that share one degraded clip, and its extra border in low pixels."""

RESULTS = (
    "best.safetensors", "best.md", "last.safetensors", "last.md", "log.jsonl", "loss.png",
)  # fmt: skip
"""What a run writes to its folder, beside sheets and checkpoints."""


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """What the loop runs on."""

    options: TrainOptions
    """What was asked for."""
    recipe: Recipe
    """The recipe with what the options change of it."""
    ranks: Ranks
    """The processes of this training."""
    place: TrainingDevice
    """Where steps compute, and in which type."""
    task: PixelTask
    """The step: networks, optimisers, losses."""
    initial: InitialNetwork
    """The network that the run began with."""
    material: Material
    """What is learnt from and measured on."""
    source: PatchSource | SequenceSource
    """Makes batches by number."""
    vgg: Vgg | None
    """For the content loss and the perceptual distance; ``None`` where neither was asked for."""
    workers: int
    """Threads that make batches; 0 makes them when they are asked for."""
    step: int
    """Steps that an earlier process took; 0 of a new run."""
    seconds: float
    """Seconds that earlier processes trained; 0 of a new run."""
    best: dict[str, float]
    """Metrics of the best weights of an earlier process; empty of a new run."""
    initial_metrics: dict[str, float]
    """Metrics before the run's first step; empty of a new run."""
    begun: float
    """When this process began to prepare, in seconds of the monotonic clock."""

    def elapsed(self) -> float:
        """Seconds of training until now, those of earlier processes included."""
        return self.seconds + time.monotonic() - self.begun

    def checkpoint(
        self, step: int, *, finished: bool, best: dict[str, float], first: dict[str, float]
    ) -> Checkpoint:
        """Everything that a run needs to go on."""
        return Checkpoint(
            step=step,
            seconds=self.elapsed(),
            finished=finished,
            identity=self.options.identity(),
            options=self.options.as_json(),
            hparams=dict(self.initial.hparams),
            task=self.task.state(),
            best=best,
            start=first,
            random=checkpoint.random_states(self.place.device),
        )


def earlier_run(options: TrainOptions) -> Checkpoint | None:
    """The run in ``out``, if it is to be gone on with.

    Raises :class:`OptionsError` when it is of other settings and ``resume`` was not asked for, and
    when there are results that a run which begins anew would replace.
    """
    found = checkpoint.load(options.out)
    if found is None:
        if left := _results(options.out):
            raise OptionsError(
                f"{options.out} holds results of another training ({', '.join(left)}), and no "
                f"{checkpoint.NAME} to go on from",
                hint="choose another --out, or move them away",
            )
        if options.resume:
            raise OptionsError(
                f"there is no run to resume in {options.out}", hint="leave --resume away"
            )
        return None
    if not (options.out / "best.safetensors").exists():
        found = replace(found, best={})  # what is validated next is the best that there is
    changed = changes(found, options)
    if not changed or options.resume:
        return found
    if found.step == 0:  # nothing was learnt yet: its hint was a smaller --batch, perhaps
        return None
    raise OptionsError(
        f"{options.out} holds a run of other settings ({'; '.join(changed)})",
        hint="choose another --out, or give --resume to go on with the new settings",
    )


def _results(folder: Path) -> list[str]:
    """Names in a folder that hold something which a new run would replace."""
    found = [
        name for name in RESULTS if (folder / name).exists() and (folder / name).stat().st_size
    ]
    sheets = any(path.stem.isdigit() for path in folder.glob("sheets/*.png"))  # of a step each
    return [*found, *(["sheets"] if sheets else [])]


def changes(before: Checkpoint, options: TrainOptions) -> list[str]:
    """Options that changed since; one that does not exist in both counts as not given."""
    theirs, mine = json.loads(before.identity), json.loads(options.identity())
    return [
        f"{name} {theirs.get(name)} -> {mine.get(name)}"
        for name in (*mine, *sorted(theirs.keys() - mine.keys()))
        if theirs.get(name) != mine.get(name)
    ]


def prepare(
    options: TrainOptions,
    recipe: Recipe,
    ranks: Ranks,
    before: Checkpoint | None,
    on_event: TrainingSink,
) -> Training:
    """Build or restore all of it. Raises a :class:`vsr.errors.VsrError` that says what is wrong."""
    begun = time.monotonic()
    initial = (
        initial_network(recipe, options) if before is None else _again(recipe, options, before)
    )
    place = _training_device(options, ranks, initial.module)
    material = gather(recipe, options, ranks, on_event)
    vgg = _vgg(options, recipe, ranks, on_event)
    task = _task(recipe, options, initial.module, place, vgg)
    if before is not None:
        try:
            task.restore(before.task)
            checkpoint.restore_random(before.random, place.device)
        except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
            raise OptionsError(
                f"the run in {options.out} does not fit recipe {recipe.name}: "
                f"{str(error).splitlines()[-1].strip()}",
                hint="choose another --out",
            ) from error
    return Training(
        options=options,
        recipe=recipe,
        ranks=ranks,
        place=place,
        task=task,
        initial=initial,
        material=material,
        source=_source(options, recipe, ranks, material, place.device),
        vgg=vgg,
        workers=_workers(options, recipe, place),
        step=before.step if before is not None else 0,
        seconds=before.seconds if before is not None else 0.0,
        best=before.best if before is not None else {},
        initial_metrics=before.start if before is not None else {},
        begun=begun,
    )


def _again(recipe: Recipe, options: TrainOptions, before: Checkpoint) -> InitialNetwork:
    """A network as the earlier run built it: the weights that it began with may be gone."""
    given = before.options.get("arch")
    was = named(str(before.options.get("recipe")), str(given) if given else None)
    arch, had = was.arch, {**ARCHS[was.arch].defaults, **before.hparams}
    other = [f"{name}={value}" for name, value in options.net if before.hparams.get(name) != value]
    if options.arch is not None and was.generator != recipe.generator:  # one class, other numbers
        other = [
            f"{name}={value}" for name, value in recipe.network.items() if had.get(name) != value
        ]
    if arch != recipe.arch or other:
        raise OptionsError(
            f"the run in {options.out} trains {arch} with {before.hparams}: "
            f"{', '.join(other) or recipe.arch} does not fit",
            hint="choose another --out",
        )
    hparams = {**ARCHS[arch].defaults, **before.hparams}  # missing ones had their defaults
    return initial_network(replace(recipe, hparams=hparams), replace(options, init=None, net=()))


def _training_device(options: TrainOptions, ranks: Ranks, module: SRModule) -> TrainingDevice:
    upscaler = make_upscaler(module, name=options.recipe, arch=options.recipe)
    chosen = devices.resolve(
        EngineOptions(device=ranks.device(options.device), dtype=options.dtype), upscaler
    )
    dtype = chosen.dtype
    if options.dtype == "auto":
        if chosen.device.type == "cuda" and devices.computes(chosen.device, torch.bfloat16):
            dtype = torch.bfloat16  # fp16's precision, and no overflow to scale away
        elif chosen.device.type == "mps":
            dtype = torch.float32
    return TrainingDevice(chosen.device, dtype, ranks, options.compile)


def _vgg(options: TrainOptions, recipe: Recipe, ranks: Ranks, on_event: TrainingSink) -> Vgg | None:
    """The VGG of the content loss: for recipes that use it, and to validate where one is given."""
    if not recipe.content_weight and options.vgg in ("auto", "none"):
        if options.vgg == "none" and recipe.is_gan:
            on_event(
                Warned(
                    "without VGG19 the network learns from pixels and its adversary alone: "
                    "expect less detail"
                )
            )
        return None
    if not ranks.is_main:
        ranks.wait()  # one process downloads, the others find the file
    vgg = load_vgg(options.vgg)
    if ranks.is_main:
        ranks.wait()
    return vgg


def _task(
    recipe: Recipe, options: TrainOptions, module: nn.Module, place: TrainingDevice, vgg: Vgg | None
) -> PixelTask:
    if recipe.signed:
        to_signed(module, recipe.arch)
    if options.branches:
        module = branch(module)
    if place.device.type == "cpu":
        module = quicken(module)
    if recipe.is_sequential and recipe.is_gan:
        return SequenceGanTask(recipe, module, place, vgg)
    if recipe.is_sequential:
        return SequenceTask(recipe, module, place)
    if recipe.is_gan or recipe.content_weight:
        return GanTask(recipe, module, place, vgg)
    return PixelTask(recipe, module, place)


def _source(
    options: TrainOptions,
    recipe: Recipe,
    ranks: Ranks,
    material: Material,
    device: torch.device,
) -> PatchSource | SequenceSource:
    cache = Cache(options.cache)
    if not recipe.is_sequential:
        sampling, pictures = _sampling(options.seed, recipe, ranks), material.pictures
        if device.type == "cuda" and DeviceSource.suits(pictures, sampling, options.cache):
            return DeviceSource(pictures, sampling, cache, device)
        return PatchSource(pictures, sampling, cache)
    sampling = SequenceSampling(
        patch=recipe.patch,
        scale=recipe.scale,
        batch=recipe.batch,
        chain=chain(recipe.degrade, recipe.scale),
        lengths=recipe.lengths,
        seed=options.seed,
        offset=ranks.rank * recipe.batch,
    )
    films = [film.frames for film in material.films]
    return SequenceSource(films, material.pictures, sampling, cache)


def _sampling(seed: int, recipe: Recipe, ranks: Ranks) -> Sampling:
    reuse, slack = SHARED_STEPS[recipe.degrade]
    return Sampling(
        patch=recipe.patch,
        scale=recipe.scale,
        batch=recipe.batch,
        shrink=recipe.shrink,
        chain=chain(recipe.degrade, recipe.scale),
        seed=seed,
        reuse=reuse,
        slack=slack,
        sharp=recipe.sharp,
        specks=SPECKS,
        offset=ranks.rank * recipe.batch,
        stride=ranks.count * recipe.batch,
    )


def _workers(options: TrainOptions, recipe: Recipe, place: TrainingDevice) -> int:
    """Threads that make batches: on a CPU few, since the network wants the cores."""
    if options.workers is not None:
        return options.workers
    free = processors()
    if place.device.type != "cpu":
        return max(2, min(8, free // max(1, place.ranks.count) - 1))
    return 1 if recipe.degrade == "clean" else max(1, free // 2)

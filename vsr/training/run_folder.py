"""What a run leaves in its folder: weights with cards, sheets, the log, and which are the best."""

from __future__ import annotations

import math
import platform
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch

from vsr.errors import DataError, OptionsError
from vsr.events import Saved
from vsr.media.extract.sheet import write_png
from vsr.models.arch import fuse_batchnorm, make_upscaler
from vsr.options import EngineOptions
from vsr.system import Lock, discard, parts_left
from vsr.training import checkpoint
from vsr.training.events import TrainingSink, Validated
from vsr.training.network import export
from vsr.training.ranks import Ranks
from vsr.training.setup import Training
from vsr.training.training_log import TrainingLog, as_data_error
from vsr.training.validate import validate


@dataclass(slots=True)
class RunFolder:
    """Validates, exports and saves; only the process that leads does. All of them wait for it."""

    training: Training
    """What is trained, and on what."""
    log: TrainingLog
    """The lines of losses and metrics."""
    on_event: TrainingSink
    """Is told of validations and of the best weights."""
    best: dict[str, float] = field(default_factory=dict[str, float])
    """Metrics of the best weights until now, by name; empty before there are any."""
    initial_metrics: dict[str, float] = field(default_factory=dict[str, float])
    """Metrics before the first step, by name; empty before they were measured."""

    @property
    def best_path(self) -> Path:
        """The best weights by the recipe's metric."""
        return self.training.options.out / "best.safetensors"

    @property
    def last_path(self) -> Path:
        """The weights of the latest validation."""
        return self.training.options.out / "last.safetensors"

    def save(self, step: int, *, finished: bool) -> None:
        """A checkpoint."""
        training = self.training
        if training.ranks.is_main:
            state = training.checkpoint(
                step, finished=finished, best=self.best, first=self.initial_metrics
            )
            checkpoint.save(training.options.out, state)
        training.ranks.wait()

    def validate(self, step: int) -> None:
        """Measure the averaged weights, keep them, and keep them as the best if they are."""
        if self.training.ranks.is_main:
            self._validate(step)
        self.training.ranks.wait()

    def _validate(self, step: int) -> None:
        training, recipe = self.training, self.training.recipe
        hparams = training.initial.hparams
        module = export.plain(training.task.ema.average, recipe, hparams)
        shipped = fuse_batchnorm(export.rounded(module))
        upscaler = make_upscaler(shipped, name=recipe.name, arch=recipe.arch)
        place = EngineOptions(device=str(training.place.device), dtype=training.options.dtype)
        metrics, sheet = validate(upscaler, training.material.held, place, training.vgg)
        self.initial_metrics = self.initial_metrics or metrics
        better = self.is_better(metrics)
        folder = training.options.out / "sheets"
        path = folder / f"{step:07d}.png"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise checkpoint.unwritten(folder, error) from error
        with as_data_error():
            write_png(path, sheet)
        seconds = round(training.elapsed(), 2)
        self.log.write({"step": step, "seconds": seconds, "metrics": metrics, "best": better})
        self.log.picture(step, sheet)
        facts = self._facts(step)
        for wanted, target in ((True, self.last_path), (better, self.best_path)):
            if wanted:
                with as_data_error():
                    export.save(
                        target,
                        module,
                        recipe=recipe,
                        hparams=hparams,
                        facts=facts,
                        metrics=metrics,
                    )
        if better:
            self.best = metrics
            self.on_event(Saved(self.best_path))
        self.on_event(Validated(step, metrics, better, path))

    def is_better(self, metrics: Mapping[str, float]) -> bool:
        """Whether no earlier weights were better by the recipe's metric."""
        if not self.best:
            return True
        if self.training.recipe.best == "perceptual" and "perceptual" in metrics:
            floor = self.initial_metrics.get("psnr", -math.inf) - self.training.recipe.psnr_floor
            # The best of before have none, where the run goes on with a VGG that it began without.
            least = self.best.get("perceptual", math.inf)
            return metrics["psnr"] >= floor and metrics["perceptual"] < least
        return metrics["psnr"] > self.best["psnr"]

    def _facts(self, step: int) -> dict[str, str]:
        """For metadata and card: no paths of this machine."""
        training, recipe, options = self.training, self.training.recipe, self.training.options
        names = ", ".join(path.resolve().name for path in options.frames)
        device = training.place.device
        hardware = (
            torch.cuda.get_device_name(device)
            if device.type == "cuda"
            else f"{device.type} ({platform.machine()}, {torch.get_num_threads()} threads)"
        )
        count = len(training.material.pictures)
        facts = {
            "steps": str(step),
            "batch": f"{recipe.batch * training.ranks.count} patches of {recipe.patch} px",
            "data": f"{count} pictures of {names}, degraded: {options.degrade}",
            "hardware": hardware,
            "hours": f"{training.elapsed() / 3600:.2f}",
            "seed": str(options.seed),
        }
        if options.init is not None:
            facts["started from"] = Path(options.init).name
        if recipe.sharp:
            facts["targets"] = "sharpened; so are those that it is measured on"
        if training.vgg is not None and recipe.content_weight:
            facts["content loss"] = f"VGG19 ({training.vgg.layout})"
        return facts


LOCK = ".vsr-train.lock"


@contextmanager
def owned(out: Path, ranks: Ranks) -> Generator[None]:
    """Have ``out`` for this training alone, whose processes are ``ranks``.

    Raises :class:`OptionsError` in each of them where another training has it. A folder that was
    made for it and holds nothing at the end is removed again.
    """
    lock, made = Lock(out / LOCK), list[Path]()
    taken = _taken(out, lock, made) if ranks.is_main else False
    try:
        if not ranks.broadcast(float(taken)):
            raise OptionsError(
                f"another training is writing to {out}: {lock.holder()}",
                hint="wait for it, stop it, or give another --out",
            )
        yield
    finally:
        if taken:
            with suppress(OSError):
                lock.remove()
            lock.release()
        with suppress(OSError):  # up to the first that holds something
            for folder in reversed(made):
                folder.rmdir()


def _taken(out: Path, lock: Lock, made: list[Path]) -> bool:
    """Make the folder and lock it. What was ``made`` is listed from the top."""
    try:
        for folder in reversed([out, *out.parents]):
            if not folder.exists():
                folder.mkdir(exist_ok=True)
                made.append(folder)
        taken = lock.take()
        for part in parts_left(out / checkpoint.NAME) if taken else ():
            discard(part)  # of a training that was killed while it saved
        return taken
    except OSError as error:
        raise DataError(f"cannot make {out}: {error.strerror or error}") from error

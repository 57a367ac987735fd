"""The training of one network, from options to weights. Reads top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch

from vsr.errors import OutOfMemory
from vsr.events import Warned
from vsr.infer import device as devices
from vsr.training import training_log
from vsr.training.data.loader import Loader
from vsr.training.events import TrainingSink, TrainingStarted, TrainReport, ignore
from vsr.training.network.export import parameters_of
from vsr.training.options import TrainOptions
from vsr.training.ranks import process_group
from vsr.training.recipes import resolve
from vsr.training.run_folder import RunFolder, owned
from vsr.training.setup import Training, changes, earlier_run, prepare
from vsr.training.threads import thread_pacer
from vsr.training.training_log import LossAverages
from vsr.training.updater import factor, progress

LOG_STEPS = 50
REPORT_SECONDS = 1.0
SAVE_SECONDS, SAVE_SHARE = 60.0, 0.02
"""Checkpoints are at least this far apart, and never take more than this share of the time."""
VALIDATION_SHARE = 0.05
"""Of the time on a GPU at most, where steps are so quick that pictures take longer to measure."""


def train(
    options: TrainOptions,
    on_event: TrainingSink = ignore,
    should_stop: Callable[[], bool] = lambda: False,
) -> TrainReport:
    """Train, validate, and export to ``options.out``; go on where an unfinished run stopped.

    ``should_stop`` is asked after every step: a run that it stops is saved, and goes on the next
    time. Raises a :class:`vsr.errors.VsrError` for anything that a person can mend.
    """
    recipe = resolve(options)
    options = replace(options, degrade=recipe.degrade)  # whoever said it, it is what is learnt
    with process_group(options.device) as ranks:
        sink = on_event if ranks.is_main else ignore
        try:
            with owned(options.out, ranks):
                before = earlier_run(options)
                ranks.wait()  # each has looked before one of them writes
                training = prepare(options, recipe, ranks, before, sink)
                whole = before is not None and before.finished and before.best
                if before is not None and whole and not changes(before, options):
                    if ranks.is_main and not (options.out / training_log.PLOT).exists():
                        training_log.plot(options.out)
                    return _report(training, before.step, True, before.best, before.start, None)
                return _run(training, sink, should_stop)
        except (RuntimeError, MemoryError) as error:
            if not devices.is_out_of_memory(error):
                raise
            raise OutOfMemory(
                f"memory ran out with batches of {recipe.batch} patches of {recipe.patch} px",
                hint="a smaller --batch or --patch, or --dtype bf16",
            ) from error


def _run(
    training: Training, on_event: TrainingSink, should_stop: Callable[[], bool]
) -> TrainReport:
    options, recipe, ranks = training.options, training.recipe, training.ranks
    task, step = training.task, training.step
    budget_seconds = options.minutes * 60 if options.minutes else None
    pause_seconds = options.pause_minutes * 60 if options.pause_minutes else float("inf")
    cuda = training.place.device.type == "cuda"
    loader = Loader(training.source, start=step, workers=training.workers, pin=cuda)
    log = training_log.TrainingLog(
        options.out, step=step, tensorboard=options.tensorboard, writes=ranks.is_main
    )
    with (
        log,
        loader,
        convolutions(training.place.device),
        thread_pacer(_free_threads(training)) as record_time,
    ):
        run_folder = RunFolder(
            training, log, on_event, dict(training.best), dict(training.initial_metrics)
        )
        on_event(_started(training))
        if log.strange:
            on_event(Warned(f"{log.strange} lines of {training_log.NAME} are damaged: left out"))
        if step and not training.best:
            on_event(Warned("best.safetensors is gone: what is measured next takes its place"))
        if step == 0:
            # Before there is any result: results without a checkpoint are somebody else's.
            run_folder.save(step, finished=False)
            run_folder.validate(step)
        averages = LossAverages(ranks)
        reported = saved = time.monotonic()
        save_interval = SAVE_SECONDS
        measured = step if training.best or not step else -1
        stopped, next_validation = False, 0.0
        for batch in loader:
            done = ranks.broadcast(progress(step, recipe.steps, training.elapsed(), budget_seconds))
            if done >= 1:
                break
            rate = factor(recipe, step, done)
            begun = time.monotonic()
            learn = task.pixel_step if done < recipe.pixel_first else task.step
            averages.add(learn(batch, rate))
            step += 1
            now = time.monotonic()
            record_time(now - begun)
            if now - reported >= REPORT_SECONDS:
                reported = now
                on_event(averages.event(step, done, recipe.lr * rate, loader.waited_seconds))
            if step % LOG_STEPS == 0:
                log.write(averages.line(step, training.elapsed(), recipe.lr * rate))
            due = step % recipe.validate_every == 0 and (
                not cuda or ranks.broadcast(float(now >= next_validation)) > 0
            )
            if due:
                run_folder.validate(step)
                measured, done_at = step, time.monotonic()
                next_validation = done_at + (done_at - now) * (1 / VALIDATION_SHARE - 1)
            if (
                step % LOG_STEPS == 0 and now - saved >= save_interval
            ):  # whole lines: a log resumes too
                run_folder.save(step, finished=False)
                saved = time.monotonic()
                save_interval = max(SAVE_SECONDS, (saved - now) / SAVE_SHARE)
            stop = should_stop() or time.monotonic() - training.begun >= pause_seconds
            if stopped := bool(ranks.broadcast(float(stop))):
                break
        if step % LOG_STEPS:
            log.write(averages.line(step, training.elapsed(), 0.0))
        if measured != step and not stopped:
            run_folder.validate(step)
        run_folder.save(step, finished=not stopped)
        if ranks.is_main:
            training_log.plot(options.out)
    return _report(
        training, step, not stopped, run_folder.best, run_folder.initial_metrics, (averages, loader)
    )


def _free_threads(training: Training) -> bool:
    """Whether it may change: float32's sums are to be repeatable, compiled code fixes it."""
    place = training.place
    on_cpu = place.device.type == "cpu" and place.dtype != torch.float32
    return on_cpu and not place.compile and place.ranks.count == 1


def convolutions(device: torch.device) -> AbstractContextManager[object]:
    """Every step has one shape: let cuDNN measure which of its ways is fastest."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=True)


def _started(training: Training) -> TrainingStarted:
    options, recipe = training.options, training.recipe
    return TrainingStarted(
        out=options.out,
        recipe=recipe.name,
        network=recipe.generator,
        step=training.step,
        steps=None if options.minutes is not None and options.steps is None else recipe.steps,
        minutes=options.minutes,
        pictures=len(training.material.pictures),
        held_out=len(training.material.held),
        parameters=parameters_of(training.task.generator),
        device=f"{training.place.device} {str(training.place.dtype).removeprefix('torch.')}",
    )


def _report(
    training: Training,
    step: int,
    finished: bool,
    best: dict[str, float],
    first: dict[str, float],
    pace: tuple[LossAverages, Loader] | None,
) -> TrainReport:
    seconds = max(1e-9, time.monotonic() - training.begun)
    left_out = [f"{item.path.name}: {item.reason}" for item in training.material.left_out]
    return TrainReport(
        out=training.options.out,
        best=training.options.out / "best.safetensors",
        last=training.options.out / "last.safetensors",
        recipe=training.recipe.name,
        step=step,
        seconds=training.elapsed() if pace else training.seconds,
        finished=finished,
        metrics=best,
        start=first,
        pictures=len(training.material.pictures),
        steps_per_second=pace[0].steps / seconds if pace else 0.0,
        waiting=pace[1].waited_seconds / seconds if pace else 0.0,
        skipped_steps=training.task.guard.skipped,
        left_out=(*left_out, *training.source.damaged.values()),
    )

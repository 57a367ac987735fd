"""Many files in one command: named, skipped where finished, reported where they failed.

Files are made by the code that makes a single one; this is the bookkeeping between them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from vsr.choice import Chosen
from vsr.errors import MediaError, OptionsError, Stopped
from vsr.events import (
    BatchFinished,
    BatchReport,
    Event,
    EventSink,
    Failed,
    Forecast,
    OfFile,
    Outcome,
    Planned,
    Report,
    Skipped,
    Warned,
)
from vsr.geometry import Size
from vsr.infer.engine import Engine
from vsr.jobs.batch.batch_log import BatchLog, identify
from vsr.jobs.batch.items import BatchItem
from vsr.jobs.estimate.trial_run import TrialResult, trial_run
from vsr.jobs.job import plan_job
from vsr.jobs.video.journal import is_saved
from vsr.jobs.video.plan import check_target
from vsr.jobs.work_folder import sweep
from vsr.jobs.workers.executor import Executor
from vsr.media.ffmpeg_lock import ffmpeg_lock
from vsr.media.files import check_reachable
from vsr.models.arch import Upscaler
from vsr.options import UpscaleOptions
from vsr.unexpected import as_failure

Result = TypeVar("Result")


def run_parallel(
    count: int,
    do: Callable[[int], Result],
    *,
    threads: int,
    is_enough: Callable[[Result], bool],
    end: Callable[[], None],
) -> tuple[list[Result | None], BaseException | None]:
    """Do 0, 1, 2 and so on, in that order as far as threads are free; what was left is ``None``.

    Nothing more is begun once an answer ``is_enough`` or something was raised, which comes with the
    answers. What is under way goes on to its end, which :class:`Stopped` in a thread asks of all
    others, too; after anything else ``end`` is called to have it end at once.
    """
    answers: list[Result | None] = [None] * count
    enough = threading.Event()

    def attempt(place: int) -> None:
        if enough.is_set():
            return
        try:
            answers[place] = answer = do(place)
        except BaseException:
            enough.set()
            raise
        if is_enough(answer):
            enough.set()

    raised: BaseException | None = None
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(attempt, place) for place in range(count)]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            raised = next((e for future in done if (e := future.exception())), None)
            if raised is not None and not isinstance(raised, Stopped):
                end()
        except BaseException as error:  # a signal, in this thread
            enough.set()
            end()
            raised = error
    return answers, raised


AHEAD = 2  # files that are planned or joined while every worker is at another
ENGINES_KEPT = 4
"""One for each size of frames: tile and batch found for one do not fit another."""


class BatchRun:
    """A batch at work. ``outcomes`` grows with every file."""

    def __init__(
        self,
        out: Path,
        chosen: Callable[[Path], Chosen],
        options: UpscaleOptions,
        on_event: EventSink,
        *,
        others: int = 0,
        should_stop: Callable[[], bool] = lambda: False,
        executor_for: Callable[[Upscaler], Executor] | None = None,
        skip_broken: bool = False,
    ) -> None:
        self.out, self.chosen, self.options, self.skip_broken = out, chosen, options, skip_broken
        self.on_event, self.others, self.should_stop = on_event, others, should_stop
        self._executor_for = executor_for
        self.outcomes: list[Outcome] = []
        self.forecasts: list[Forecast] = []
        self._measured: dict[object, TrialResult] = {}
        self._begun = time.perf_counter()
        self._log = BatchLog(out)

        self._upscalers: dict[str, Upscaler] = {}

        def place(model: str, size: Size) -> Engine:
            del size
            return Engine(self._upscalers[model], self.options.engine, self.on_event)

        self._engine: Callable[[str, Size], Engine] = lru_cache(ENGINES_KEPT)(place)

    def run(self, items: Sequence[BatchItem], *, stop_on_error: bool, dry: bool = False) -> bool:
        """Make all ``items``; returns whether all were reached. KeyboardInterrupt passes through.

        A ``dry`` run tells what each would take, and makes none. Where workers make the segments,
        several files are under way at once, so that none of them waits while another is joined.
        """
        if self._executor_for is None or dry:
            return self._one_by_one(items, None, stop_on_error=stop_on_error, dry=dry)
        groups = self._groups(items)
        for number, (upscaler, group) in enumerate(groups):
            left = [item for _, others in groups[number + 1 :] for item in others]
            try:
                executor = self._executor_for(upscaler)
                work = self._run_parallel if len(group) > 1 else self._one_by_one
                complete = work(group, executor, stop_on_error=stop_on_error)
            except BaseException:
                self._leave(left, "interrupted")
                raise
            if not complete:
                why = "interrupted" if self.should_stop() else "an earlier file failed"
                self._leave(left, why)
                return False
        return True

    def _groups(self, items: Sequence[BatchItem]) -> list[tuple[Upscaler, list[BatchItem]]]:
        """Items grouped by model, as workers hold one at a time; in the order of their first."""
        groups: dict[int, tuple[Upscaler, list[BatchItem]]] = {}
        unread: list[BatchItem] = []
        for item in items:
            try:
                upscaler = self.chosen(item.source).upscaler
            except Exception:  # it fails in its turn, and says so then
                unread.append(item)
            else:
                groups.setdefault(id(upscaler), (upscaler, []))[1].append(item)
        found = list(groups.values())
        if unread and found:
            found[0][1].extend(unread)
        elif unread:
            self._one_by_one(unread, None, stop_on_error=False)
        return found

    def _one_by_one(
        self,
        items: Sequence[BatchItem],
        executor: Executor | None,
        *,
        stop_on_error: bool,
        dry: bool = False,
    ) -> bool:
        for place, item in enumerate(items):
            if self.should_stop():
                self._leave(items[place:], "interrupted")
                return False
            try:
                outcome = self._outcome(item, self.on_event, executor, dry=dry)
            except BaseException:
                self._leave(items[place:], "interrupted")
                raise
            self.outcomes.append(outcome)
            if outcome.state == "failed" and stop_on_error:
                self._leave(items[place + 1 :], "an earlier file failed")
                return False
        return True

    def finish(self) -> BatchReport:
        """Tell what was done."""
        with suppress(MediaError):  # a disk that fails has failed the files, too
            self._log.close()
        seconds = time.perf_counter() - self._begun
        # Of a watched file that is made twice, the last outcome counts.
        last = {(outcome.source, outcome.target): outcome for outcome in self.outcomes}
        report = BatchReport(self.out, tuple(last.values()), self.others, seconds)
        self.on_event(BatchFinished(report))
        return report

    def _leave(self, items: Sequence[BatchItem], why: str) -> None:
        self.outcomes += [Outcome(item.source, item.target, "left", message=why) for item in items]

    def _run_parallel(
        self, items: Sequence[BatchItem], executor: Executor, *, stop_on_error: bool
    ) -> bool:
        """Several files at a time, each by a thread of its own that plans, joins and verifies."""
        first, lock = len(self.outcomes) + 1, threading.Lock()

        def make(place: int) -> Outcome | None:
            def on_event(event: Event) -> None:
                with lock:
                    self.on_event(OfFile(first + place, event))

            return None if self.should_stop() else self._outcome(items[place], on_event, executor)

        outcomes, raised = run_parallel(
            len(items),
            make,
            threads=executor.workers + AHEAD,
            is_enough=lambda made: made is not None and made.state == "failed" and stop_on_error,
            end=lambda: executor.close(kill=True),
        )
        for item, outcome in zip(items, outcomes, strict=True):
            if outcome is not None:
                self.outcomes.append(outcome)
            elif raised is not None or self.should_stop():
                self._leave([item], "interrupted")
            else:
                self._leave([item], "an earlier file failed")
        if raised is not None:
            raise raised
        return None not in outcomes

    def _outcome(
        self, item: BatchItem, on_event: EventSink, executor: Executor | None, *, dry: bool = False
    ) -> Outcome:
        begun = time.perf_counter()
        try:
            return self._one(item, on_event, executor, dry=dry)
        except Exception as raised:  # the files behind it are tried, whatever went wrong with it
            error = as_failure(raised, item.source, self.out)
            on_event(Failed(error.message, error.hint, error.exit_code, item.source, item.target))
            return Outcome(
                item.source, item.target, "failed", seconds=time.perf_counter() - begun,
                message=error.message, hint=error.hint, exit_code=error.exit_code,
            )  # fmt: skip

    def _one(
        self, item: BatchItem, on_event: EventSink, executor: Executor | None, *, dry: bool
    ) -> Outcome:
        if item.problem is not None:
            raise item.problem
        source, target = item.source, item.target
        assert target is not None, "an item has a target or a problem"
        check_reachable(target, "write")
        chosen = self.chosen(source)
        upscaler = chosen.upscaler
        identity = identify(source, self.options, upscaler.fingerprint)
        state, why = self._log.status_of(target, identity)
        if is_saved(target):
            state = "new"  # the run that made it died at the very end: resume it
        elif state == "arrived" and not dry:
            sweep(target)
            self._log.finish(target, identity, 0, 0.0)
        if state in ("arrived", "finished"):
            on_event(Skipped(source, target, why))
            return Outcome(source, target, "skipped", message=why)
        broken = self._log.broken(target, identity) if self.skip_broken else None
        if broken is not None:
            on_event(Skipped(source, target, f"it failed before: {broken}"))
            return Outcome(source, target, "skipped", message=f"it failed before: {broken}")
        if state not in ("new", "stale") and not self.options.overwrite:
            raise OptionsError(why, hint="give --overwrite to replace it, or another folder")
        options = replace(self.options, overwrite=self.options.overwrite or state == "stale")
        if chosen.choice.why:
            on_event(Warned(f"{source.name}: {chosen.choice}"))
        if dry:
            return self._forecast(source, target, upscaler, options)
        make_folder(target.parent)
        check_target(source, target, options)
        self._log.begin(target, identity)
        try:
            report = self._make(source, target, upscaler, options, on_event, executor)
        except Exception as error:
            with suppress(MediaError):  # a full disk takes no note; what failed first is told
                self._log.give_up(target, identity, error)
            raise
        self._log.finish(target, identity, report.frames, report.seconds)
        return Outcome(source, target, "finished", report.frames, report.seconds, report.bytes)

    def _engine_for(self, upscaler: Upscaler, size: Size) -> Engine:
        self._upscalers[upscaler.name] = upscaler
        return self._engine(upscaler.name, size)

    def _forecast(
        self, source: Path, target: Path, upscaler: Upscaler, options: UpscaleOptions
    ) -> Outcome:
        """What a file would take; the speed is measured once for all of one kind."""
        job = plan_job(source, target, options, upscaler)
        engine = self._engine_for(upscaler, job.size)
        measured = None
        if (plan := job.plan) is not None:
            sizes = plan.info.size, plan.encoding.size
            kind = (upscaler.name, *sizes, str(plan.encoding), plan.fields is not None)
            if kind not in self._measured:
                self._measured[kind] = trial_run(plan, engine)
            measured = self._measured[kind]
        estimate = job.forecast(engine, measured)
        self.forecasts.append(estimate)
        self.on_event(Planned(estimate))
        frames, seconds, size = estimate.frames, estimate.expected_seconds, estimate.target_bytes
        return Outcome(source, target, "planned", frames or 0, seconds or 0.0, size or 0)

    def _make(
        self,
        source: Path,
        target: Path,
        upscaler: Upscaler,
        options: UpscaleOptions,
        on_event: EventSink,
        executor: Executor | None,
    ) -> Report:
        with ffmpeg_lock:
            job = plan_job(source, target, options, upscaler)
            engine = self._engine_for(upscaler, job.size)
        return job.run(engine, on_event, self.should_stop, executor)


def make_folder(folder: Path) -> None:
    """A folder and those above it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"cannot make the folder {folder}: {error.strerror or error}") from error

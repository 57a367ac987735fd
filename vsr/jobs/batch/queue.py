"""A batch from its inputs to its report: what is refused first, and which way it then goes."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vsr.batch_options import BatchOptions
from vsr.choice import Chosen
from vsr.errors import MediaError, OptionsError, VsrError
from vsr.evaluation.sanity_check import check_model
from vsr.events import BatchReport, BatchStarted, EventSink, Warned
from vsr.jobs.batch.batch_run import BatchRun, make_folder
from vsr.jobs.batch.inputs import BatchInputs, find
from vsr.jobs.batch.items import named_items, refuse_clashes
from vsr.jobs.batch.watch import watch
from vsr.jobs.estimate.forecast import check_room_for_all
from vsr.jobs.workers.choice import open_executor
from vsr.jobs.workers.executor import Executor
from vsr.media.files import check_reachable, stamp
from vsr.media.write.codecs import CONTAINERS
from vsr.models.arch import Upscaler
from vsr.options import UpscaleOptions


def upscale_many(
    inputs: Sequence[Path],
    out: Path,
    choose: Callable[[Path], Chosen],
    options: UpscaleOptions,
    batch_options: BatchOptions,
    on_event: EventSink,
    should_stop: Callable[[], bool],
    *,
    dry: bool,
) -> BatchReport:
    """Upscale every input into ``out``; files that fail are outcomes of the report.

    ``choose`` tells the model of each. A ``dry`` run tells what each would take, and raises where
    the disk would not hold them all.
    """
    found = checked(inputs, out, options, batch_options)
    known: dict[tuple[Path, tuple[int, ...]], Chosen] = {}

    def chosen(source: Path) -> Chosen:
        key = source, stamp(source)
        if key not in known:
            known[key] = choose(source)
        return known[key]

    items = named_items(found.files, out, options, batch_options, chosen)
    refuse_clashes(items)
    if not dry:
        make_folder(out)
    on_event(
        BatchStarted(out, None if batch_options.watch and not dry else len(items), found.others)
    )
    for item in items:
        try:
            check_model(chosen(item.source).upscaler, item.source, options, on_event)
            break
        except MediaError:  # that file fails in its turn, and says so then
            continue
        except VsrError:
            raise
        except Exception:  # as above, with a log of its traceback
            continue
    for note in found.notes:
        on_event(Warned(note))
    with _executors(options, on_event) as executor_for:
        batch = BatchRun(
            out, chosen, options, on_event,
            others=found.others, should_stop=should_stop, executor_for=executor_for,
            skip_broken=batch_options.skip_broken,
        )  # fmt: skip
        try:
            if batch_options.watch and not dry:
                watch(batch, inputs, batch_options)
            else:
                batch.run(items, stop_on_error=batch_options.on_error == "stop", dry=dry)
        finally:
            report = batch.finish()
    if not options.force:
        check_room_for_all(batch.forecasts)
    return report


@contextmanager
def _executors(
    options: UpscaleOptions, on_event: EventSink
) -> Generator[Callable[[Upscaler], Executor] | None]:
    """The workers for a model, where the options ask for any; those of another are let go."""
    if options.cluster is None and options.devices is None:
        yield None
        return
    now: list[tuple[Upscaler, Executor]] = []
    with ExitStack() as stack:

        def executor_for(upscaler: Upscaler) -> Executor:
            if not now or now[0][0] is not upscaler:
                now.clear()
                stack.close()
                executor = stack.enter_context(open_executor(upscaler, options, on_event))
                assert executor is not None
                now.append((upscaler, executor))
            return now[0][1]

        yield executor_for


def checked(
    inputs: Sequence[Path], out: Path, options: UpscaleOptions, batch_options: BatchOptions
) -> BatchInputs:
    """The inputs of a batch that can be: there is something to do, and a place for it."""
    if batch_options.watch and not any(map(os.path.isdir, inputs)):
        raise OptionsError("--watch needs a folder to watch", hint="vsr upscale FOLDER OUT --watch")
    check_reachable(out, "write")
    if out.suffix.lower() in CONTAINERS and not out.is_dir():
        raise OptionsError(
            f"several files cannot become {out}", hint="give a folder as the target, or --to FOLDER"
        )
    if out.exists() and not out.is_dir():
        raise OptionsError(f"{out} is a file, and a folder was asked for")
    if not out.absolute().parent.is_dir():
        raise MediaError(f"there is no folder {out.absolute().parent}", hint="make it first")
    if options.fps is not None:
        raise OptionsError(
            "--fps is for a folder of frames", hint="videos keep the times they have"
        )
    if options.preview is not None:
        raise OptionsError(
            "--preview is for one video", hint="vsr upscale VIDEO TARGET --preview 5"
        )
    found = find(inputs, out, batch_options, options.stall)
    if not found.files and not batch_options.watch:
        raise OptionsError(
            f"nothing to do: no videos in {', '.join(map(str, inputs))} "
            f"({found.others} other files)",
            hint="--recursive looks into its folders too, --include says what to take",
        )
    return found

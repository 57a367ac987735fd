"""What `vsr train` and `vsr extract` show: a bar and lines on stderr, the report at the end."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping

from vsr.cli.console import Bar, say
from vsr.cli.streams import one_line
from vsr.event_rows import plain
from vsr.events import Advanced, Event, Saved, Started, Warned
from vsr.media.extract.selection import ExtractReport
from vsr.training.events import (
    Stepped,
    TrainingEvent,
    TrainingStarted,
    TrainReport,
    Validated,
)


class TrainConsole:
    """One bar in percent, and a line for every validation."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._resumes = False

    def __enter__(self) -> TrainConsole:
        return self

    def __exit__(self, *reason: object) -> None:
        del reason
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def show(self, event: TrainingEvent) -> None:
        """React to one event."""
        match event:
            case TrainingStarted():
                end = f"{event.minutes:g} min" if event.steps is None else f"{event.steps} steps"
                self._say(
                    f"{event.recipe}, network {event.network}: {event.parameters:,} parameters, "
                    f"{event.pictures} pictures, {event.held_out} held out, {end}, "
                    f"on {event.device}" + (f", resumed at step {event.step}" if event.step else "")
                )
                self._bar, self._resumes = Bar(1.0, share=True), event.step > 0
            case Stepped():
                if self._bar is not None:
                    self._bar.advance(
                        event.done - self._bar.done,
                        f"step {event.step}, {event.steps_per_second:.1f}/s, "
                        f"{_numbers(event.losses)}, waits {event.waiting:.0%}",
                        resumed=self._resumes and not self._bar.done,
                    )
            case Validated():
                mark = " *" if event.best else ""
                self._say(f"step {event.step}: {_numbers(event.metrics)}{mark}")
            case Warned():
                self._say(f"warning: {event.message}")
            case Saved():
                pass  # the line of the validation says it with a star

    def finish(self, report: TrainReport, *, as_json: bool) -> None:
        """The last word: JSON on stdout, or a few lines on stderr."""
        if as_json:
            print(json.dumps(plain(report)))
            return
        state = "finished" if report.finished else "stopped; run it again to go on"
        if not report.step:
            state = "nothing learnt yet" if report.finished else "stopped before the first step"
        print(
            f"{state}: {report.step} steps in {report.seconds / 60:.1f} min, "
            f"{report.steps_per_second:.1f} steps/s, {report.waiting:.1%} waited for data\n"
            f"before: {_numbers(report.start)}\nbest:   {_numbers(report.metrics)}\n"
            f"use it: vsr upscale VIDEO TARGET --model {shlex.quote(str(report.best))}",
            file=sys.stderr,
        )

    def _say(self, text: str) -> None:
        say(one_line(text))


class ExtractConsole:
    """A bar of frames for every video that is looked at, and one for writing."""

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._writing = False

    def __enter__(self) -> ExtractConsole:
        return self

    def __exit__(self, *reason: object) -> None:
        del reason
        self._begin(None)

    def show(self, event: Event) -> None:
        """React to one event."""
        match event:
            case Started():
                self._begin(Bar(event.frames, title=f"look at {event.source.name}"))
            case Advanced():
                if event.bottleneck == "write" and not self._writing:
                    self._begin(Bar(None, title="write"))
                    self._writing = True
                if self._bar is not None:
                    self._bar.advance(event.frames)
            case Warned():
                say(one_line(f"warning: {event.message}"))
            case _:
                pass

    def _begin(self, bar: Bar | None) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar, self._writing = bar, False


def finish_extraction(report: ExtractReport, *, as_json: bool) -> None:
    """The report of `vsr extract`."""
    if as_json:
        print(json.dumps(plain(report)))
        return
    left = ", ".join(f"{count} {reason}" for reason, count in report.left.items())
    print(
        f"{report.frames} pictures from {report.looked_at} frames of {report.scenes} scenes in "
        f"{report.out}\nleft out: {left or 'none'}\nlook at: {report.sheet}",
        file=sys.stderr,
    )


def _numbers(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())

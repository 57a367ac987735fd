"""Events as a progress bar on stderr, or as JSON; plans and descriptions as text on stdout."""

from __future__ import annotations

import json as jsonlib
import logging
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from vsr.cli.lines import Lines, failure, pace
from vsr.cli.streams import bar_stream, one_line, printable
from vsr.cli.tables import (
    SCORE_HEAD,
    batch_table,
    forecast_line,
    forecast_rows,
    report_lines,
    score_row,
)
from vsr.event_rows import Progress, follow, plain
from vsr.events import (
    Advanced,
    BackedOff,
    BatchFinished,
    BatchStarted,
    Event,
    Failed,
    Finished,
    OfFile,
    Planned,
    Report,
    Saved,
    SegmentDone,
    Skipped,
    Started,
    Waiting,
    Warned,
)
from vsr.units import clock

LINE_SECONDS = 30.0


def on_terminal() -> bool:
    """Whether standard error is looked at, rather than kept."""
    return sys.stderr.isatty()


def say(text: str) -> None:
    """A line on standard error, above any bar."""
    tqdm.write(printable(text), file=bar_stream())


class Bar:
    """Counts towards ``total``, ``None`` where nobody knows; ``drawn`` as a bar, or told by lines.

    A ``share`` counts to 1, and is told in percent. ``note`` stands behind the figures.
    """

    def __init__(
        self,
        total: float | None,
        *,
        title: str = "",
        drawn: bool | None = None,
        share: bool = False,
        position: int | None = None,
    ) -> None:
        self.total, self.done, self.note = total, 0.0, ""
        self._resumed = 0.0  # of what is done, what earlier runs did
        self.title, self._share = one_line(title), share
        self._begun = self._told = time.monotonic()
        self._bar: tqdm[Any] | None = None
        if on_terminal() if drawn is None else drawn:
            form = "{desc}{percentage:3.0f}%|{bar}| {elapsed}{postfix}" if share else None
            self._bar = tqdm(
                total=total, desc=self.title or None, unit=" frames", file=bar_stream(),
                dynamic_ncols=True, bar_format=form, position=position, leave=not share,
            )  # fmt: skip

    def advance(self, by: float, note: str = "", *, resumed: bool = False) -> None:
        """So much more is done; the ``note`` stays until there is another.

        What an earlier run did is ``resumed``: pace and the time left do not count it.
        """
        self.done += by
        self._resumed += by if resumed else 0.0
        self.note = note or self.note
        if self._bar is not None:
            self._bar.set_postfix_str(self.note, refresh=False)
            self._bar.update(by)
        elif time.monotonic() - self._told >= LINE_SECONDS:
            self._told = time.monotonic()
            say(self.line())

    def grow(self, by: float) -> None:
        """There is so much more to do."""
        self.total = (self.total or 0) + by
        if self._bar is not None:
            self._bar.total = self.total
            self._bar.refresh()

    def line(self) -> str:
        """Where it is, in words."""
        seconds = time.monotonic() - self._begun
        of = "" if self.total is None else f" of {self.total:.0f}"
        parts = [f"{self.done:.0%}" if self._share else f"{self.done:.0f}{of} frames"]
        made = self.done - self._resumed
        if not self._share:
            parts.append(pace(round(made), seconds))
        if self.total is not None and made > 0 and self.done < self.total:
            parts.append(f"about {clock(seconds * (self.total - self.done) / made)} left")
        parts += [self.note] if self.note else []
        title = f"{self.title}: " if self.title else ""
        return f"{time.strftime('%Y-%m-%d %H:%M:%S')} {title}{', '.join(parts)}"

    def close(self, *, finished: bool = False) -> None:
        """Take it away, or leave it standing at its end where what it counts is ``finished``."""
        bar, self._bar = self._bar, None
        if bar is None:
            return
        if finished:
            bar.total = max(bar.n, 1)  # the total was an estimate
            bar.refresh()
        bar.close()


if TYPE_CHECKING:
    from vsr.evaluation.scores import Score


class Console:
    """Draws a run's events, and tells them in JSON where that is asked for.

    A context: the bar is closed when it is left, and the error that ended the run is told.
    """

    def __init__(self, *, json: bool, quiet: bool, verbose: bool) -> None:
        self._lines = Lines() if json else None
        self._quiet, self._verbose = quiet, verbose
        self._bar: Bar | None = None
        self._drawn = on_terminal() and not json
        self._workers: dict[str, Bar] = {}
        self._progress = Progress()
        self._files: dict[int, Progress] = {}  # those that are made at once
        self._together = self._idle = False
        self._lock = threading.Lock()
        if verbose:
            logging.basicConfig(
                level=logging.INFO,
                stream=sys.stderr,
                format="%(asctime)s %(levelname)s %(name)s: %(message)s",
            )

    def __enter__(self) -> Console:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        del kind, traceback
        self._close_bar()
        last = failure(error)
        if last is not None and self._lines is not None:
            self._lines.tell(last, self._progress)

    def say_target(self, target: Path) -> None:
        """One line about the target that was chosen for the person."""
        self._say(f"target: {target} (the default: beside the source)")

    def say_finishing(self) -> None:
        """One line after the first Ctrl-C, where there is something to finish."""
        if self._idle:
            self._say("stopped watching")
        else:
            self._say("finishing this segment; press Ctrl-C again to stop at once")

    def on_event(self, event: Event) -> None:
        """Show one event, from whatever thread it comes."""
        with self._lock:
            self._idle = isinstance(event, Waiting)
            if isinstance(event, OfFile):
                event = self._switch_to(event)
            else:
                self._progress = follow(self._progress, event, time.monotonic())
            if self._lines is not None:
                self._lines.tell(event, self._progress)
            elif isinstance(event, Planned) and self._progress.files == 1:
                show_rows(forecast_rows(event.forecast), json=False)
            if not self._quiet:
                self._show(event)
            elif isinstance(event, Failed):  # the error at the end says only how many
                self._tell_failure(event)

    def _switch_to(self, event_of: OfFile) -> Event:
        """Have the file that an event is about be the one at hand."""
        event, number = event_of.event, event_of.file
        before = self._files.pop(number, Progress(file=number - 1, files=self._progress.files))
        self._progress = follow(before, event, time.monotonic())
        self._together = True
        if not isinstance(event, Finished | Failed | Skipped):
            self._files[number] = self._progress
        return event

    def _show(self, event: Event) -> None:
        match event:
            case Started():
                self._begin(event)
            case Advanced() if self._bar is not None:
                slowest = f"slowest: {event.bottleneck}" if event.bottleneck else ""
                self._bar.advance(event.frames, slowest)
                if self._verbose and event.worker and self._drawn:
                    self._line_of(event.worker).advance(event.frames)
            case Advanced():
                pass
            case SegmentDone(resumed=True) if self._bar is not None:
                self._bar.advance(event.frames, resumed=True)
                self._say(f"segment {event.index + 1} was finished by an earlier run")
            case Warned():
                self._say(f"note: {event.message}")
            case BackedOff():
                self._say(
                    f"note: {event.reason}: going on with tiles of {event.tile}, "
                    f"batch {event.batch}, {event.dtype}"
                )
            case Failed():
                if not self._together:
                    self._close_bar()
                self._tell_failure(event)
            case Finished() if not self._together:
                self._close_bar(finished=True)
            case Finished():
                self._say(f"{self._place()}{event.report.target.name}: finished")
            case Skipped():
                self._say(f"{self._place()}{event.source.name}: {event.reason}")
            case BatchFinished():
                self._close_bar(finished=not event.report.count("left"))
                say(batch_table(event.report))
            case Planned() if self._progress.files != 1:
                self._say(f"{self._place()}{forecast_line(event.forecast)}")
            case Waiting():
                self._close_bar()
                self._say(f"waiting for new files in {event.folder} (Ctrl-C ends)")
            case SegmentDone() if self._verbose:
                by = f" by {event.worker}" if event.worker else ""
                self._say(f"segment {event.index + 1} finished{by}: {event.frames} frames")
            case Saved() if self._verbose:
                self._say(f"verified and in its place: {event.path}")
            case BatchStarted() if self._verbose:
                files = "files as they come" if event.files is None else f"{event.files} files"
                self._say(f"into {event.target}: {files}, {event.others} others left alone")
            case _:
                pass

    def _tell_failure(self, event: Failed) -> None:
        say(one_line(f"{self._place()}{_name(event.source)} failed: {event.message}"))
        if event.hint:
            say(one_line(f"hint: {event.hint}"))

    def _begin(self, event: Started) -> None:
        if not self._together:
            self._close_bar()
        larger = "" if event.size == event.target_size else f" to {event.target_size}"
        self._say(f"{self._place()}{event.source.name}: {event.size}{larger}")
        if self._bar is not None:  # one for all that is made at once
            self._bar.grow(event.frames or 0)
            return
        title = "" if self._drawn or self._together else event.source.name
        self._bar = Bar(event.frames, title=title, drawn=self._drawn)

    def _line_of(self, worker: str) -> Bar:
        """A line below the bar for each worker."""
        if worker not in self._workers:
            self._workers[worker] = Bar(
                None, title=f"  {worker}", drawn=True, position=len(self._workers) + 1
            )
        return self._workers[worker]

    def _place(self) -> str:
        files = self._progress.files
        return "" if files == 1 else f"[{self._progress.file}{f'/{files}' if files else ''}] "

    def _close_bar(self, *, finished: bool = False) -> None:
        bar, self._bar = self._bar, None
        workers, self._workers = self._workers, {}
        for line in workers.values():
            line.close()
        if bar is not None:
            bar.close(finished=finished)

    def _say(self, text: str) -> None:
        if not self._quiet:
            say(one_line(text))


def show_report(report: Report) -> None:
    """What was done, on stderr."""
    print(report_lines(report), file=sys.stderr)


def show_scores(scores: Iterable[Score], *, json: bool) -> None:
    """One line a score as soon as it is there: JSON, or a table that Markdown understands."""
    for number, score in enumerate(scores):
        if not number and not json:  # not before an error: nothing is read until then
            print(SCORE_HEAD)
        print(as_json(score) if json else score_row(score), flush=True)


def show_models(rows: list[dict[str, Any]]) -> None:
    """Name, quality and speed, purpose; on stdout."""
    width = max(len(row["name"]) for row in rows)
    print(f"{'':{width}}  Set5   Set14  BSD100  ms for 160x90 on two cores with AMX")
    for row in rows:
        figures = " " * 30
        if "psnr" in row:
            decibels = "  ".join(f"{value:5.2f}" for value in row["psnr"])
            figures = f"{decibels}   {row['milliseconds']:5.0f}"
        kinds = ", ".join(row.get("default_for", ()))
        note = f" (the default for {kinds})" if kinds else ""
        if "source" in row:
            note = f" (hub:{row['source']}, licence: {row['licence']})"
        print(one_line(f"{row['name']:{width}}  {figures:30}  {row['about']}{note}"))


def show_rows(rows: dict[str, Any], *, json: bool) -> None:
    """A description as aligned text or as JSON, on stdout."""
    if json:
        print(as_json(rows))
        return
    rows = {one_line(key): value for key, value in rows.items()}
    width = max(map(len, rows))
    for key, value in rows.items():
        items: list[object] = list(value) if isinstance(value, list | tuple) else [value]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        for number, item in enumerate(items or ["-"]):
            print(f"{key.replace('_', ' ') if not number else '':{width}}  {_shown(item)}")


def as_json(value: object) -> str:
    """Any of the library's values as one line of JSON."""
    return jsonlib.dumps(plain(value))


def _name(path: Path | None) -> str:
    return "" if path is None else path.name


def _shown(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else one_line(value)

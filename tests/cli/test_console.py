"""What is shown on standard error: bars on terminals, lines elsewhere, and one line for each."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest

from vsr.cli import console as bars
from vsr.cli.console import Bar, Console
from vsr.cli.lines import columns, pace, padded
from vsr.cli.tables import batch_table, report_lines, slowest
from vsr.cli.train_console import TrainConsole
from vsr.events import (
    Advanced,
    BatchFinished,
    BatchReport,
    BatchStarted,
    Event,
    Failed,
    Finished,
    Outcome,
    Report,
    Saved,
    SegmentDone,
    Started,
    Waiting,
)
from vsr.geometry import Size
from vsr.training.events import Stepped, TrainingStarted

LOW, HIGH = Size(8, 8), Size(32, 32)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def a_report(**changed: Any) -> Report:
    waiting = {"decode": 0.0, "enlarge": 0.01, "encode": 0.66}
    facts: dict[str, Any] = {
        "target": Path("out.mp4"), "frames": 3, "size": LOW, "target_size": HIGH, "seconds": 12.0,
        "bytes": 1234, "waiting": waiting, **changed,
    }  # fmt: skip
    return Report(**facts)


def told(events: list[Event], *, terminal: bool = False, **console: Any) -> str:
    """What a console writes to standard error of these events."""
    stream = Terminal() if terminal else io.StringIO()
    asked = {"json": False, "quiet": False, "verbose": False, **console}
    with redirect_stderr(stream), Console(**asked) as shown:
        for event in events:
            shown.on_event(event)
    return stream.getvalue()


STARTED = Started(Path("in.mp4"), Path("out.mp4"), 10, LOW, HIGH)


def test_elsewhere_than_on_a_terminal_a_line_with_the_time_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bars, "LINE_SECONDS", 0.0)
    text = told([STARTED, Advanced(4, "encode"), Advanced(6, "encode"), Finished(a_report())])
    assert "\r" not in text
    assert "%|" not in text
    lines = text.splitlines()
    assert lines[0] == "in.mp4: 8x8 to 32x32"
    form = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d in\.mp4: 4 of 10 frames, .*left, slowest: encode"
    assert re.fullmatch(form, lines[1])
    assert len(lines) == 3


def test_nothing_is_told_in_between_where_it_is_soon_done() -> None:
    text = told([STARTED, Advanced(10, ""), Finished(a_report())])
    assert text == "in.mp4: 8x8 to 32x32\n"


def test_json_has_no_bar_on_a_terminal_either(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "|" not in told([STARTED, Advanced(10, "")], terminal=True, json=True)
    assert capsys.readouterr().out.count("\n") == 2


def test_a_bar_ends_at_its_end_where_the_total_was_an_estimate() -> None:
    text = told([STARTED, Advanced(8, "enlarge"), Finished(a_report())], terminal=True)
    last = text.split("\r")[-1]
    assert "100%" in last
    assert "8/8" in last


def test_a_bar_of_a_run_that_failed_stands_where_it_was() -> None:
    failed = Failed("no", None, 3, Path("in.mp4"))
    assert "100%" not in told([STARTED, Advanced(4, "enlarge"), failed], terminal=True)


def test_training_draws_no_bar_into_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bars, "LINE_SECONDS", 0.0)
    stream = io.StringIO()
    with redirect_stderr(stream), TrainConsole() as shown:
        shown.show(TrainingStarted(Path("o"), "pixel", "tiny", 0, 10, None, 3, 1, 1000, "cpu"))
        shown.show(Stepped(5, 0.5, {"pixel": 0.25}, 1e-4, 2.0, 0.0))
    text = stream.getvalue()
    assert "|" not in text
    assert re.search(r"\d\d:\d\d:\d\d 50%, about .* left, step 5, 2\.0/s, pixel 0\.25", text)


def test_quiet_names_what_failed() -> None:
    failed = Failed("it is empty", "give another", 3, Path("b.mp4"), None)
    begun = BatchStarted(Path("out"), 2, 0)
    text = told([begun, STARTED, Advanced(1, ""), failed], quiet=True)
    assert text.splitlines() == ["[1/2] b.mp4 failed: it is empty", "hint: give another"]


def test_verbose_prints_sentences() -> None:
    text = told(
        [
            BatchStarted(Path("out"), 2, 1),
            STARTED,
            SegmentDone(0, 10, False, "cpu:0"),
            Saved(Path("out/in.mp4")),
            Waiting(Path("in")),
        ],
        verbose=True,
    )
    assert "(" not in text.replace("(Ctrl-C ends)", "")  # no Python value
    assert "segment 1 finished by cpu:0: 10 frames" in text
    assert "verified and in its place: out/in.mp4" in text


def test_a_name_breaks_no_line() -> None:
    odd = Path("a\nb\x1b[31m.mp4")
    outcomes = (
        Outcome(odd, Path("x"), "finished", 1, 1.0, 10),
        Outcome(Path("日本.mp4"), Path("x"), "failed", message="no"),
        Outcome(Path("plain.mp4"), Path("x"), "left", message="interrupted"),
    )
    report = BatchReport(Path("out"), outcomes, 0, 1.0)
    begun = Started(odd, Path("x"), 1, LOW, HIGH)
    lines = told([begun, Failed("no", None, 3, odd), BatchFinished(report)]).splitlines()
    assert len(lines) == 6
    assert all(line.isprintable() for line in lines)
    ends = ("1 fr", "no", "inter")
    table = batch_table(report).splitlines()[:3]
    places = [columns(line.split(said)[0]) for line, said in zip(table, ends, strict=True)]
    assert len(set(places)) == 1  # the last column begins at one place


def test_columns_of_words() -> None:
    assert columns("日e\u0301") == 3
    assert padded("日", 4) == "日  "


def test_slow_runs_say_seconds_a_frame_and_small_targets_their_size() -> None:
    assert pace(3, 12.0) == "4.0 s a frame"
    assert pace(12, 3.0) == "4.0 frames a second"
    text = report_lines(a_report())
    assert "(4.0 s a frame), 1.23 kB" in text
    assert "slowest: enlarge; waited for others: decode 0%, enlarge 1%, encode 66%" in text


def test_the_report_calls_the_slowest_what_the_bar_does() -> None:
    assert slowest({"decode": 0.6, "enlarge": 0.7, "encode": 0.0}) == "encode"
    assert slowest({"decode": 0.0, "enlarge": 0.8, "encode": 0.9}) == "decode"
    assert slowest({"decode": 0.9, "enlarge": 0.1, "encode": 0.9}) == "enlarge"


def test_a_bar_without_total_says_what_is_done() -> None:
    bar = Bar(None, title="write", drawn=False)
    bar.advance(3)
    assert "write: 3 frames" in bar.line()
    bar.close(finished=True)


def test_what_an_earlier_run_did_tells_nothing_of_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half was there already, a tenth took a minute: the other four take four minutes more."""
    now = 0.0
    monkeypatch.setattr(bars.time, "monotonic", lambda: now)
    bar = Bar(1.0, share=True, drawn=False)
    bar.advance(0.5, resumed=True)
    assert "left" not in bar.line()
    now = 60.0
    bar.advance(0.1)
    assert "60%, about 4:00 min left" in bar.line()
    bar.close()

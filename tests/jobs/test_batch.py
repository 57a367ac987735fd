"""Many files: found, named, skipped by the record; killed in the middle and gone on with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import vsr
from tests import fork_server
from tests.conftest import MakeClip, times_of
from vsr import api
from vsr.batch_options import BatchOptions
from vsr.errors import MediaError, OptionsError
from vsr.events import BatchFinished, BatchReport, Event, Skipped, Started, Waiting, Warned
from vsr.infer.engine import Engine
from vsr.jobs.batch.batch_log import NAME

FAST: dict[str, Any] = {"model": "nearest", "preset": "ultrafast", "device": "cpu", "scale": 2.0}


def batch(sources: list[Path], out: Path, **changed: Any) -> BatchReport:
    """A batch; keys of BatchOptions and of UpscaleOptions alike."""
    several = {
        key: changed.pop(key)
        for key in list(changed)
        if key in {each.name for each in fields(BatchOptions)}
    }
    options = vsr.UpscaleOptions(**{**FAST, **changed})
    return api.upscale_batch(sources, out, options, BatchOptions(**several))


def states(report: BatchReport) -> dict[str, str]:
    return {outcome.source.name: outcome.state for outcome in report.outcomes}


@pytest.fixture
def library(make_clip: MakeClip, tmp_path: Path) -> Path:
    """Two videos, one of them in a folder of its own, one that is none, and what lies beside."""
    folder = tmp_path / "library"
    (folder / "season 1").mkdir(parents=True)
    clip = make_clip(frames=4)
    shutil.copy(clip, folder / "b2.mp4")
    shutil.copy(clip, folder / "season 1" / "a10.mp4")
    (folder / "broken.mkv").write_text("no frames here" * 99)
    for name in ("b2.srt", "film.nfo", "poster.jpg", ".hidden.mp4"):
        (folder / name).touch()
    return folder


def test_a_tree_is_kept_and_what_is_no_video_is_counted(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = batch([library], out, recursive=True)
    assert states(report) == {"b2.mp4": "finished", "broken.mkv": "failed", "a10.mp4": "finished"}
    assert report.others == 3
    made = sorted(path.relative_to(out).as_posix() for path in out.rglob("*"))
    assert made == [NAME, "b2.mp4", "season 1", "season 1/a10.mp4"]
    assert len(times_of(out / "season 1" / "a10.mp4")) == 4
    failed = next(outcome for outcome in report.outcomes if outcome.state == "failed")
    assert failed.exit_code == 3
    assert failed.hint


def test_a_second_time_nothing_is_done_but_what_failed(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    batch([library], out)
    before = (out / "b2.mp4").stat()
    for changed in ({}, {"device": "auto", "batch": 1, "overwrite": True}):
        report = batch([library], out, **changed)
        assert states(report) == {"b2.mp4": "skipped", "broken.mkv": "failed"}
    after = (out / "b2.mp4").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    os.utime(out / "b2.mp4")  # copied elsewhere and back: the hash says that it is the same
    assert states(batch([library], out))["b2.mp4"] == "skipped"


def test_what_is_gone_or_whose_source_changed_is_made_again(
    library: Path, tmp_path: Path, make_clip: MakeClip
) -> None:
    out = tmp_path / "out"
    batch([library / "b2.mp4"], out)
    (out / "b2.mp4").unlink()
    assert states(batch([library / "b2.mp4"], out)) == {"b2.mp4": "finished"}
    shutil.copy(make_clip("other.mp4", frames=7), library / "b2.mp4")
    assert states(batch([library / "b2.mp4"], out)) == {"b2.mp4": "finished"}
    assert len(times_of(out / "b2.mp4")) == 7


def test_what_is_not_ours_to_replace_is_refused_and_left_as_it_is(
    library: Path, tmp_path: Path
) -> None:
    out, source = tmp_path / "out", library / "b2.mp4"
    out.mkdir()
    (out / "b2.mp4").write_bytes(b"precious")
    why = [outcome.message for outcome in batch([source], out).outcomes]
    assert "was not made by this batch" in why[0]
    assert (out / "b2.mp4").read_bytes() == b"precious"
    assert states(batch([source], out, overwrite=True)) == {"b2.mp4": "finished"}
    made = (out / "b2.mp4").read_bytes()
    for changed, said in (
        ({"scale": 3.0}, "scale 2.0 (now 3.0)"),
        ({"model": "bilinear"}, "another model"),
    ):
        report = batch([source], out, **changed)
        assert said in report.outcomes[0].message
        assert (out / "b2.mp4").read_bytes() == made
    (out / "b2.mp4").write_bytes(made[:-9])
    assert "was changed" in batch([source], out).outcomes[0].message
    other = tmp_path / "elsewhere"
    other.mkdir()
    shutil.copy(tmp_path / "in.mp4", other / "b2.mp4")
    batch([source], out, overwrite=True)
    assert "was made from" in batch([other / "b2.mp4"], out).outcomes[0].message


def test_a_run_killed_between_the_rename_and_its_note_is_found_finished(
    library: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    batch([library / "b2.mp4"], out)
    lines = (out / NAME).read_text().splitlines(keepends=True)
    assert [json.loads(line)["state"] for line in lines] == ["begun", "finished"]
    (out / NAME).write_text(lines[0] + lines[1][:40])  # torn, as by a power cut
    (out / ".b2.mp4.vsr").mkdir()
    assert states(batch([library / "b2.mp4"], out)) == {"b2.mp4": "skipped"}
    assert not (out / ".b2.mp4.vsr").exists()
    assert states(batch([library / "b2.mp4"], out)) == {"b2.mp4": "skipped"}


def test_a_failed_file_is_noted_so_a_later_stranger_is_not_taken_for_its_target(
    library: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    batch([library / "broken.mkv"], out)
    (out / "broken.mkv").write_bytes(b"precious")
    report = batch([library / "broken.mkv"], out)
    assert "was not made by this batch" in report.outcomes[0].message


def test_names_follow_the_template(library: Path, tmp_path: Path) -> None:
    name = "{height}p/{stem}_{width}x{height}_{scale}x_{model}_{extension}{suffix}"
    batch([library / "b2.mp4"], tmp_path / "out", name=name)
    assert (tmp_path / "out" / "96p" / "b2_128x96_2x_nearest_mp4.mp4").is_file()


@pytest.mark.parametrize(
    "name",
    [
        "../{stem}{suffix}", "/tmp/{stem}{suffix}", "a/../../{stem}.mkv", "{stem.__class__}", "{0}",
        "{stem", "{stem!r}{suffix}", "{height:9999}", "",
        "{stem}", "{suffix}/{stem}", "{stem}.", "a.{extension}/{model}",
    ],
)  # fmt: skip
def test_a_name_that_leaves_the_output_folder_or_is_a_folder_s_is_refused(
    library: Path, tmp_path: Path, name: str
) -> None:
    with pytest.raises(OptionsError):
        batch([library], tmp_path / "out", name=name)
    assert not (tmp_path / "out").exists()


def test_links_in_the_output_folder_are_not_followed_out_of_it(
    library: Path, tmp_path: Path
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "season 1").symlink_to(elsewhere)
    report = batch([library], out, recursive=True)
    assert states(report)["a10.mp4"] == "failed"
    assert list(elsewhere.iterdir()) == []
    (out / NAME).unlink()
    (out / NAME).symlink_to(elsewhere / "notes")
    assert states(batch([library / "b2.mp4"], out)) == {"b2.mp4": "failed"}
    assert list(elsewhere.iterdir()) == []


def test_what_cannot_be_is_refused_before_anything_starts(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copy(library / "b2.mp4", library / "b2.avi")
    shutil.copy(library / "b2.mp4", library / "b2.mkv")
    for wrong, said in (
        (lambda: batch([library], out), "would both become"),
        (lambda: batch([library], library), "output folder is the input"),
        (lambda: batch([library / "b2.mp4"], library), "is one of the inputs"),
        (lambda: batch([library], out, include=("*.webm",)), "nothing to do"),
        (lambda: batch([library], out, fps="25"), "--fps is for"),
        (lambda: batch([library], tmp_path / "out.mp4"), "cannot become"),
        (lambda: batch([library / "b2.mp4"], out, watch=True), "needs a folder"),
    ):
        with pytest.raises(OptionsError, match=said):
            wrong()
    with pytest.raises(MediaError, match="no file"):
        batch([library / "none.mp4"], out)
    assert not out.exists()


def test_patterns_order_and_stopping_at_the_first_failure(library: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = batch([library], out, recursive=True, include=("*.MP4", "*.mkv"), exclude=("b2*",))
    assert states(report) == {"broken.mkv": "failed", "a10.mp4": "finished"}
    report = batch([library], tmp_path / "two", recursive=True, order="size", on_error="stop")
    found = [(outcome.source.name, outcome.state) for outcome in report.outcomes]
    assert found[0] == ("broken.mkv", "failed")
    assert [state for _, state in found[1:]] == ["left", "left"]


def test_one_engine_serves_all_files_of_one_shape(
    library: Path, tmp_path: Path, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Engine] = []
    begin = Engine.__init__

    def counted(self: Engine, *args: Any, **named: Any) -> None:
        made.append(self)
        begin(self, *args, **named)

    monkeypatch.setattr(Engine, "__init__", counted)
    for number in range(3):
        shutil.copy(library / "b2.mp4", library / f"c{number}.mp4")
    shutil.copy(make_clip("wide.mp4", frames=2, size=(96, 48)), library / "wide.mp4")
    report = batch([library], tmp_path / "out")
    assert report.count("finished") == 5
    assert len(made) == 2


def test_a_watched_folder_is_gone_on_with_once_files_stop_growing(
    library: Path, tmp_path: Path
) -> None:
    """A file that is still growing is not touched; one that is whole is made; then it ends."""
    out, looks, events = tmp_path / "out", list[int](), list[Event]()
    whole = (library / "b2.mp4").read_bytes()
    arriving = library / "new.mp4"

    def should_stop() -> bool:
        """Asked at every look and pause: plays the one who copies files, and Ctrl-C at last."""
        looks.append(len(looks))
        if sum(isinstance(event, Waiting) for event in events) >= 2:
            return True
        if any(isinstance(event, Waiting) for event in events) and len(looks) % 2:
            size = arriving.stat().st_size if arriving.exists() else 0
            with arriving.open("ab") as file:
                file.write(whole[size : size + len(whole) // 5])
        return len(looks) > 500

    options = vsr.UpscaleOptions(**FAST)
    several = BatchOptions(watch=True, poll=0.05)
    report = api.upscale_batch([library], out, options, several, events.append, should_stop)
    assert states(report) == {
        "b2.mp4": "finished",
        "broken.mkv": "failed",
        "new.mp4": "finished",
    }
    assert len(times_of(out / "new.mp4")) == 4
    assert len(report.outcomes) == 3  # what failed is not tried again until it changes


def test_a_watched_folder_may_go_away_and_two_that_become_one_are_told(
    library: Path, tmp_path: Path
) -> None:
    out, away, events = tmp_path / "out", tmp_path / "away", list[Event]()

    def on_event(event: Event) -> None:
        events.append(event)
        if isinstance(event, Waiting) and library.exists():
            library.rename(away)
        if isinstance(event, Warned) and "is waited for" in event.message:
            away.rename(library)
            (library / "b2.mov").write_bytes((library / "b2.mp4").read_bytes())

    def should_stop() -> bool:
        return sum(isinstance(event, Waiting) for event in events) >= 2

    several = BatchOptions(watch=True, poll=0.05, name="{stem}.mp4")
    options = vsr.UpscaleOptions(**FAST, overwrite=True)
    report = api.upscale_batch([library], out, options, several, on_event, should_stop)
    assert states(report) == {"b2.mp4": "finished", "b2.mov": "failed", "broken.mkv": "failed"}
    (told,) = [outcome for outcome in report.outcomes if outcome.source.name == "b2.mov"]
    assert "would both become" in told.message


def test_an_interruption_leaves_the_rest_and_says_so(library: Path, tmp_path: Path) -> None:
    events: list[Event] = []

    def sink(event: Event) -> None:
        events.append(event)
        if isinstance(event, Started):
            raise KeyboardInterrupt

    options = vsr.UpscaleOptions(**FAST)
    with pytest.raises(KeyboardInterrupt):
        api.upscale_batch([library], tmp_path / "out", options, None, sink)
    assert isinstance(events[-1], BatchFinished)
    assert states(events[-1].report) == {"b2.mp4": "left", "broken.mkv": "left"}
    report = api.upscale_batch([library], tmp_path / "out", options, None, should_stop=lambda: True)
    assert report.count("left") == 2


def test_a_folder_of_pictures_alone_is_no_batch(library: Path, tmp_path: Path) -> None:
    assert api.is_batch(library, tmp_path / "out")
    assert not api.is_batch(library, tmp_path / "out.mp4")
    for path in [*library.glob("*.mp4"), *library.glob("*.mkv")]:
        path.unlink()
    assert not api.is_batch(library, tmp_path / "out")


def command(source: Path, out: Path) -> list[str]:
    program = (
        "from fractions import Fraction\n"
        "import vsr.jobs.video.plan as planning\n"
        "planning.SEGMENT_SECONDS = Fraction(8, 25)\n"
        "from vsr.__main__ import main\n"
        "main()\n"
    )
    arguments = ["upscale", source, out, "-r", "--json", "-q", "--model", "nearest"]
    arguments += ["--preset", "ultrafast", "--scale", "2", "--device", "cpu"]
    return [sys.executable, "-c", program, *map(str, arguments)]


@pytest.mark.extended
def test_a_batch_of_thirty_killed_twice_ends_with_a_true_summary(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    """Good, bad and odd files; SIGKILL once between files, once in the middle of a longer one."""
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "more").mkdir(parents=True)
    clip, long = make_clip(frames=5), make_clip("long.mp4", frames=120, size=(160, 120))
    for number in range(21):
        place = folder / "more" if number % 3 == 0 else folder
        shutil.copy(clip, place / f"{number:02d}.{('mp4', 'mkv', 'mov')[number % 3]}")
    shutil.copy(long, folder / "21 long.mp4")
    bad = {f"{number}.mp4": b"no frames" * number for number in range(22, 28)}
    bad["28.mkv"], bad["29.mp4"] = b"", clip.read_bytes()[:400]
    for name, content in bad.items():
        (folder / name).write_bytes(content)

    def killed_once(reached: str) -> None:
        process = fork_server.start(
            command(folder, out), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        for line in process.stdout:
            row = json.loads(line)
            if row["event"] == reached and row["file"] >= 8:
                break
        process.send_signal(signal.SIGKILL)
        process.communicate()

    killed_once("finished")
    made = {path: path.stat().st_mtime_ns for path in out.rglob("*.m*")}
    assert len(made) >= 8
    time.sleep(0.01)
    source = folder / "21 long.mp4"
    process = fork_server.start(
        command(folder, out), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    rows = (json.loads(line) for line in process.stdout)
    assert any(row["event"] == "segment" and row["source"] == str(source) for row in rows)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    last = fork_server.run(command(folder, out))
    assert last.returncode == 8
    rows = [json.loads(line) for line in last.stdout.splitlines()]
    assert (rows[-1]["event"], rows[-1]["exit_code"]) == ("failed", 8)
    summary = rows[-2]
    assert summary["event"] == "batch_finished"
    assert summary["counts"]["failed"] == 8
    assert summary["counts"]["finished"] + summary["counts"]["skipped"] == 22
    assert summary["counts"]["skipped"] >= 12
    failed = {Path(o["source"]).name for o in summary["report"]["outcomes"] if o["exit_code"]}
    assert failed == set(bad)
    assert any(row["event"] == "segment" and row["resumed"] for row in rows)
    assert all(path.stat().st_mtime_ns == before for path, before in made.items())
    for path in folder.rglob("*.m*"):
        if path.name not in bad:
            assert len(times_of(out / path.relative_to(folder))) == len(times_of(path))
    assert not [path for path in out.rglob(".*") if path.name != NAME]
    again = fork_server.run(command(folder, out))
    counts = json.loads(again.stdout.splitlines()[-2])["counts"]
    assert counts == {"finished": 0, "skipped": 22, "failed": 8, "left": 0, "planned": 0}


def test_skipped_files_are_told(library: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    options = vsr.UpscaleOptions(**FAST)
    for _ in range(2):
        api.upscale_batch([library / "b2.mp4"], tmp_path / "out", options, None, events.append)
    assert [event.reason for event in events if isinstance(event, Skipped)] == ["finished before"]

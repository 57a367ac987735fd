"""Nothing finished is lost: kills, Ctrl-C, full disks, changed settings, two runs at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import pytest

import vsr
from tests import fork_server
from tests.conftest import MakeClip, times_of
from tests.jobs.test_run import debris, options
from tests.marks import usually
from vsr.errors import MediaError, OptionsError, Stopped, StorageError
from vsr.events import Event, SegmentDone
from vsr.jobs.video.journal import line_of, read_rows
from vsr.media.read.reader import Reader

ROOT = Path(__file__).parent.parent.parent
FRAMES = 120


def command(source: Path, target: Path, *more: str) -> list[str]:
    program = (
        "import sys\n"
        "from fractions import Fraction\n"
        "import vsr.jobs.video.plan as planning\n"
        "planning.SEGMENT_SECONDS = Fraction(8, 25)\n"
        "from vsr.__main__ import main\n"
        "main()\n"
    )
    arguments = ["upscale", str(source), str(target), "--model", "lanczos", "--preset", "ultrafast"]
    return [sys.executable, "-c", program, *arguments, "--device", "cpu", *more]


def begun(folder: Path, lines: int, arguments: list[str]) -> fork_server.Process:
    """A run whose journal has at least so many lines."""
    process = fork_server.start(arguments, stderr=subprocess.PIPE, start_new_session=True)
    deadline = time.monotonic() + 600
    journal = folder / ".out.mp4.vsr" / "journal.jsonl"
    while time.monotonic() < deadline and process.poll() is None:
        if journal.exists() and journal.read_text().count("\n") >= lines:
            break
        time.sleep(0.005)
    return process


def ended(process: fork_server.Process, *signals: int) -> tuple[int, str]:
    for number in signals:
        process.send_signal(number)
        time.sleep(0.05)
    _, said = process.communicate(timeout=600)
    return process.wait(), said


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return fork_server.run(arguments, timeout=600)


@pytest.fixture
def source(make_clip: MakeClip) -> Path:
    return make_clip(frames=FRAMES, size=(96, 72), sound=True)


@pytest.mark.parametrize(("each", "kills"), usually([(9, 2)], [(9, 2), (2, 12)]))
def test_killed_at_its_steps_and_at_random_it_ends_as_if_left_alone(each: int, kills: int) -> None:
    """Every ninth call that changes the disk, or every second, and then some random instants."""
    program = [sys.executable, "-m", "tests.jobs.killing", f"--each={each}", f"--kills={kills}"]
    done = fork_server.run(program, cwd=ROOT, timeout=900)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] > 20


def test_ctrl_c_finishes_the_segment_twice_does_not_and_sigterm_stops(
    source: Path, tmp_path: Path
) -> None:
    target, journal = tmp_path / "out.mp4", tmp_path / ".out.mp4.vsr" / "journal.jsonl"

    def stopped(*signals: int) -> tuple[int, str]:
        """A run that is sent signals once it has finished one more segment."""
        lines = journal.read_text().count("\n") if journal.exists() else 1
        return ended(begun(tmp_path, lines + 1, command(source, target)), *signals)

    code, said = stopped(signal.SIGINT)
    assert code == 130, said
    assert "finishing this segment" in said
    assert "the same command goes on" in said
    segments = sorted((tmp_path / ".out.mp4.vsr").glob("*.nut"))
    first = len(segments)
    assert first >= 1
    code, said = stopped(signal.SIGINT, signal.SIGINT)
    assert code == 130, said
    code, said = stopped(signal.SIGTERM)
    assert code == 143, said
    assert "Traceback" not in said
    assert not target.exists()
    last = run(command(source, target))
    assert last.returncode == 0, last.stderr
    assert last.stderr.count("finished by an earlier run") > first
    assert len(times_of(target)) == FRAMES
    assert not debris(tmp_path)


def test_other_settings_are_refused_and_restart_or_fresh_begin_anew(
    source: Path, tmp_path: Path
) -> None:
    target, state = tmp_path / "out.mp4", tmp_path / ".out.mp4.vsr"
    ended(begun(tmp_path, 3, command(source, target)), signal.SIGKILL)
    kept = {path.name: path.stat().st_mtime_ns for path in state.glob("*.nut")}
    refused = run(command(source, target, "--crf", "30"))
    assert refused.returncode == 2
    assert "crf was None, is 30" in refused.stderr
    assert "--restart" in refused.stderr
    now = {path.name: path.stat().st_mtime_ns for path in state.glob("*.nut")}
    assert now.items() >= {k: v for k, v in kept.items() if not k.endswith(".part")}.items()
    os.utime(source)
    assert "modified_ns" in run(command(source, target)).stderr
    again = run(command(source, target, "--crf", "30", "--restart"))
    assert again.returncode == 0, again.stderr
    assert "earlier run" not in again.stderr
    target.unlink()
    ended(begun(tmp_path, 3, command(source, target)), signal.SIGKILL)
    fresh = run(command(source, target, "--fresh"))
    assert fresh.returncode == 0, fresh.stderr
    assert "earlier run" not in fresh.stderr
    assert not debris(tmp_path)


@pytest.mark.parametrize("what", ["torch", "PyAV", "encoder_library"])
def test_after_an_upgrade_segments_of_both_versions_are_not_mixed(
    make_clip: MakeClip, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade of the encoder between two runs went by without a word."""
    source, target = make_clip(frames=20), tmp_path / "out.mp4"
    monkeypatch.setattr("vsr.jobs.video.plan.SEGMENT_SECONDS", Fraction(8, 25))
    with pytest.raises(Stopped):
        vsr.upscale(source, target, options(), should_stop=lambda: True)
    journal = tmp_path / ".out.mp4.vsr" / "journal.jsonl"
    before, *rows = read_rows(journal)
    assert "libx264" in before["encoder_library"]
    upgraded = {**before, what: "the one of before"}
    journal.write_text("".join(map(line_of, [upgraded, *rows])))
    segments = sorted(journal.parent.glob("*.nut"))
    with pytest.raises(OptionsError, match=f"{what} was the one of before, is ") as refused:
        vsr.upscale(source, target, options())
    assert "of other versions has 1 finished segments" in refused.value.message
    assert "install those versions again" in str(refused.value.hint)
    assert sorted(journal.parent.glob("*.nut")) == segments
    assert vsr.upscale(source, target, options(restart=True)).frames == 20


def test_a_damaged_segment_is_made_again(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    ended(begun(tmp_path, 4, command(source, target)), signal.SIGKILL)
    folder = tmp_path / ".out.mp4.vsr"
    noted = (folder / "journal.jsonl").read_text(encoding="utf-8").count('"sha256"')
    second = folder / "000001.nut"
    second.write_bytes(second.read_bytes()[:-10])
    last = run(command(source, target))
    assert last.returncode == 0, last.stderr
    assert noted > 2
    assert last.stderr.count("earlier run") == noted - 1  # those behind it are as good as before
    assert len(times_of(target)) == FRAMES


def test_a_second_run_on_one_target_is_refused(source: Path, tmp_path: Path) -> None:
    process = begun(tmp_path, 1, command(source, tmp_path / "out.mp4"))
    try:
        with pytest.raises(OptionsError, match="another run"):
            vsr.upscale(source, tmp_path / "out.mp4", options())
    finally:
        ended(process, signal.SIGKILL)


def test_a_call_that_is_asked_to_stop_can_be_made_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsr.jobs.video.plan.SEGMENT_SECONDS", 1)
    with pytest.raises(Stopped, match="1 segments finished"):
        vsr.upscale(source, tmp_path / "out.mp4", options(), should_stop=lambda: True)
    events: list[Event] = []
    vsr.upscale(source, tmp_path / "out.mp4", options(), events.append)
    done = [event for event in events if isinstance(event, SegmentDone)]
    assert [event.resumed for event in done] == [True] + [False] * (len(done) - 1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """A file system of a megabyte, where this process may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not possible here; the limit on files' sizes is tested elsewhere")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_keeps_what_is_finished_and_more_room_lets_it_go_on(
    source: Path, small_disk: Path
) -> None:
    target = small_disk / "out.mp4"
    full = run(command(source, target, "--crf", "2", "--force"))
    assert full.returncode == 3
    assert full.stderr.splitlines()[-2].startswith("error: cannot write")
    assert "free some space" in full.stderr
    assert "finished segments are kept: the same command goes on" in full.stderr
    assert not target.exists()
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    rest = run(command(source, target, "--crf", "2", "--force"))
    assert rest.returncode == 0, rest.stderr
    assert "earlier run" in rest.stderr
    assert len(times_of(target)) == FRAMES
    assert not debris(small_disk)


def test_a_source_that_changes_while_it_is_read_is_an_error(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Reader.__iter__

    def touched(self: Reader) -> object:
        for number, clip in enumerate(plain(self)):
            if number == 1:
                os.utime(source, (1, 1))
            yield clip

    monkeypatch.setattr(Reader, "__iter__", touched)
    with pytest.raises(MediaError, match="changed while it was read"):
        vsr.upscale(source, tmp_path / "out.mp4", options())
    assert not (tmp_path / "out.mp4").exists()
    assert not debris(tmp_path)


def test_a_target_folder_that_vanishes_is_one_error(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    plain = Reader.__iter__

    def removed(self: Reader) -> object:
        for number, clip in enumerate(plain(self)):
            if number == 1:
                place.rename(tmp_path / "elsewhere")
            yield clip

    monkeypatch.setattr(Reader, "__iter__", removed)
    with pytest.raises(MediaError, match="cannot write"):
        vsr.upscale(source, place / "out.mp4", options())
    assert not place.exists()


@pytest.mark.parametrize("trap", ["folder", "lock", "journal.jsonl", "journal.jsonl.part"])
def test_links_in_a_work_folder_lead_nowhere(
    trap: str, make_clip: MakeClip, tmp_path: Path
) -> None:
    """A link named as a work folder had every file deleted that it led to."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "letters.txt").write_text("dear", encoding="utf-8")
    state = tmp_path / ".out.mp4.vsr"
    if trap == "folder":
        state.symlink_to(precious)
    else:
        state.mkdir(mode=0o700)
        (state / trap).symlink_to(precious / "letters.txt")
    source = make_clip(frames=3)
    with pytest.raises(StorageError, match="not a work folder of a run of yours"):
        vsr.upscale(source, tmp_path / "out.mp4", options())
    assert (precious / "letters.txt").read_text(encoding="utf-8") == "dear"
    assert not (tmp_path / "out.mp4").exists()


def test_what_a_run_did_not_make_stays_in_its_work_folder(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    state = tmp_path / ".out.mp4.vsr"
    state.mkdir(mode=0o700)
    (state / "notes.txt").write_text("mine", encoding="utf-8")
    vsr.upscale(make_clip(frames=3), tmp_path / "out.mp4", options())
    assert [path.name for path in state.iterdir()] == ["notes.txt"]

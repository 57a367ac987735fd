"""The result never depends on who made it: one worker, several, some that die, another run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import vsr
from tests import fork_server
from tests.conftest import MakeClip
from tests.jobs.test_crashes import begun, command, ended
from tests.jobs.test_run import debris, options
from vsr.errors import DeviceError, OptionsError
from vsr.events import Advanced, Event, Finished, OfFile, SegmentDone, Warned
from vsr.jobs.video import plan as planning
from vsr.jobs.video.plan import make_plan
from vsr.jobs.video.segment_tasks import segment_tasks
from vsr.jobs.workers.worker import Handshake, check_compatible
from vsr.weights import load

FOUR = Fraction(4, 25)  # segments of four frames
VFR = [0, 100, 700, 701, 2500, 9000, 9100, 30000, 30001, 99999]
TWO = {"device": "auto", "devices": "cpu:2"}


def parallel(source: Path, target: Path, workers: int = 2, *more: str) -> list[str]:
    """The command of `test_crashes`, with processes."""
    arguments = command(source, target, *more)
    place = arguments.index("--device")
    return [*arguments[:place], "--devices", f"cpu:{workers}", *arguments[place + 2 :]]


def workers_of(process: fork_server.Process) -> list[int]:
    """The processes that a run started, but for the one that minds shared resources."""
    with suppress(FileNotFoundError, ProcessLookupError):
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [int(pid) for pid in listed if b"spawn_main" in _command_of(int(pid))]
    return []


def _command_of(pid: int) -> bytes:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def gone(pids: Iterable[int]) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if not any(b"spawn_main" in _command_of(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


@contextmanager
def at_work(folder: Path, arguments: list[str], lines: int = 2) -> Generator[fork_server.Process]:
    """A run of several workers that has finished a segment."""
    process = begun(folder, lines, arguments)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=600)


@pytest.fixture
def source(make_clip: MakeClip) -> Path:
    return make_clip(frames=160, size=(96, 72), sound=True, options={"g": "10"})


@pytest.fixture
def calm(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What one worker makes of it, left alone."""
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", Fraction(8, 25))  # as in `command`
    place = tmp_path / "calm"
    place.mkdir()
    vsr.upscale(source, place / "out.mp4", options(model="lanczos"))
    return (place / "out.mp4").read_bytes()


def kinds_of_video(make: MakeClip, folder: Path) -> Path:
    """Times, codecs and groups of pictures of every kind that a container tells, and that not."""
    folder.mkdir()
    made = {
        "plain": make("plain.mp4", frames=22, sound=True),
        "uneven": make("uneven.mov", pts=VFR + [100000 + place * 700 for place in range(9)]),
        "pyramid": make("pyramid.mkv", frames=22, options={"bf": "8", "b-pyramid": "normal"}),
        "open": make(
            "open.mkv", frames=30, codec="libx265",
            options={"x265-params": "keyint=8:open-gop=1:bframes=4:log-level=none"},
        ),
        "late": make("late.mp4", pts=[128000 + place * 512 for place in range(13)]),
        "hidden": make(
            "hidden.webm", frames=30, codec="libvpx", time_base=Fraction(1, 1000), step=40,
            options={"auto-alt-ref": "1", "lag-in-frames": "12", "b": "200k"},
        ),
        "broadcast": make("broadcast.ts", frames=22, time_base=Fraction(1, 90000), step=3600),
    }  # fmt: skip
    for name, path in made.items():
        path.rename(folder / f"{name}{path.suffix}")
    torn = bytearray((folder / "pyramid.mkv").read_bytes())
    torn[len(torn) // 2 : len(torn) // 2 + 200] = bytes(200)
    (folder / "torn.mkv").write_bytes(torn)
    return folder


def test_one_worker_and_several_make_the_same_of_every_kind_of_file(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", FOUR)
    folder = kinds_of_video(make_clip, tmp_path / "films")
    several = vsr.BatchOptions(name="{stem}.mp4")
    events: list[Event] = []
    whole = {"accept_truncated": True}  # half of the torn file cannot be read
    vsr.upscale_batch([folder], tmp_path / "one", options(**whole), several)
    report = vsr.upscale_batch(
        [folder], tmp_path / "two", options(**whole, **TWO), several, events.append
    )
    assert [outcome.state for outcome in report.outcomes] == ["finished"] * 8
    for path in (tmp_path / "one").glob("*.mp4"):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
    events = [event.event if isinstance(event, OfFile) else event for event in events]
    told = [event.message for event in events if isinstance(event, Warned)]
    alone = {text.split()[0] for text in told if "in order, by one worker" in text}
    assert alone <= {"hidden.webm", "broadcast.ts", "torn.mkv"}, "these can be divided"
    assert "broadcast.ts" in alone
    for report in (event.report for event in events if isinstance(event, Finished)):
        if report.target.stem == "torn":
            assert (report.damaged > 0) == ("torn.mkv" in alone), "where its decoder says so"
        if report.target.stem not in ("hidden", "broadcast", "torn"):
            assert {share.name for share in report.workers} <= {"cpu:0", "cpu:1"}
            assert sum(share.frames for share in report.workers) == report.frames
            assert all(0 <= share.utilisation <= 1 for share in report.workers)


def test_a_stretch_and_a_folder_of_pictures_are_divided_too(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", FOUR)
    source = make_clip(frames=40, sound=True, options={"g": "7"})
    vsr.upscale(source, tmp_path / "frames", options())
    jobs: list[tuple[Path, dict[str, Any]]] = [
        (source, {"start": 0.3, "end": 1.1}),
        (tmp_path / "frames", {"fps": "25"}),
    ]
    for number, (path, more) in enumerate(jobs):
        made: list[bytes] = []
        for who in ({}, TWO):
            target, events = tmp_path / f"{number}-{len(made)}.mp4", list[Event]()
            vsr.upscale(path, target, options(**more, **who), events.append)
            made.append(target.read_bytes())
        assert made[0] == made[1]
        names = {event.worker for event in events if isinstance(event, SegmentDone | Advanced)}
        assert names in ({"cpu:0", "cpu:1"}, {"cpu:0"}, {"cpu:1"}), "it was not divided"


@pytest.mark.extended
def test_a_worker_that_is_killed_is_replaced(source: Path, tmp_path: Path, calm: bytes) -> None:
    with at_work(tmp_path, parallel(source, tmp_path / "out.mp4")) as process:
        victims = workers_of(process)
        assert victims, "it was over before anything could be killed"
        os.kill(victims[0], signal.SIGKILL)
        code, said = ended(process)
    assert code == 0, said
    assert (tmp_path / "out.mp4").read_bytes() == calm
    assert not debris(tmp_path)


@pytest.mark.extended
def test_who_takes_over_from_a_dead_worker_sees_the_frames_before(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network with a memory, and a container that does not tell its times: one open task."""
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", Fraction(8, 25))  # as in `command`
    source = make_clip("in.ts", frames=60, time_base=Fraction(1, 90000), step=3600)
    asked = ("--model", "video-tiny")
    (tmp_path / "calm").mkdir()
    calm = tmp_path / "calm" / "out.mp4"
    vsr.upscale(source, calm, options(model="video-tiny"))
    with at_work(tmp_path, parallel(source, tmp_path / "out.mp4", 2, *asked)) as process:
        victims = workers_of(process)
        assert victims, "it was over before anything could be killed"
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        code, said = ended(process)
    assert code == 0, said
    assert (tmp_path / "out.mp4").read_bytes() == calm.read_bytes()
    assert not debris(tmp_path)


def test_a_worker_that_is_stopped_is_replaced(source: Path, tmp_path: Path, calm: bytes) -> None:
    """It is not dead, and had been waited for for ever."""
    arguments = parallel(source, tmp_path / "out.mp4")
    arguments[2] = (
        "from vsr.jobs.workers import scheduler\nscheduler.SILENCE_SECONDS = 5.0\n" + arguments[2]
    )
    with at_work(tmp_path, arguments) as process:
        victims = workers_of(process)
        assert victims, "it was over before anything could be stopped"
        os.kill(victims[0], signal.SIGSTOP)
        code, said = ended(process)
        assert gone(victims)
    assert code == 0, said
    assert (tmp_path / "out.mp4").read_bytes() == calm
    assert not debris(tmp_path)


@pytest.mark.extended
def test_a_segment_that_kills_whoever_takes_it_is_one_error(source: Path, tmp_path: Path) -> None:
    """Whoever has begun to write a segment is killed, three times."""
    process, killed = begun(tmp_path, 1, parallel(source, tmp_path / "out.mp4", 1)), 0
    state = tmp_path / ".out.mp4.vsr"
    while process.poll() is None:
        if list(state.glob("000000.*.part")):
            for pid in workers_of(process):
                os.kill(pid, signal.SIGKILL)
                killed += gone([pid])
            for part in state.glob("*.part"):
                part.unlink(missing_ok=True)
        time.sleep(0.002)
    code, said = ended(process)
    assert (code, killed) == (5, 3), said
    assert "segment 1 of" in said
    assert "tried 3 times" in said
    assert "killed by signal 9 (SIGKILL)" in said
    assert "Traceback" not in said
    assert not debris(tmp_path)


@pytest.mark.parametrize("first", ["several", pytest.param("one", marks=pytest.mark.extended)])
def test_a_driver_that_is_killed_is_gone_on_with_by_another_kind(
    source: Path, tmp_path: Path, calm: bytes, first: str
) -> None:
    target, state = tmp_path / "out.mp4", tmp_path / ".out.mp4.vsr"
    order = parallel if first == "several" else command
    with at_work(tmp_path, order(source, target), 4) as process:
        workers = workers_of(process)
        process.kill()
        process.wait()
        assert gone(workers), "workers outlive the driver"
    kept = {path.name: path.stat().st_mtime_ns for path in state.glob("??????.nut")}
    assert kept
    events: list[Event] = []
    other = TWO if first == "one" else {}
    vsr.upscale(source, target, options(model="lanczos", **other), events.append)
    again = sum(isinstance(event, SegmentDone) and event.resumed for event in events)
    assert again in (len(kept), len(kept) - 1)  # one may have been written and not noted
    assert target.read_bytes() == calm
    assert not debris(tmp_path)


@pytest.mark.extended
def test_ctrl_c_lets_workers_finish_and_twice_does_not(
    source: Path, tmp_path: Path, calm: bytes
) -> None:
    target, journal = tmp_path / "out.mp4", tmp_path / ".out.mp4.vsr" / "journal.jsonl"
    for presses in (1, 2):
        lines = journal.read_text().count("\n") if presses == 2 else 1
        with at_work(tmp_path, parallel(source, target), lines + 1) as process:
            workers = workers_of(process)
            for _ in range(presses):
                os.killpg(process.pid, signal.SIGINT)
                time.sleep(0.05)
            _, said = process.communicate(timeout=600)
        assert process.returncode == 130, said
        assert "the same command goes on" in said
        assert "Traceback" not in said
        assert gone(workers)
        assert not list((tmp_path / ".out.mp4.vsr").glob("*.part"))
    vsr.upscale(source, target, options(model="lanczos"))
    assert target.read_bytes() == calm
    assert not debris(tmp_path)


def test_segments_are_where_one_worker_cuts_them(make_clip: MakeClip, tmp_path: Path) -> None:
    """Known before anything is decoded, of a variable rate with reordered frames."""
    source = make_clip(pts=VFR, options={"bf": "3"})
    plan = make_plan(source, tmp_path / "out.mp4", options(), load("bicubic"))
    tasks = segment_tasks(plan, tmp_path, options().engine)
    assert tasks is not None
    assert [time for task in tasks for time in task.times or ()] == VFR
    assert [task.index for task in tasks] == list(range(len(tasks)))


@pytest.mark.parametrize("devices", ["cpu", "cpu:0", "gpu:1", "cuda:0,cpu:2", ""])
def test_devices_that_cannot_be_are_refused_at_once(devices: str) -> None:
    with pytest.raises(OptionsError, match="there are no devices"):
        vsr.UpscaleOptions(devices=devices)


def test_devices_go_with_neither_device_nor_compare() -> None:
    with pytest.raises(OptionsError, match="both given"):
        vsr.UpscaleOptions(devices="cpu:2", device="cpu")
    with pytest.raises(OptionsError, match="--compare"):
        vsr.UpscaleOptions(devices="cpu:2", compare=Path("page.html"))


def test_workers_that_would_make_other_bytes_are_refused() -> None:
    ours = Handshake("1.0", "2.11", "18.1", "a" * 64, "cuda fp16")
    check_compatible("node-2", ours, ours)
    check_compatible("node-2", ours, replace(ours, placement=""))
    for other, what in (
        (replace(ours, version="0.9"), "version of vsr: 0.9, here it is 1.0"),
        (replace(ours, torch="2.10"), "version of torch"),
        (replace(ours, av="18.0"), "version of PyAV"),
        (replace(ours, fingerprint="b" * 64), "set of weights"),
        (replace(ours, placement="cpu fp32"), "device or precision"),
    ):
        with pytest.raises(DeviceError, match=what):
            check_compatible("node-2", other, ours)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="signal masks are read in /proc")
def test_ctrl_c_never_reaches_a_process_not_even_the_first() -> None:
    """The first one starts multiprocessing's resource tracker, which unblocks signals."""
    script = (
        "import time; from pathlib import Path; from vsr import system\n"
        "from vsr.jobs.workers import process\n"
        "if __name__ == '__main__':\n"
        "    with system.sigint_blocked():\n"
        "        first = process._SPAWN.Process(target=time.sleep, args=(60,)); first.start()\n"
        "    print(Path(f'/proc/{first.pid}/status').read_text()); first.kill()\n"
    )
    status = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    blocked = next(line for line in status.splitlines() if line.startswith("SigBlk"))
    assert int(blocked.split()[1], 16) & 1 << (signal.SIGINT - 1)

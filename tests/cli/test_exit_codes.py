"""Every exit code of the guide is reached by a real command, and the guide has every message."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from tests import fork_server, guide_tables
from tests.cli.test_doctor import altered_copy
from tests.conftest import MakeClip
from tests.marks import usually
from vsr import errors
from vsr.cli.app import VsrGroup
from vsr.errors import Stopped

ROOT = Path(__file__).parents[2]
Run = subprocess.CompletedProcess[str]


def vsr(*arguments: object) -> Run:
    return fork_server.vsr(*arguments)


def anew(*arguments: object, path: Path, folder: Path | None = None) -> Run:
    """In a new process, which finds modules in ``path`` first."""
    return subprocess.run(
        [sys.executable, "-m", "vsr", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(path), str(ROOT)])},
    )


def no_tensorboard(make_clip: MakeClip, folder: Path) -> Run:
    """A training that asks for a package which, as far as Python can tell, is not there."""
    del make_clip
    stub = folder / "stub" / "tensorboard"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("raise ImportError('not installed')\n")
    frames = folder / "frames"
    frames.mkdir()
    noise = np.random.default_rng(1).integers(0, 256, (256, 256, 3), np.uint8)
    cv2.imwrite(str(frames / "noise.png"), noise)
    small = ("--net", "features=8,layers=1", "--steps", "1", "--batch", "1", "--device", "cpu")
    board = ("--out", folder / "run", "--tensorboard", folder / "board")
    return anew("train", frames, *board, *small, path=stub.parent)


def incomplete_batch(make_clip: MakeClip, folder: Path) -> Run:
    (folder / "many").mkdir()
    make_clip("good.mkv", frames=2).rename(folder / "many" / "good.mkv")
    (folder / "many" / "bad.mkv").write_text("no video")
    fast = ("--model", "nearest", "--preset", "ultrafast", "--on-error", "continue")
    return vsr("upscale", folder / "many", folder / "larger", *fast)


def unverified(make_clip: MakeClip, folder: Path) -> Run:
    """An encoder told to write other colour tags than the container's."""
    source = make_clip(tags=(1, 1, 1, 1), frames=2)
    other = ("--encoder-option", "x264-params=colormatrix=bt470bg:colorprim=bt470bg")
    return vsr("upscale", source, folder / "out.mp4", "--model", "nearest", *other)


def interrupted(make_clip: MakeClip, folder: Path, number: signal.Signals) -> Run:
    source = make_clip(frames=300, options={"preset": "ultrafast"})
    command = [sys.executable, "-m", "vsr", "upscale", str(source), str(folder / "out.mkv")]
    process = fork_server.start([*command, "--model", "bicubic"], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 600
    while not (folder / ".out.mkv.vsr").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, told = process.communicate(timeout=600)
    return Run(command, process.wait(), "", told)


REACHED: dict[int, Callable[[MakeClip, Path], Run]] = {
    0: lambda _clip, _folder: vsr("--version"),
    1: lambda _clip, folder: anew("doctor", path=altered_copy(folder), folder=folder),
    2: lambda clip, folder: vsr("upscale", clip(), folder / "out.mp4", "--tile", "4"),
    3: lambda _clip, folder: vsr("probe", folder / "none.mp4"),
    4: lambda _clip, _folder: vsr("models", "info", "nothing"),
    5: lambda clip, folder: vsr("upscale", clip(), folder / "out.mp4", "--device", "cuda:99"),
    6: lambda _clip, folder: vsr("train", folder, "--out", folder / "run"),
    7: no_tensorboard,
    8: incomplete_batch,
    9: unverified,
    130: lambda clip, folder: interrupted(clip, folder, signal.SIGINT),
    143: lambda clip, folder: interrupted(clip, folder, signal.SIGTERM),
}


def codes_of_the_guide() -> dict[int, set[str]]:
    text, _, _ = guide_tables.GUIDE.read_text(encoding="utf-8").partition(guide_tables.HEADING)
    found = re.findall(r"^\| (\d+) \| ([^|]*)\|", text, re.MULTILINE)
    return {int(code): set(re.findall(r"`(\w+)`", names)) for code, names in found}


@pytest.mark.parametrize("code", usually(REACHED.keys() - {1, 7}, REACHED))  # new processes
def test_each_exit_code_is_reached(code: int, make_clip: MakeClip, tmp_path: Path) -> None:
    run = REACHED[code](make_clip, tmp_path)
    assert run.returncode == code, run.stderr
    assert "Traceback" not in run.stderr
    if 2 <= code <= 9:
        assert len(re.findall(r"^error: ", run.stderr, re.MULTILINE)) == 1


def test_a_stop_inside_of_a_library_that_then_fails_is_a_stop() -> None:
    """tqdm releases a lock that it did not get where a signal comes while it waits for that."""
    command = typer.Typer(cls=VsrGroup)

    @command.command()
    def stopped() -> None:
        try:
            raise Stopped("stopped at once", exit_code=143)
        finally:
            raise AttributeError("_lock")

    @command.command()
    def broken() -> None:
        raise AttributeError("_lock")

    del stopped, broken
    ended = CliRunner().invoke(command, ["stopped"])
    assert ended.exit_code == 143
    assert ended.stderr == "\nstopped at once\n"
    assert isinstance(CliRunner().invoke(command, ["broken"]).exception, AttributeError)


def test_the_guide_has_every_code_and_no_other() -> None:
    guide = codes_of_the_guide()
    assert guide.keys() == REACHED.keys()
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    kinds = [kind for kind in classes if issubclass(kind, errors.VsrError)]
    for code in guide.keys() - {0, 130, 143}:
        assert guide[code] == {kind.__name__ for kind in kinds if kind.exit_code == code}
    assert {kind.exit_code for kind in kinds} <= guide.keys()


def test_the_guide_has_every_message_and_no_other() -> None:
    written = guide_tables.GUIDE.read_text(encoding="utf-8").splitlines()
    wanted = guide_tables.guide().splitlines()
    missing, more = set(wanted) - set(written), set(written) - set(wanted)
    assert not missing, f"run python -m tests.guide_tables: {missing}"
    assert not more, f"run python -m tests.guide_tables: {more}"


@pytest.mark.parametrize("where", ["a reader that goes", "stderr full", "json full"])
def test_whoever_listens_the_run_goes_on(where: str, make_clip: MakeClip, tmp_path: Path) -> None:
    """A bar whose reader was gone had hung for ever."""
    target = tmp_path / "out.mp4"
    words = ["upscale", make_clip(frames=30), target, "--model", "nearest", "--device", "cpu"]
    words += ["--preset", "ultrafast", *(["--json"] if where == "json full" else [])]
    command = [sys.executable, "-m", "vsr", *map(str, words)]
    pipe = subprocess.PIPE
    with open("/dev/full", "w") as full:
        if where == "json full":
            process = fork_server.start(command, stdout=full.fileno(), stderr=pipe)
        elif where == "stderr full":
            process = fork_server.start(command, stdout=pipe, stderr=full.fileno())
        else:
            process = fork_server.start(command, stdout=pipe, stderr=subprocess.STDOUT)
            assert process.stdout is not None
            assert os.read(process.stdout.fileno(), 30)
            process.stdout.close()
            process.stdout = None
        out, err = process.communicate(timeout=600)
    assert process.wait() == 0
    assert "Traceback" not in out + err
    assert target.exists()


@pytest.mark.parametrize("words", [["--json"], ["-q"], []], ids=["json", "quiet", "a bar"])
def test_closed_streams_end_no_run(words: list[str], make_clip: MakeClip, tmp_path: Path) -> None:
    """As by `>&-`: Python has no stream then, and the next file is opened as standard output."""
    target, told = tmp_path / "out.mp4", tmp_path / "told"
    words = ["upscale", str(make_clip(frames=3)), str(target), "--device", "cpu", *words]
    words += ["--model", "nearest", "--preset", "ultrafast"]
    program = (
        "import os, sys, traceback\n"
        f"told, sys.argv = open({str(told)!r}, 'w'), ['vsr', *{words!r}]\n"
        "sys.excepthook = lambda *error: traceback.print_exception(*error, file=told)\n"
        "sys.stdin = sys.stdout = sys.stderr = None\n"
        "for descriptor in (0, 1, 2): os.close(descriptor)\n"
        "from vsr.__main__ import main\n"
        "main()\n"
    )
    ended = fork_server.run([sys.executable, "-c", program])
    assert (ended.returncode, told.read_text()) == (0, "")
    assert {path.name for path in tmp_path.glob(".*")} == set()
    with av.open(target) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3


def test_a_version_is_asked_for_by_programs_that_close_their_streams() -> None:
    command = f"{shlex.quote(sys.executable)} -m vsr --version >&- 2>&-"
    assert subprocess.run(command, shell=True, check=False).returncode == 0

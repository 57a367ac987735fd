"""What systems lack is dealt with in one module: tried on a system that is made to lack it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from math import inf
from pathlib import Path

import av
import pytest
from torch import nn

from vsr import system, weights
from vsr.cli import settings
from vsr.errors import OptionsError, WeightsError
from vsr.jobs.batch.items import BatchItem, placed, refuse_clashes
from vsr.jobs.video.plan import check_target
from vsr.media.atomic import exchange, put
from vsr.options import UpscaleOptions
from vsr.system import Lock
from vsr.training.training_log import TrainingLog
from vsr.weights.export import export

ROOT = Path(__file__).parent.parent
HOLDER = (
    "import sys; from pathlib import Path; from vsr.system import Lock\n"
    "lock = Lock(Path(sys.argv[1])); assert lock.take()\n"
    "print('taken', flush=True); sys.stdin.read()\n"
)


def bare(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """A command where modules and functions of Unix are missing; see ``tests/bare_system.py``."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.bare_system", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_video_is_made_without_what_windows_lacks(tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    words = ("--end", "0.2", "--model", "tiny", "--preset", "ultrafast")
    done = bare("upscale", "samples/harbour.mkv", target, *words)
    assert done.returncode == 0, done.stderr
    with av.open(target) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["out.mkv"]


@pytest.mark.extended
def test_a_training_runs_without_what_windows_lacks(tmp_path: Path) -> None:
    words = ("--arch", "tiny", "--steps", "2", "--batch", "2", "--patch", "16", "--out", tmp_path)
    done = bare("train", ROOT / "docs" / "images" / "harbour.png", *words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "best.safetensors").is_file()


def _log(path: Path) -> None:
    with TrainingLog(path.parent, step=0):
        pass


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.png": lambda path: put(path, b"new"),
    "log.jsonl": _log,
    "a.safetensors": lambda path: weights.save(path, nn.Linear(1, 1), arch="none", hparams={}),
    "a.pt": lambda path: export("nearest", "torchscript", path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_writing_a_file_touches_no_other(name: str, tmp_path: Path) -> None:
    """A link of that name with .part had been written through, a file removed."""
    inside, victim, longest = tmp_path / "in", tmp_path / "victim", tmp_path / ("a" * 255)
    inside.mkdir()
    victim.write_text("mine")
    part = inside / f"{name}.part"
    part.symlink_to(victim)
    WRITERS[name](inside / name)
    part.unlink()
    (inside / name).unlink()
    part.write_text("mine")
    WRITERS[name](inside / name)
    assert (victim.read_text(), part.read_text()) == ("mine", "mine")
    assert {path.name for path in inside.iterdir()} == {name, part.name}
    assert (inside / name).stat().st_mode & 0o777 == victim.stat().st_mode & 0o777
    put(longest, b"new")
    with pytest.raises(OSError, match="Is a directory"):
        put(inside, b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"in", "victim", longest.name}


def test_only_one_module_asks_what_system_it_is() -> None:
    """Whoever calls these elsewhere ends on Windows, or where a file is open in two programs."""
    of_os = ("sched_", "getuid", "geteuid", "pread", "kill", "fork", "nice", "setpriority")
    of_os += ("replace", "fsync", "fchmod", "statvfs", "O_NOFOLLOW")
    for path in sorted((ROOT / "vsr").rglob("*.py")):
        if path.name == "system.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", "")}
                assert not names & {"fcntl", "resource", "termios", "pwd", "msvcrt"}, path
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                name = f"{node.value.id}.{node.attr}"
                assert not name.startswith(tuple(f"os.{one}" for one in of_os)), f"{path}: {name}"
                assert not name.startswith("signal.pthread"), f"{path}: {name}"


def test_a_lock_has_one_holder_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"taken"
        mine = Lock(path)
        assert not mine.take()
        assert not mine.take(patience_seconds=0)
        holder.kill()
    assert mine.take(patience_seconds=inf)
    assert not Lock(path).take(patience_seconds=0), "within one process, too"
    mine.release()
    mine.release()
    assert Lock(path).take()


def test_a_removed_lock_is_no_lock_of_the_next_holder(tmp_path: Path) -> None:
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert first.take()
    first.remove()
    assert not (tmp_path / "lock").exists()
    assert second.take()
    first.remove()
    assert (tmp_path / "lock").exists()
    assert not first.take(patience_seconds=0)
    second.remove()


def test_a_link_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("kept")
    (tmp_path / "lock").symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError, match="symbolic"):
        Lock(tmp_path / "lock").take()
    assert (tmp_path / "theirs").read_text() == "kept"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "vsr.toml"
    os.mkfifo(pipe)
    for flags in (os.O_RDONLY, os.O_RDWR):
        with pytest.raises(OSError, match="it is no file"):
            system.open_own(pipe, flags)
    with pytest.raises(OptionsError, match="a device, a pipe"):
        settings.read(pipe)


def test_files_show_their_owners_here(tmp_path: Path) -> None:
    assert system.shows_owners(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_pipe_is_never_replaced(tmp_path: Path) -> None:
    """As root, ``/dev/null`` had become a folder of pictures."""
    pipe, part = tmp_path / "pipe", tmp_path / "part"
    os.mkfifo(pipe)
    part.mkdir()
    for replace in (system.replace_file, exchange):
        with pytest.raises(FileExistsError, match="a device, a pipe"):
            replace(part, pipe)
    assert pipe.is_fifo()
    assert part.is_dir()


def test_a_file_that_is_open_elsewhere_is_replaced_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows: who looks at each new file holds it for a moment, and others for good."""
    real, refusals, waits = os.replace, [2], list[float]()

    def refusing(part: Path, path: Path) -> None:
        if refusals[0]:
            refusals[0] -= 1
            raise PermissionError(13, "Access is denied")
        real(part, path)

    part, path = tmp_path / "a.part", tmp_path / "a"
    part.write_text("new")
    path.write_text("old")
    monkeypatch.setattr(os, "replace", refusing)
    monkeypatch.setattr(system.time, "sleep", waits.append)
    with pytest.raises(PermissionError):
        system.replace_file(part, path)  # elsewhere it is no matter of time
    monkeypatch.setattr(system, "WINDOWS", True)
    system.replace_file(part, path)
    assert path.read_text() == "new"
    assert waits == [0.05]
    part.write_text("newer")
    refusals[0] = 99
    with pytest.raises(PermissionError):
        system.replace_file(part, path)
    assert path.read_text() == "new"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("con.mp4", "con.mp4 is a device"),
        ("films/NUL", "NUL is a device"),
        ("com1.txt", "is a device"),
        ("a:b.mp4", "has no ':'"),
        ("what?.mkv", "has no '?'"),
        ("ends.", "ends in '.'"),
        ("folder /x.mkv", "ends in ' '"),
        ("x" * 300, "characters long"),
        ("console.mp4", None),
        ("../over there/film.v2.mkv", None),
        ("com10.mkv", None),
    ],
)
def test_names_that_windows_has_not(
    name: str, why: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert system.name_problem(Path(name)) is None
    monkeypatch.setattr(system, "WINDOWS", True)
    said = system.name_problem(Path(name))
    assert (said is None) if why is None else (said is not None and why in said)


def always(folder: Path) -> bool:
    return bool(folder)


def test_small_letters_and_capitals_are_told_apart_where_the_folder_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film, capital = tmp_path / "film.mkv", tmp_path / "FILM.mkv"
    film.touch()
    assert system.ignores_case(tmp_path) == capital.exists()
    assert system.ignores_case(tmp_path / "not" / "there") == capital.exists()
    assert (system.same_name_key(film) == system.same_name_key(capital)) == capital.exists()

    monkeypatch.setattr(system, "ignores_case", always)
    assert system.same_name_key(film) == system.same_name_key(capital)
    accented = [tmp_path / name for name in ("caf\u00e9.mkv", "cafe\u0301.mkv")]
    assert len({system.same_name_key(path) for path in accented}) == 1


def test_two_targets_are_one_where_letters_are_not_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [
        BatchItem(tmp_path / name / "a.mp4", tmp_path / f"{name}.mp4") for name in ("Film", "film")
    ]
    refuse_clashes(items)
    monkeypatch.setattr(system, "ignores_case", always)
    with pytest.raises(OptionsError, match="would both become"):
        refuse_clashes(items)
    with pytest.raises(OptionsError, match="is one of the inputs"):
        refuse_clashes([BatchItem(tmp_path / "A.mp4", tmp_path / "a.mp4")])


def test_a_target_that_windows_would_lose_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written to nul.mkv, hours of work would be gone without a word."""
    source, target = ROOT / "samples" / "harbour.mkv", tmp_path / "nul.mkv"
    check_target(source, target, UpscaleOptions())
    monkeypatch.setattr(system, "WINDOWS", True)
    with pytest.raises(OptionsError, match="is a device"):
        check_target(source, target, UpscaleOptions())
    with pytest.raises(OptionsError, match="is a device"):
        placed(tmp_path, Path(), "nul.mkv")


def test_a_name_that_the_console_has_no_letters_for_is_written_as_numbers(tmp_path: Path) -> None:
    film = tmp_path / "\u65e5\u672c.mkv"
    film.write_bytes((ROOT / "samples" / "harbour.mkv").read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "vsr", "probe", str(film)],
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"\\u65e5\\u672c.mkv" in done.stdout


@pytest.mark.parametrize(
    ("on", "variables", "inside"),
    [
        ("linux", {}, "home/.local/share/vsr"),
        ("linux", {"XDG_DATA_HOME": "data"}, "home/.local/share/vsr"),  # not from the root on
        ("linux", {"XDG_DATA_HOME": "{}/data"}, "data/vsr"),
        ("darwin", {}, "home/Library/Application Support/vsr"),
        ("win32", {"LOCALAPPDATA": "{}/local"}, "local/vsr"),
        ("win32", {}, "home/AppData/Local/vsr"),
    ],
)
def test_the_folder_of_a_user_s_data(
    on: str, variables: dict[str, str], inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "WINDOWS", on == "win32")
    monkeypatch.setattr(system, "MACOS", on == "darwin")
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    assert system.user_data_folder() == tmp_path / inside


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def unchanged(path: str) -> str:
        return path

    monkeypatch.setattr("os.path.expanduser", unchanged)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.delenv("VSR_MODELS", raising=False)
    with pytest.raises(FileNotFoundError, match="no home folder"):
        system.user_data_folder()
    assert "tiny" in weights.names()
    with pytest.raises(WeightsError, match="there is no model 'nothing'"):
        weights.load("nothing")

"""What a fork of the server has in common with a new process: all that its command can see."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import fork_server

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processes are new ones"),
    pytest.mark.extended,
]
LOOK = """
import json, os, random, signal, sys, threading
import torch
print(json.dumps({
    "argv": sys.argv, "path": sys.path[0], "folder": os.getcwd(), "env": dict(os.environ),
    "main": sorted(vars(sys.modules["__main__"]).keys() & {"__file__", "__name__"}),
    "name": __name__, "fds": sorted(map(int, os.listdir("/proc/self/fd")))[:-1],
    "threads": len(os.listdir("/proc/self/task")), "python_threads": threading.active_count(),
    "sigint": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    "signals": {s.name: str(signal.getsignal(s)) for s in signal.Signals if s != signal.SIGINT},
    "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "stdin": sys.stdin.read(), "torch_threads": torch.get_num_threads(),
    "seed": torch.initial_seed(), "group": os.getpgrp(), "leads": os.getsid(0) == os.getpid(),
    "stdout": [sys.stdout.encoding, sys.stdout.errors, sys.stdout.line_buffering],
    "stderr": [sys.stderr.encoding, sys.stderr.errors, sys.stderr.line_buffering],
}))
"""


@pytest.mark.parametrize("session", [False, True])
def test_a_fork_sees_what_a_new_process_sees(session: bool, tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOOK, "one", "two words"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "SOME": "thing"}
    new = subprocess.run(
        command, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=True, start_new_session=session,
    )  # fmt: skip
    fork = fork_server.run(command, cwd=tmp_path, env=env, start_new_session=session)
    assert fork.returncode == 0, fork.stderr
    wanted, seen = json.loads(new.stdout), json.loads(fork.stdout)
    if session:  # each leads a group of its own
        del wanted["group"], seen["group"]
    assert wanted.pop("seed") != seen.pop("seed")
    wanted["threads"] = 1  # a new process has those that OpenBLAS starts when it is imported
    assert seen == wanted


@pytest.mark.parametrize("quick", [False, True])
def test_ends_are_those_of_processes(quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_server, "QUICK_ENDS", quick)

    def code(program: str) -> int:
        return fork_server.run([sys.executable, "-c", program]).returncode

    assert code("pass") == 0
    assert code("raise SystemExit(7)") == 7
    assert code("import atexit, os; atexit.register(os._exit, 9)") == 9
    late = "import threading; threading.Timer(0.1, lambda: print('late', end='')).start()"
    assert fork_server.run([sys.executable, "-c", late]).stdout == "late"
    assert code("import os; os.abort()") == -signal.SIGABRT
    wrong = fork_server.run([sys.executable, "-c", "1 / 0"])
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"
    with pytest.raises(subprocess.CalledProcessError):
        fork_server.run([sys.executable, "-c", "raise SystemExit('no')"], check=True)


def test_signals_reach_it_and_time_runs_out() -> None:
    waits = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(99)"]
    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, -15), (signal.SIGINT, -2)):
        process = fork_server.start(waits, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        assert process.poll() is None
        process.send_signal(number)
        _, told = process.communicate(timeout=30)
        assert process.returncode == code
        assert ("KeyboardInterrupt" in told) == (number == signal.SIGINT)
        process.kill()  # nothing happens
    with pytest.raises(subprocess.TimeoutExpired):
        fork_server.run(waits, timeout=0.01)


def test_a_module_is_run_as_main_and_starts_processes_of_its_own(tmp_path: Path) -> None:
    """What multiprocessing starts imports the main module again, by its name."""
    (tmp_path / "started.py").write_text(
        "import multiprocessing, sys\n"
        "def told(pipe):\n    pipe.send(__name__)\n"
        "if __name__ == '__main__':\n"
        "    spawn = multiprocessing.get_context('spawn')\n"
        "    ours, theirs = spawn.Pipe()\n"
        "    process = spawn.Process(target=told, args=(theirs,))\n"
        "    process.start()\n"
        "    print(sys.argv[1:], __spec__.name, ours.recv())\n"
        "    process.join()\n"
    )
    done = fork_server.run([sys.executable, "-m", "started", "x"], cwd=tmp_path)
    assert done.stdout == "['x'] started __mp_main__\n", done.stderr


def test_what_is_read_when_a_process_starts_is_refused() -> None:
    with pytest.raises(AssertionError, match="PYTHONPATH is for a new process"):
        fork_server.vsr("--version", env={**os.environ, "PYTHONPATH": "elsewhere"})


def test_it_ends_with_its_client_and_leaves_what_it_started_alone(tmp_path: Path) -> None:
    server = fork_server.ForkServer()
    waits = f"import time; time.sleep(0.5); open({str(tmp_path / 'made')!r}, 'w').close()"
    server.start([sys.executable, "-c", waits])
    server.close()
    deadline = time.monotonic() + 600
    while not (tmp_path / "made").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (tmp_path / "made").exists()

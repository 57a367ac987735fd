"""One command in a process of its own, forked from this warm one, and what it did."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vsr.cli.app import app

MEMORY = 3 << 30  # beyond what the warm process has: a case that wants more is a finding
DISK = 256 << 20
TIMED_OUT = "time limit"


@dataclass(frozen=True, slots=True)
class Outcome:
    """``code`` is the exit code, or minus the signal's number; ``None`` when time ran out."""

    code: int | None
    stdout: str
    stderr: str
    seconds: float


def command(arguments: list[str], folder: Path, limit_seconds: float) -> Outcome:
    """Run ``vsr ARGUMENTS`` in ``folder``."""
    return forked(lambda: app(arguments, prog_name="vsr"), folder, limit_seconds)


def forked(action: Callable[[], object], folder: Path, limit_seconds: float) -> Outcome:
    """Run ``action`` in a child; what it writes goes to files beside ``folder``."""
    logs = folder.with_name(f"{folder.name}.stdout"), folder.with_name(f"{folder.name}.stderr")
    sys.stdout.flush()
    begun = time.monotonic()
    child = os.fork()
    if not child:
        _be_the_child(action, folder, logs)
    status = _waited(child, begun + limit_seconds)
    texts = [log.read_text(encoding="utf-8", errors="replace") for log in logs]
    for log in logs:
        log.unlink()
    return Outcome(status, texts[0], texts[1], time.monotonic() - begun)


def _be_the_child(action: Callable[[], object], folder: Path, logs: tuple[Path, Path]) -> None:
    code = 70  # an exception nobody expected; the traceback is on stderr
    try:
        os.setpgid(0, 0)
        for number, log in enumerate(logs, start=1):
            os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.chdir(folder)
        had = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (had + MEMORY, had + MEMORY))
        resource.setrlimit(resource.RLIMIT_FSIZE, (DISK, DISK))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        action()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 0 if left.code is None else 1
    except BaseException:  # whatever it is, it is told and judged
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _waited(child: int, deadline: float) -> int | None:
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None

"""A cluster on this machine: the result is that of a single process, whatever dies on the way."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import vsr
from tests import fork_server
from tests.conftest import MakeClip
from tests.jobs.test_crashes import ROOT, command
from tests.jobs.test_run import debris, options
from vsr.errors import DeviceError
from vsr.events import Event, SegmentDone
from vsr.jobs.batch.batch_log import NAME
from vsr.jobs.video import plan as planning

pytestmark = [
    pytest.mark.extended,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="the extra vsr[ray] is not installed"
    ),
]
Row = dict[str, Any]
MAY_UNSHARE = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("unshare") is not None


class Nodes:
    """The program of `nodes.py`."""

    def __init__(self) -> None:
        ours = {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.jobs.nodes"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env={**os.environ, **ours}, cwd=ROOT,
        )  # fmt: skip
        self.address, head = self._answer().split()
        self.head = int(head)

    def add(self, order: str = "add") -> int:
        """Start a node; the process id of what runs it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        return int(self._answer())

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _answer(self) -> str:
        assert self._process.stdout is not None
        while not (line := self._process.stdout.readline()).strip()[-1:].isdigit():
            assert line, "no cluster could be started"
        return line


@pytest.fixture(scope="module")
def nodes() -> Generator[Nodes]:
    cluster = Nodes()
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def films(make_clip: MakeClip) -> list[Path]:
    """Three videos, of other frames each."""
    sizes = {"a.mp4": (160, 120), "b.mp4": (160, 120), "c.mp4": (128, 96)}
    return [
        make_clip(name, frames=300 + 9 * place, size=size, sound=True, options={"g": "10"})
        for place, (name, size) in enumerate(sizes.items())
    ]


def calmly(films: list[Path], place: Path) -> dict[str, bytes]:
    """What a single process makes of them."""
    vsr.upscale_batch(films, place, options(model="lanczos"))
    return {path.name: path.read_bytes() for path in place.glob("*.mp4")}


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "SEGMENT_SECONDS", Fraction(8, 25))  # as in `command`


def on(nodes: Nodes, sources: list[Path], target: Path, *more: str) -> list[str]:
    """The command of `test_crashes`, on a cluster."""
    several = [*map(str, sources[1:]), "--to", str(target)] if len(sources) > 1 else [str(target)]
    arguments = command(sources[0], target, "--cluster", nodes.address, "--json", *more)
    place = arguments.index(str(target))
    return [*arguments[:place], *several, *arguments[place + 1 :]]


def rows_of(
    arguments: list[str], on_segment: Callable[[int, fork_server.Process], None] | None = None
) -> tuple[list[Row], int, str]:
    """A run's events, its exit code and what it said; ``on_segment`` hears how many are made."""
    process = fork_server.start(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    rows: list[Row] = []
    made = 0
    try:
        for line in process.stdout:
            rows.append(json.loads(line))
            if rows[-1]["event"] == "segment" and not rows[-1]["resumed"]:
                made += 1
                if on_segment is not None:
                    on_segment(made, process)
    finally:
        with suppress(ProcessLookupError):
            if sys.exc_info()[0] is not None:
                os.killpg(process.pid, signal.SIGKILL)
        _, said = process.communicate(timeout=60)
    return rows, process.wait(), said


def workers_of(node: int) -> list[int]:
    """The processes on a node that make segments."""
    with suppress(OSError):
        tasks = Path(f"/proc/{node}/task").iterdir()
        pids = [pid for task in tasks for pid in (task / "children").read_text().split()]
        return [int(p) for p in pids if b"Actor" in Path(f"/proc/{p}/cmdline").read_bytes()]
    return []


def test_a_worker_and_then_a_node_die_while_three_videos_are_made(
    nodes: Nodes, films: list[Path], tmp_path: Path
) -> None:
    calm = calmly(films, tmp_path / "calm")
    second, struck = nodes.add(), list[int]()

    def strike(made: int, process: fork_server.Process) -> None:
        del process
        at_head = workers_of(nodes.head)  # none as long as the other node's is the first to come
        victim = None
        if not struck and made >= 4 and at_head:
            victim = at_head[0]
        elif len(struck) == 1 and made >= 12 and workers_of(second):
            victim = second
        if victim is not None:
            os.kill(victim, signal.SIGKILL)
            struck.append(victim)

    rows, code, said = rows_of(on(nodes, films, tmp_path / "out"), strike)
    assert code == 0, said
    assert len(struck) == 2
    assert "Traceback" not in said
    for path in films:
        assert (tmp_path / "out" / path.name).read_bytes() == calm[path.name]
    assert debris(tmp_path / "out") == [NAME]
    segments = [row for row in rows if row["event"] == "segment"]
    assert len({(row["source"], row["index"]) for row in segments}) == len(segments)
    assert {row["worker"].split()[-1] for row in segments} <= {"0", "1"}
    first = [row["source"] for row in segments[: len(segments) // 2]]
    assert len(set(first)) > 1, "the videos did not share a queue"
    assert sum(row["frames"] for row in rows if row["event"] == "advanced") == 300 + 309 + 318


def test_a_run_is_gone_on_with_after_a_kill_and_after_ctrl_c_here_and_there(
    nodes: Nodes, films: list[Path], tmp_path: Path
) -> None:
    target = tmp_path / "out.mp4"

    def killed(made: int, process: fork_server.Process) -> None:
        if made == 3:
            process.kill()

    def pressed(made: int, process: fork_server.Process) -> None:
        if made == 3:
            os.killpg(process.pid, signal.SIGINT)

    _, code, said = rows_of(on(nodes, films[:1], target), killed)
    assert code == -signal.SIGKILL, said
    assert not target.exists()
    again, code, said = rows_of(on(nodes, films[:1], target), pressed)
    assert code == 130, said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert again[-1]["exit_code"] == 130
    segments = [row for row in again if row["event"] == "segment"]
    assert sum(row["resumed"] for row in segments) >= 3
    assert not list((tmp_path / ".out.mp4.vsr").glob("*.part"))
    deadline = time.monotonic() + 30
    while workers_of(nodes.head) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not workers_of(nodes.head), "workers outlive the driver"
    events: list[Event] = []
    here = options(model="lanczos", devices="cpu:1", device="auto")
    vsr.upscale(films[0], target, here, events.append)
    resumed = sum(isinstance(event, SegmentDone) and event.resumed for event in events)
    assert resumed == len(segments)
    assert target.read_bytes() == calmly(films[:1], tmp_path / "calm")["a.mp4"]
    assert not debris(tmp_path)


def test_an_address_where_no_cluster_is_is_one_error(films: list[Path], tmp_path: Path) -> None:
    for address in ("localhost:1", "localhost:99999"):
        with pytest.raises(DeviceError, match="no Ray cluster at localhost"):
            vsr.upscale(films[0], tmp_path / "out.mp4", options(cluster=address))


@pytest.mark.skipif(not MAY_UNSHARE, reason="a node with other files needs root and unshare")
def test_a_node_that_sees_other_files_is_refused_or_sent_them(
    nodes: Nodes, films: list[Path], tmp_path: Path
) -> None:
    far, target = nodes.add(f"blind {tmp_path}"), tmp_path / "out.mp4"
    refused, code, said = rows_of(on(nodes, films[:1], target))
    assert code == 3, said
    assert f"does not see {films[0]}" in said
    assert "--ship" in said
    assert not any(row["event"] == "advanced" for row in refused)
    assert not debris(tmp_path)
    calm = calmly(films[:2], tmp_path / "calm")
    rows, code, said = rows_of(on(nodes, films[:2], tmp_path / "out", "--ship"))
    assert code == 0, said
    for path in films[:2]:
        assert (tmp_path / "out" / path.name).read_bytes() == calm[path.name]
    assert debris(tmp_path / "out") == [NAME]
    assert len({row["worker"] for row in rows if row["event"] == "segment"}) == 2
    os.kill(far, signal.SIGTERM)

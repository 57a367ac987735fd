"""What a cluster's executor decides and moves, without a cluster."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

import vsr
from tests.conftest import MakeClip
from tests.jobs.test_run import options
from vsr.errors import DeviceError, MediaError, MissingExtra, OptionsError, Stopped
from vsr.events import ignore
from vsr.infer.engine import Engine
from vsr.jobs.batch.batch_run import run_parallel
from vsr.jobs.video.plan import make_plan
from vsr.jobs.video.segment_tasks import segment_tasks
from vsr.jobs.video.segments import Task, make
from vsr.jobs.workers import shipping
from vsr.jobs.workers.actor import FileServer
from vsr.jobs.workers.preflight import NodeProbe, probe_node
from vsr.jobs.workers.ray import WorkerLayout, plan_workers
from vsr.jobs.workers.shipping import (
    SegmentReceiver,
    SourceCache,
    read_chunk,
    read_chunks,
    source_files,
)
from vsr.media.write.writer import Segment
from vsr.weights import load

GPUS = [{"CPU": 4.0}, {"CPU": 32.0, "GPU": 4.0}, {"CPU": 16.0, "GPU": 1.0}]


PLACES: list[tuple[list[dict[str, float]], dict[str, Any], WorkerLayout]] = [
    (GPUS, {}, WorkerLayout(8, gpu=True, count=5)),
    (GPUS, {"device": "cpu"}, WorkerLayout(4, gpu=False, count=1 + 8 + 4)),
    (GPUS, {"cores": 16}, WorkerLayout(16, gpu=True, count=2 + 1)),
    ([{"CPU": 1.0}, {"CPU": 2.0}], {}, WorkerLayout(2, gpu=False, count=1)),
    ([{"CPU": 1.0}, {"CPU": 1.0}], {}, WorkerLayout(1, gpu=False, count=2)),
    ([{}], {"workers": 9}, WorkerLayout(1, gpu=False, count=9)),
    ([{"CPU": 8.0}], {"device": "cuda", "workers": 3}, WorkerLayout(1, gpu=True, count=3)),
]


@pytest.mark.parametrize(("nodes", "asked", "expected"), PLACES)
def test_workers_follow_from_what_the_nodes_have(
    nodes: list[dict[str, float]], asked: dict[str, Any], expected: WorkerLayout
) -> None:
    given = vsr.UpscaleOptions(cluster="auto", **asked)
    assert plan_workers(nodes, given) == expected


@pytest.mark.parametrize("asked", [{"device": "cuda"}, {"cores": 3}])
def test_a_cluster_without_room_is_one_error(asked: dict[str, Any]) -> None:
    with pytest.raises(DeviceError, match="for a worker"):
        plan_workers([{"CPU": 2.0}], vsr.UpscaleOptions(cluster="auto", **asked))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cluster": "ray://head:10001"}, "no address"),
        ({"cluster": "auto", "devices": "cpu:2"}, "both given"),
        ({"cluster": "auto", "device": "cuda:1"}, "no device"),
        ({"cluster": "auto", "workers": 0}, "workers must be"),
        ({"cluster": "auto", "compare": Path("page.html")}, "--compare"),
        ({"ship": True}, "for a --cluster"),
    ],
)
def test_options_that_do_not_go_together(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionsError, match=said):
        vsr.UpscaleOptions(**wrong)


def test_without_the_package_the_extra_is_named(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match="package ray") as raised:
        vsr.upscale(make_clip(), tmp_path / "out.mp4", options(cluster="auto"))
    assert "vsr[ray]" in (raised.value.hint or "")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_node_answers_what_it_sees(tmp_path: Path) -> None:
    source, asked = tmp_path / "in.mp4", tmp_path / "probe"
    source.write_bytes(b"1234")
    asked.write_text("x")
    assert probe_node(NodeProbe(source, 4, asked), "reply").problem == ""
    assert (tmp_path / "reply").read_text() == "x"
    assert "sees another file" in probe_node(NodeProbe(source, 5, asked), "reply").problem
    gone = probe_node(NodeProbe(tmp_path / "none", 4, asked), "reply").problem
    assert "does not see" in gone
    assert "none" in gone


def task_of(source: Path, folder: Path) -> Task:
    plan = make_plan(source, folder / "out.mp4", options(), load("bicubic"))
    tasks = segment_tasks(plan, folder, options().engine)
    assert tasks is not None
    return tasks[0]


def made_at(task: Task) -> Segment:
    found: list[Segment] = []
    engine = Engine(vsr.load("nearest"), options().engine)
    make(task, engine, ignore, found.append)
    return found[0]


@pytest.mark.parametrize("kind", ["video", "folder"])
def test_what_is_shipped_there_and_back_is_what_was_made_here(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(shipping, "CHUNK_BYTES", 1000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    source = make_clip(sound=True)
    if kind == "folder":
        vsr.upscale(source, tmp_path / "frames", options(scale=1.0))
        source = tmp_path / "frames"
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    calm = made_at(task_of(source, here))
    task = task_of(source, there)
    cache = SourceCache(source_files, read_chunk)
    localized = cache.localized(task)
    assert localized.folder != there
    assert localized.plan.info.path != source
    made = made_at(cache.localized(task))
    receiver = SegmentReceiver(task)
    for number, chunk in enumerate(read_chunks(made.path)):
        assert number or len(chunk.data) == 1000
        receiver.add(chunk)
    got = receiver.complete(made)
    assert got is not None
    assert got.path.parent == there
    assert got.path.read_bytes() == calm.path.read_bytes()
    for chunk in list(read_chunks(made.path))[1:]:
        receiver.add(chunk)
    assert receiver.complete(made) is None, "its beginning is missing"
    cache.close()
    assert not list(tmp_path.glob("vsr-ship-*"))


def test_the_file_server_serves_what_is_offered_and_nothing_else(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    """Any path that its node can read had been served to whoever asked."""
    source, other = make_clip("a.mp4"), make_clip("b.mp4")
    frames = tmp_path / "frames"
    vsr.upscale(source, frames, options(scale=1.0))
    server = FileServer("key")
    for path in (source, other, Path("/etc/passwd")):
        for ask in (lambda path=path: server.source_files(path),
                    lambda path=path: server.read_chunk(path, 0)):  # fmt: skip
            with pytest.raises(MediaError, match="is not a source of a run"):
                ask()
    with pytest.raises(MediaError, match="only the command"):
        server.offer("another", Path("/etc/passwd"), [(Path("/etc/passwd"), 1)])
    for place in (source, source, frames):
        server.offer("key", place, source_files(place))
    assert server.source_files(source) == [(source, source.stat().st_size)]
    assert server.read_chunk(source, 0) == source.read_bytes()
    assert server.read_chunk(frames / "000001.png", 0)
    for path in (other, frames / "..", tmp_path, frames / "000001.png.part"):
        with pytest.raises(MediaError, match="is not a source of a run"):
            server.read_chunk(path, 0)
    server.withdraw("key", source)
    assert server.read_chunk(source, 0)  # another run has it still
    server.withdraw("key", source)
    with pytest.raises(MediaError, match="is not a source of a run"):
        server.read_chunk(source, 0)


def test_a_source_that_changes_on_its_way_is_an_error(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    task = task_of(make_clip(), tmp_path)
    cache = SourceCache(lambda source: [(source, 1)], read_chunk)
    with pytest.raises(MediaError, match="changed while it was sent"):
        cache.localized(task)
    cache.close()


def test_things_at_once_keep_their_order_and_end_together() -> None:
    ended: list[int] = []

    def do(place: int) -> int:
        time.sleep(0.02 * (3 - place % 3))
        if place == 7:
            raise Stopped
        return place

    answers, raised = run_parallel(
        9, do, threads=3, is_enough=lambda answer: answer == 99, end=lambda: ended.append(1)
    )
    assert answers[:7] == [0, 1, 2, 3, 4, 5, 6]
    assert answers[7] is None
    assert isinstance(raised, Stopped)
    assert not ended, "what is under way comes to its end"
    answers, raised = run_parallel(
        9, do, threads=1, is_enough=lambda answer: answer == 2, end=lambda: ended.append(1)
    )
    assert (answers, raised) == ([0, 1, 2, *[None] * 6], None)

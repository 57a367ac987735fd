"""A run that is stopped, killed or starved of disk goes on as if nothing had been."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from tests import fork_server
from vsr.errors import DataError, OptionsError, OutOfMemory
from vsr.events import Warned
from vsr.media import atomic
from vsr.models.catalog import ARCHS
from vsr.system import part_beside
from vsr.training import checkpoint, training_log
from vsr.training.checkpoint import Checkpoint
from vsr.training.events import TrainingEvent
from vsr.training.loop import train
from vsr.training.options import TrainOptions
from vsr.training.recipes import named
from vsr.training.run_folder import LOCK, RunFolder
from vsr.training.setup import earlier_run
from vsr.training.task import PixelTask
from vsr.training.training_log import TrainingLog, read
from vsr.weights import read_file, save, store

SCRIPT = """
import sys
from pathlib import Path
from vsr.training import loop
from vsr.training.options import TrainOptions
loop.LOG_STEPS, loop.SAVE_SECONDS, loop.SAVE_SHARE = 5, 0.0, 1e9
loop.train(TrainOptions(
    (Path(sys.argv[1]),), Path(sys.argv[2]), steps=80, batch=2, patch=12, device="cpu",
    dtype="fp32", net=(("features", 8), ("layers", 2)), validate_every=30, workers=1, vgg="none",
))
"""


def options(frames: Path, out: Path, **changes: Any) -> TrainOptions:
    values: dict[str, Any] = {
        "steps": 40, "batch": 2, "patch": 12, "device": "cpu", "dtype": "fp32", "vgg": "none",
        "net": (("features", 8), ("layers", 2)), "validate_every": 10, "workers": 0,
    }  # fmt: skip
    return TrainOptions((frames,), out, **{**values, **changes})


def stopping_after(steps: int) -> Any:
    asked = iter(range(10**6))
    return lambda: next(asked) >= steps - 1


def same_weights(one: Path, two: Path) -> bool:
    first, second = read_file(one)[1], read_file(two)[1]
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) for key in first
    )


def test_a_second_training_into_one_folder_is_refused(frames: Path, tmp_path: Path) -> None:
    """Both had ended with exit code 0, and a log of both."""
    out = tmp_path / "run"
    refused: list[str] = []

    def second() -> bool:
        if not refused:
            with pytest.raises(OptionsError, match="another training is writing to") as error:
                train(options(frames, out))
            refused.append(error.value.message)
        return False

    report = train(options(frames, out, steps=3), should_stop=second)
    assert f"process {os.getpid()} on" in refused[0]
    assert report.step == 3
    assert [line["step"] for line in read(out) if "losses" in line] == [3]
    assert LOCK not in [path.name for path in out.iterdir()]


def test_a_training_that_fails_before_it_begins_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(DataError):
        train(options(tmp_path / "no pictures", tmp_path / "there" / "new" / "run"))
    assert list((tmp_path / "there").iterdir()) == []


def test_killed_at_any_moment_it_ends_with_the_same_weights(frames: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(frames)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    fork_server.run([*command, str(tmp_path / "whole")], env=env, check=True)
    killed = tmp_path / "killed"
    kills = 0
    for wanted in (10, 40):
        process = fork_server.start([*command, str(killed)], env=env)
        while process.poll() is None:
            steps = [int(line["step"]) for line in read(killed)]
            if max(steps, default=0) >= wanted and (killed / checkpoint.NAME).exists():
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                break
            time.sleep(0.005)
    assert kills == 2
    fork_server.run([*command, str(killed)], env=env, check=True)
    one, two = (checkpoint.load(tmp_path / name) for name in ("whole", "killed"))
    assert one is not None
    assert two is not None
    assert (one.step, two.step, two.finished) == (80, 80, True)
    for part in ("generator", "average"):
        for name, value in one.task[part].items():
            assert torch.equal(value, two.task[part][name]), f"{part} {name}"
    assert same_weights(tmp_path / "whole" / "last.safetensors", killed / "last.safetensors")
    logs = [
        [(line["step"], line.get("losses"), line.get("metrics")) for line in read(folder)]
        for folder in (tmp_path / "whole", killed)
    ]
    assert logs[0] == logs[1]


def test_ctrl_c_saves_and_the_same_command_goes_on(frames: Path, tmp_path: Path) -> None:
    command = (
        "-m vsr train --steps 100000 --net features=8,layers=2 --batch 2 --patch 12 --device cpu "
        "--dtype fp32 --validate-every 1000000 --out"
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, *command.split(), str(tmp_path / "run"), str(frames)]
    errors = ""
    for _ in range(2):
        process = fork_server.start(arguments, env=env, stderr=subprocess.PIPE)
        begun = max((int(line["step"]) for line in read(tmp_path / "run")), default=0)
        while process.poll() is None:
            if max((int(line["step"]) for line in read(tmp_path / "run")), default=0) > begun:
                process.send_signal(signal.SIGINT)
                break
            time.sleep(0.02)
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 130, errors
        assert "run it again to go on" in errors
        assert "Traceback" not in errors
        saved = checkpoint.load(tmp_path / "run")
        assert saved is not None
        assert saved.step > begun
        assert not saved.finished
    assert "resumed at step" in errors


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": "compact"},
        pytest.param(
            {"recipe": "srgan", "net": (("features", 8), ("blocks", 1))},
            marks=pytest.mark.extended,
        ),
        pytest.param(
            {"recipe": "real-esrgan", "arch": "compact", "pixel_first": 0.5},
            marks=pytest.mark.extended,
        ),
        {"recipe": "real-esrgan", "arch": "compact", "pixel_first": 0.25},
        pytest.param({"recipe": "video-gan"}, marks=pytest.mark.extended),
    ],
    ids=["compact", "srgan", "in the first stage", "in the second stage", "video-gan"],
)
def test_stopped_and_run_again_it_is_as_if_uninterrupted(
    changes: Mapping[str, Any], frames: Path, tmp_path: Path
) -> None:
    run = options(frames, tmp_path / "whole", steps=8, **changes)
    train(run)
    parts = replace(run, out=tmp_path / "parts")
    first = train(parts, should_stop=stopping_after(3))
    assert (first.step, first.finished) == (3, False)
    second = train(replace(parts, workers=2))  # how it is run may change, what is learnt may not
    assert (second.step, second.finished) == (8, True)
    assert same_weights(tmp_path / "whole" / "last.safetensors", second.last)


def test_a_finished_run_is_not_done_again(frames: Path, tmp_path: Path) -> None:
    run = options(frames, tmp_path / "run", steps=4)
    report = train(run)
    before = (report.last.stat().st_mtime_ns, len(read(report.out)))
    again = train(run)
    assert again.finished
    assert again.metrics == report.metrics
    assert (report.last.stat().st_mtime_ns, len(read(report.out))) == before


def test_other_settings_are_refused_unless_resume_is_asked_for(
    frames: Path, tmp_path: Path
) -> None:
    run = options(frames, tmp_path / "run", steps=4)
    train(run)
    with pytest.raises(OptionsError, match="other settings") as caught:
        train(replace(run, steps=6))
    assert "steps 4 -> 6" in caught.value.message
    report = train(replace(run, steps=6, resume=True))
    assert (report.step, report.finished) == (6, True)
    with pytest.raises(OptionsError, match="does not fit"):
        train(replace(run, recipe="srresnet", net=(), resume=True))
    with pytest.raises(OptionsError, match="no run to resume"):
        train(replace(run, out=tmp_path / "none", resume=True))


@pytest.mark.extended
def test_a_run_from_before_recipes_and_networks_were_told_apart_goes_on(
    frames: Path, tmp_path: Path
) -> None:
    run = options(frames, tmp_path, recipe="srgan", net=(("features", 8), ("blocks", 1)), steps=4)
    train(run, should_stop=stopping_after(2))
    left = checkpoint.load(tmp_path)
    assert left is not None
    new = ("arch", "pixel_first")
    identity = {key: value for key, value in json.loads(left.identity).items() if key not in new}
    before = {key: value for key, value in left.options.items() if key not in new}
    del left.task["began"]
    older = replace(left, identity=json.dumps(identity, sort_keys=True), options=before)
    checkpoint.save(tmp_path, older)
    with pytest.raises(OptionsError, match="arch None -> compact"):
        train(replace(run, arch="compact", net=()))
    assert train(run).finished


def test_weights_that_a_run_began_with_may_be_gone(frames: Path, tmp_path: Path) -> None:
    first = train(options(frames, tmp_path / "first", steps=2))
    run = options(frames, tmp_path / "second", init=str(first.last), net=(), steps=6)
    train(run, should_stop=stopping_after(2))
    first.last.unlink()
    assert train(run).step == 6


def test_a_pause_ends_the_process_not_the_run(frames: Path, tmp_path: Path) -> None:
    run = options(frames, tmp_path, steps=10**6, validate_every=10**6, pause_minutes=0.02)
    first = train(run)
    assert not first.finished
    second = train(run)
    assert second.step > first.step
    assert second.seconds > first.seconds


def test_a_full_disk_keeps_the_checkpoint_before(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = options(frames, tmp_path / "run", steps=8)
    train(run, should_stop=stopping_after(3))
    kept = (tmp_path / "run" / checkpoint.NAME).read_bytes()

    def full(descriptor: int) -> None:
        del descriptor
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DataError, match="No space left on device; the one before is kept"):
            train(run)
    assert (tmp_path / "run" / checkpoint.NAME).read_bytes() == kept
    assert not list((tmp_path / "run").glob("*.part"))
    assert train(run).step == 8


def test_lines_after_the_last_checkpoint_are_written_again(frames: Path, tmp_path: Path) -> None:
    run = options(frames, tmp_path, steps=8)
    train(run, should_stop=stopping_after(3))
    with (tmp_path / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": 7, "losses": {"pixel": 99.0}}) + '\n{"step": 8, "lo')
    train(run)
    lines = read(tmp_path)
    assert all(line.get("losses", {}).get("pixel") != 99.0 for line in lines)
    assert [line["step"] for line in lines] == sorted(line["step"] for line in lines)


def test_checkpoints_come_back_whole_or_are_named(tmp_path: Path) -> None:
    made = Checkpoint(3, 1.5, False, "{}", {"steps": 4}, {"features": 8}, {"a": torch.ones(2)})
    checkpoint.save(tmp_path, made)
    found = checkpoint.load(tmp_path)
    assert found is not None
    assert (found.step, found.seconds, found.hparams) == (3, 1.5, {"features": 8})
    assert torch.equal(found.task["a"], made.task["a"])
    path = tmp_path / checkpoint.NAME
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(bytes(torch.ones(2).numpy()))] ^= 0x40  # torch itself would load it
    for data in (b"", whole[:200], b"\0" * len(whole), flipped):
        path.write_bytes(data)
        with pytest.raises(DataError, match="is damaged") as caught:
            checkpoint.load(tmp_path)
        assert "weights_only" not in caught.value.message
    values = {name: getattr(made, name) for name in Checkpoint.__slots__}
    others = [{"format": checkpoint.FORMAT, **values, name: None} for name in values]
    for other in (*others, {"format": checkpoint.FORMAT}, {"another": 1}, [1], 5):
        torch.save(other, path)
        with pytest.raises(DataError, match="not a checkpoint of this version"):
            checkpoint.load(tmp_path)
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match="Is a directory"):
        checkpoint.load(tmp_path)


def test_a_task_that_does_not_fit_is_one_sentence(frames: Path, tmp_path: Path) -> None:
    run = options(frames, tmp_path, steps=2)
    train(run, should_stop=stopping_after(1))
    left = checkpoint.load(tmp_path)
    assert left is not None
    for name in left.task:
        checkpoint.save(tmp_path, replace(left, task={**left.task, name: None}))
        with pytest.raises(OptionsError, match="does not fit"):
            train(run)
    checkpoint.save(tmp_path, replace(left, random={}))
    with pytest.raises(OptionsError, match="does not fit"):
        train(run)


STRANGE = [
    b"\xff\xfe", b"[1]", b'{"step": null}', b'{"step": 1e999}', b'{"step": 1, "losses": [1]}',
    b'{"step": 1, "losses": {"pixel": "x"}}', b"[" * 100_000, b"\0" * 100,
]  # fmt: skip


def test_lines_that_no_training_wrote_end_nothing_and_are_told(
    frames: Path, tmp_path: Path
) -> None:
    run = options(frames, tmp_path, steps=4)
    train(run, should_stop=stopping_after(1))
    ours = (tmp_path / "log.jsonl").read_bytes()
    (tmp_path / "log.jsonl").write_bytes(b"\n".join([*STRANGE, ours]))
    assert len(read(tmp_path)) == len(ours.splitlines())
    assert training_log.plot(tmp_path).exists()
    events: list[TrainingEvent] = []
    assert train(run, events.append).step == 4
    told = [event.message for event in events if isinstance(event, Warned)]
    assert [message for message in told if "log.jsonl" in message] == [
        f"{len(STRANGE)} lines of log.jsonl are damaged: left out"
    ]
    assert (tmp_path / "log.jsonl").read_bytes().startswith(ours)


def test_a_run_from_before_layers_could_have_one_slope_keeps_its_many(
    frames: Path, tmp_path: Path
) -> None:
    """Its checkpoint says nothing of slopes, its network has one for each channel."""
    module = ARCHS["compact"].module({"features": 8, "layers": 2})
    hparams = {"features": 8, "layers": 2}
    save(tmp_path / "many.safetensors", module, arch="compact", hparams=hparams, card={})
    init = str(tmp_path / "many.safetensors")
    run = options(frames, tmp_path / "run", init=init, net=(), steps=4)
    train(run, should_stop=stopping_after(2))
    left = checkpoint.load(run.out)
    assert left is not None
    assert left.hparams.pop("slopes") == "channel"
    checkpoint.save(run.out, left)
    report = train(replace(run, resume=True))
    assert report.finished
    assert read_file(report.last)[1]["body.1.weight"].numel() == 8


@pytest.mark.parametrize(
    "name", ["best.safetensors", "last.md", "log.jsonl", "loss.png", "sheets/0000000.png"]
)
def test_results_without_a_checkpoint_are_not_replaced(
    name: str, frames: Path, tmp_path: Path
) -> None:
    """Untrained weights took the place of the best ones, and the log was emptied."""
    left = tmp_path / "run" / name
    left.parent.mkdir(parents=True)
    left.write_text("of three days")
    with pytest.raises(OptionsError, match=name.partition("/")[0]) as caught:
        train(options(frames, tmp_path / "run"))
    assert "--out" in (caught.value.hint or "")
    assert left.read_text() == "of three days"
    assert [path for path in (tmp_path / "run").rglob("*") if path.is_file()] == [left]


def test_sheets_of_something_else_are_no_results(frames: Path, tmp_path: Path) -> None:
    """A project's own folder of that name had the training refused."""
    sheets = tmp_path / "run" / "sheets"
    sheets.mkdir(parents=True)
    (sheets / "walk.png").write_text("drawn by hand")
    assert earlier_run(options(frames, tmp_path / "run")) is None


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")]
)
def test_a_checkpoint_that_memory_is_too_small_for_is_not_damaged(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hint was to choose another folder, and to lose the run."""

    def full(*arguments: object, **options: object) -> None:
        del arguments, options
        raise error

    made = Checkpoint(3, 1.5, False, "{}", {"steps": 4}, {"features": 8}, {"a": torch.ones(2)})
    checkpoint.save(tmp_path, made)
    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(OutOfMemory, match="memory ran out while"):
        checkpoint.load(tmp_path)


def test_a_damaged_checkpoint_without_weights_is_told_without_them(tmp_path: Path) -> None:
    (tmp_path / checkpoint.NAME).write_bytes(b"PK\3\4")
    with pytest.raises(DataError, match="is damaged") as caught:
        checkpoint.load(tmp_path)
    assert "--init" not in (caught.value.hint or "")


def test_a_damaged_checkpoint_ends_nothing_else(frames: Path, tmp_path: Path) -> None:
    """Its hint was to remove it, and then to lose the best weights."""
    report = train(options(frames, tmp_path, steps=2))
    (tmp_path / checkpoint.NAME).write_bytes(b"PK\3\4")
    weights = report.best.read_bytes()
    with pytest.raises(DataError, match="is damaged") as caught:
        train(options(frames, tmp_path, steps=2))
    assert f"--init {report.best}" in (caught.value.hint or "")
    (tmp_path / checkpoint.NAME).unlink()
    with pytest.raises(OptionsError, match="results of another training"):
        train(options(frames, tmp_path, steps=2))
    assert report.best.read_bytes() == weights


def test_a_run_that_failed_before_its_first_step_may_be_given_other_settings(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the hint says where memory ran out."""

    def full(*arguments: object) -> object:
        del arguments
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(PixelTask, "step", full)
        with pytest.raises(OutOfMemory, match="batches of 2"):
            train(options(frames, tmp_path, steps=2))
    assert train(options(frames, tmp_path, steps=2, batch=1)).step == 2


@pytest.mark.parametrize(
    "name", ["log.jsonl", "loss.png", "sheets", "last.safetensors", "last.md", "checkpoint.pt"]
)
def test_a_full_disk_is_one_failure_of_a_training(
    name: str, frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the file it was exit code 1 with a traceback, 3, 4 or 6."""
    run = options(frames, tmp_path, steps=2)
    train(run, should_stop=stopping_after(1))
    before = {path.name for path in tmp_path.iterdir()}

    def full(path: Path, *rest: Any, **more: Any) -> Any:
        if name in (path.name, path.parent.name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return part_beside(path, *rest, **more)

    with monkeypatch.context() as patch:
        for module in (atomic, store):
            patch.setattr(module, "part_beside", full)
        with pytest.raises(DataError, match="No space left") as caught:
            train(run)
    assert caught.value.hint
    assert {path.name for path in tmp_path.iterdir()} == before
    assert train(run).step == 2
    assert (tmp_path / "loss.png").exists()


def test_a_log_that_stays_unwritten_fails_once(tmp_path: Path) -> None:
    """Closing it tried to write again, and that failure took the place of the first."""
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    log = TrainingLog(tmp_path, step=0, writes=False)
    log._path = tmp_path / "log.jsonl"  # pyright: ignore[reportPrivateUsage]
    log._file = log._path.open("a")  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(DataError, match="No space left") as caught, log:
        log.write({"step": 1})
    assert caught.value.hint


def test_a_log_is_json_where_a_number_is_none(tmp_path: Path) -> None:
    """It held Infinity, the PSNR of equal pictures, which readers of strict JSON stop at."""
    line = {"step": 50, "metrics": {"psnr": math.inf, "ssim": 1.0}, "losses": {"pixel": math.nan}}
    (tmp_path / "log.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")  # of before
    with TrainingLog(tmp_path, step=50) as log:
        log.write({**line, "step": 100})
        assert not log.strange
    wanted = {"metrics": {"psnr": None, "ssim": 1.0}, "losses": {"pixel": None}}
    assert read(tmp_path) == [{"step": step, **wanted} for step in (50, 100)]
    assert training_log.plot(tmp_path).exists()


def test_a_run_that_goes_on_with_a_vgg_has_a_best_by_it(tmp_path: Path) -> None:
    """The best until then had no perceptual distance: a KeyError."""
    training = Mock(recipe=named("real-esrgan", None))
    before = {"psnr": 25.0, "ssim": 0.7}
    log = TrainingLog(tmp_path, step=0, writes=False)
    folder = RunFolder(training, log, Mock(), best=before, initial_metrics=before)
    assert folder.is_better({"psnr": 24.0, "ssim": 0.7, "perceptual": 0.5})
    assert not folder.is_better({"psnr": 14.0, "ssim": 0.7, "perceptual": 0.5})


def test_best_weights_that_are_gone_are_made_again(frames: Path, tmp_path: Path) -> None:
    """They were named as the ones to use."""
    run = options(frames, tmp_path, steps=2)
    report = train(run)
    report.best.unlink()
    events: list[TrainingEvent] = []
    again = train(run, events.append)
    assert (again.step, again.finished) == (2, True)
    assert same_weights(again.best, again.last)
    assert any(isinstance(event, Warned) and "is gone" in event.message for event in events)
    before = again.best.stat().st_mtime_ns
    assert train(run).best.stat().st_mtime_ns == before

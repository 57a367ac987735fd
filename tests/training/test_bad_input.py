"""Everything that a person can get wrong is one sentence with a hint."""

from __future__ import annotations

import builtins
import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import vsr
from vsr.cli.train_console import TrainConsole
from vsr.errors import (
    DataError,
    MissingExtra,
    OptionsError,
    OutOfMemory,
    TrainingDiverged,
    VsrError,
    WeightsError,
)
from vsr.events import Warned
from vsr.training import setup
from vsr.training.events import TrainingEvent
from vsr.training.loop import train
from vsr.training.options import TrainOptions
from vsr.training.task import PixelTask
from vsr.weights import read_file


def options(frames: Path, out: Path, **changes: Any) -> TrainOptions:
    values: dict[str, Any] = {
        "steps": 3, "batch": 2, "patch": 12, "device": "cpu", "dtype": "fp32", "vgg": "none",
        "net": (("features", 8), ("layers", 1)), "workers": 0,
    }  # fmt: skip
    return TrainOptions((frames,), out, **{**values, **changes})


def write(path: Path, height: int, width: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    cv2.imwrite(str(path), pixels)


def test_nothing_usable(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="no usable frames") as caught:
        train(options(empty, tmp_path / "out"))
    assert caught.value.exit_code == 6
    assert "48 px" in (caught.value.hint or "")
    write(empty / "small.png", 20, 20)
    with pytest.raises(DataError, match=r"small\.png: 20x20 is smaller"):
        train(options(empty, tmp_path / "out"))
    with pytest.raises(DataError, match="no file or folder"):
        train(options(tmp_path / "nowhere", tmp_path / "out"))


def test_small_and_broken_pictures_are_named_and_the_others_used(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(5):
        write(folder / f"good{number}.png", 48, 60)  # just one crop fits
    write(folder / "small.png", 47, 200)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 not a picture")
    events: list[TrainingEvent] = []
    report = train(options(folder, tmp_path / "out"), events.append)
    assert report.pictures == 4
    assert sorted(item.split(":")[0] for item in report.left_out) == ["broken.jpg", "small.png"]
    told = [event.message for event in events if isinstance(event, Warned)]
    assert any("2 pictures are left out" in message for message in told)


def test_too_few_for_validation(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    write(folder / "only.png", 60, 60)
    events: list[TrainingEvent] = []
    report = train(options(folder, tmp_path / "out"), events.append)
    assert report.pictures == 1
    assert any(isinstance(event, Warned) and "too few" in event.message for event in events)
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match="no pictures to validate"):
        train(options(folder, tmp_path / "out2", val=tmp_path / "val"))


def test_low_and_high_that_do_not_fit_together(frames: Path, tmp_path: Path) -> None:
    for name, side in (("HR", 60), ("LR", 20)):
        (tmp_path / "val" / name).mkdir(parents=True)
        write(tmp_path / "val" / name / "a.png", side, side)
    with pytest.raises(DataError, match="4 times as large"):
        train(options(frames, tmp_path / "out", val=tmp_path / "val"))


def test_weights_of_another_architecture_or_size(frames: Path, tmp_path: Path) -> None:
    first = train(options(frames, tmp_path / "first"))
    with pytest.raises(WeightsError, match="is of architecture compact, but the recipe srcnn"):
        train(options(frames, tmp_path / "a", recipe="srcnn", net=(), init=str(first.last)))
    with pytest.raises(OptionsError, match="contradicts"):
        train(options(frames, tmp_path / "b", net=(("layers", 3),), init=str(first.last)))
    with pytest.raises(WeightsError, match="no weights 'nothing'"):
        train(options(frames, tmp_path / "c", init="nothing"))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError, match="readable"):
        train(options(frames, tmp_path / "d", init=str(broken)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": "srgn"}, "no recipe 'srgn'"),
        ({"arch": "vgg"}, "no network 'vgg' to train"),
        ({"recipe": "srresnet", "arch": "rrdb"}, "srresnet trains srresnet, not rrdb"),
        ({"pixel_first": 0.5}, "nothing that could come after"),
        ({"content": "unit"}, "psnr compares no features"),
        ({"content": "cosine"}, "there is no content 'cosine'"),
        ({"recipe": "real-esrgan", "arch": "tiny", "pixel_first": 2.0}, "from 0 to 1, got 2"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"minutes": 0.0}, "minutes must be above 0"),
        ({"lr": float("nan")}, "lr must be above 0"),
        ({"device": "gpu"}, "no device 'gpu'"),
        ({"degrade": "vhs"}, "no degrade 'vhs'"),
        ({"head": "none"}, "no head 'none'"),
        ({"loss_weights": (("pixel", -1.0),)}, "weight of pixel must not be negative, got -1"),
        ({"loss_weights": (("pixels", 1.0),)}, "there is no loss 'pixels'"),
        ({"loss_weights": (("tone", 1.0),)}, "psnr has no tone loss that could be weighed"),
        ({"loss_weights": (("pixel", 0.0),)}, "nothing is left to learn from"),
        ({"patch": 4}, "patch must be at least 8"),
    ],
)
def test_options_are_checked(
    changes: dict[str, Any], words: str, frames: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionsError, match=words):
        train(options(frames, tmp_path / "out", **changes))


def test_a_loss_that_is_never_finite_stops_the_run(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = PixelTask.prepared

    def poisoned(task: PixelTask, batch: Any) -> tuple[torch.Tensor, ...]:
        low, high, real = prepared(task, batch)
        return low * float("nan"), high, real

    monkeypatch.setattr(PixelTask, "prepared", poisoned)
    with pytest.raises(TrainingDiverged, match="not finite in 12 steps in a row"):
        train(options(frames, tmp_path / "out", steps=50))


def test_one_poisoned_step_is_skipped(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared, calls = PixelTask.prepared, iter(range(100))

    def poisoned(task: PixelTask, batch: Any) -> tuple[torch.Tensor, ...]:
        low, high, real = prepared(task, batch)
        return (low * float("nan") if next(calls) == 1 else low), high, real

    monkeypatch.setattr(PixelTask, "prepared", poisoned)
    report = train(options(frames, tmp_path / "out", steps=6))
    assert (report.finished, report.skipped_steps) == (True, 1)


def test_memory_that_runs_out_says_what_to_change(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> object:
        del arguments
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(PixelTask, "step", full)
    with pytest.raises(OutOfMemory, match="batches of 2 patches of 12 px") as caught:
        train(options(frames, tmp_path / "out"))
    assert "--batch" in (caught.value.hint or "")


def test_other_failures_of_torch_stay_what_they_are(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*arguments: object) -> object:
        del arguments
        raise RuntimeError("a bug")

    monkeypatch.setattr(setup, "gather", bug)
    with pytest.raises(RuntimeError, match="a bug"):
        train(options(frames, tmp_path / "out"))


def test_tensorboard_is_an_extra(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **others: Any) -> Any:
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError(name)
        return real(name, *arguments, **others)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match="tensorboard") as caught:
        train(options(frames, tmp_path / "out", tensorboard=tmp_path / "board"))
    assert caught.value.exit_code == 7
    assert isinstance(caught.value, VsrError)


@pytest.mark.parametrize("when", ["__init__", "add_scalar", "close"])
def test_a_tensorboard_that_cannot_write_is_one_error(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def of(name: str) -> Any:
        def method(*_: object, **__: object) -> None:
            if name == when:
                raise OSError(errno.ENOSPC, "No space left on device")

        return method

    names = ("__init__", "add_scalar", "add_image", "close")
    module = ModuleType("torch.utils.tensorboard")
    vars(module)["SummaryWriter"] = type("SummaryWriter", (), {name: of(name) for name in names})
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setattr(torch.utils, "tensorboard", module, raising=False)
    with pytest.raises(DataError, match=r"cannot write .*/board: No space left on device"):
        train(options(frames, tmp_path / "out", tensorboard=tmp_path / "board"))


@pytest.mark.extended
def test_pictures_are_trained_on_without_pyav(frames: Path, tmp_path: Path) -> None:
    script = f"""
import sys
sys.modules["av"] = None
from pathlib import Path
from vsr.training.loop import train
from vsr.training.options import TrainOptions
import vsr.cli.train
report = train(TrainOptions(
    (Path({str(frames)!r}),), Path({str(tmp_path / "out")!r}), steps=2, batch=2, patch=12,
    device="cpu", net=(("features", 8), ("layers", 1)), vgg="none",
))
assert report.finished
"""
    env = {**os.environ, "PYTHONPATH": str(Path(vsr.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120, env=env)


def test_a_file_of_no_known_kind_is_refused_and_one_of_an_old_kind_is_read(
    frames: Path, tmp_path: Path
) -> None:
    """No file that was named is left out without a word."""
    odd = tmp_path / "notes.txt"
    odd.write_text("none")
    with pytest.raises(DataError, match="neither a picture nor a video"):
        train(TrainOptions((frames, odd), out=tmp_path / "out", steps=1))
    broken = tmp_path / "clip.m2v"
    broken.write_bytes(b"no video")
    with pytest.raises(VsrError, match=r"clip\.m2v"):
        train(TrainOptions((frames, broken), out=tmp_path / "out", steps=1))


def test_strange_names_and_equal_pictures_are_written_as_readers_want_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bytes of a name that are no Unicode were a traceback, an infinite PSNR no JSON."""
    plain, folder = tmp_path / "frames", tmp_path / "fr\udcffames"
    plain.mkdir()
    for name in "abcde":
        cv2.imwrite(str(plain / f"{name}.png"), np.zeros((64, 64, 3), np.uint8))
    plain.rename(folder)  # OpenCV crashes at such a name
    report = train(options(folder, tmp_path / "out", recipe="tiny"))
    metadata, _ = read_file(report.best)
    assert metadata["data"].startswith("4 pictures of fr?ames")
    TrainConsole().finish(report, as_json=True)
    for text in (metadata["metrics"], capsys.readouterr().out):
        assert json.loads(text, parse_constant=pytest.fail)

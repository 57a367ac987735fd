"""What a training says and leaves at its end: commands, modes of files, the plot's last point."""

from __future__ import annotations

import io
import os
import shlex
import warnings
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vsr.cli.train_console import TrainConsole
from vsr.degrade.resize import Shrink
from vsr.errors import OptionsError
from vsr.training import training_log
from vsr.training.events import TrainReport
from vsr.training.loop import train
from vsr.training.options import TrainOptions


def options(frames: Path, out: Path, **changes: Any) -> TrainOptions:
    values: dict[str, Any] = {
        "steps": 2, "batch": 1, "patch": 12, "device": "cpu", "dtype": "fp32", "vgg": "none",
        "validate_every": 10, "workers": 0, "arch": "compact",
    }  # fmt: skip
    return TrainOptions((frames,), out, **{**values, **changes})


def test_another_network_cannot_be_gone_on_with(frames: Path, tmp_path: Path) -> None:
    """tiny is compact's class with other numbers: compact was trained on, and called tiny."""
    out = tmp_path / "run"
    train(options(frames, out, arch="tiny"))
    with pytest.raises(OptionsError, match="does not fit") as caught:
        train(options(frames, out, arch="compact", resume=True, steps=3))
    assert "features=64" in caught.value.message
    assert train(options(frames, out, arch="tiny", resume=True, steps=3)).step == 3


def test_weights_and_cards_have_the_usual_mode(frames: Path, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        report = train(options(frames, tmp_path / "run", arch="tiny"))
    finally:
        os.umask(before)
    for path in (report.best, report.last, report.best.with_suffix(".md")):
        assert path.stat().st_mode & 0o777 == 0o644, path


def test_a_card_that_is_a_link_is_replaced(frames: Path, tmp_path: Path) -> None:
    """What the link led to had been written over."""
    net = {"net": (("features", 8), ("layers", 1))}
    report = train(options(frames, tmp_path / "run", **net))
    victim, card = tmp_path / "letter.md", report.last.with_suffix(".md")
    victim.write_text("dear")
    card.unlink()
    card.symlink_to(victim)
    left = report.out / ".checkpoint.pt.0123abcd.part"
    left.touch()  # by a training that was killed
    train(options(frames, report.out, **net, resume=True, steps=3))
    assert victim.read_text() == "dear"
    assert not card.is_symlink()
    assert not left.exists()


def last_words(**changed: Any) -> str:
    facts: dict[str, Any] = {
        "out": Path("a run"), "best": Path("a run/best.safetensors"), "last": Path("l"),
        "recipe": "compact", "step": 5, "seconds": 60.0, "finished": True, "metrics": {},
        "start": {}, "pictures": 1, "steps_per_second": 1.0, "waiting": 0.0, **changed,
    }  # fmt: skip
    stream = io.StringIO()
    with redirect_stderr(stream), TrainConsole() as console:
        console.finish(TrainReport(**facts), as_json=False)
    return stream.getvalue()


def test_the_command_at_the_end_is_one_that_a_shell_takes() -> None:
    line = last_words().splitlines()[-1].removeprefix("use it: ")
    words = shlex.split(line)
    assert words == ["vsr", "upscale", "VIDEO", "TARGET", "--model", "a run/best.safetensors"]


def test_no_step_is_not_called_finished() -> None:
    assert last_words().startswith("finished: 5 steps")
    assert last_words(step=0).startswith("nothing learnt yet: 0 steps")
    assert last_words(step=0, finished=False).startswith("stopped before the first step: 0 steps")


def test_the_plot_s_last_point_is_no_mean_of_a_few_steps(tmp_path: Path) -> None:
    steady = [(50, 1.0), (100, 1.0)]
    assert training_log._smooth([*steady, (102, 5.0)]) == [(50, 1.0), (102, pytest.approx(60 / 52))]  # pyright: ignore[reportPrivateUsage]
    assert training_log._smooth([*steady, (140, 5.0)])[-1] == (140, 5.0)  # pyright: ignore[reportPrivateUsage]
    with training_log.TrainingLog(tmp_path, step=0) as log:
        for step, loss in ((50, 0.1), (100, 0.01)):
            log.write({"step": step, "losses": {"pixel": loss}})
    assert training_log.plot(tmp_path).exists()


def test_pictures_that_may_not_be_written_to_are_shrunk_without_a_warning() -> None:
    frames = np.zeros((1, 16, 16, 3), np.uint8)
    frames.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = Shrink()(frames, np.random.default_rng(0))
    assert made.shape == (1, 4, 4, 3)


@pytest.mark.parametrize("name", ["Set5", "set14/HR", "BSD100"])
def test_nothing_is_learnt_or_chosen_on_a_test_set(tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionsError, match="is a test set"):
        TrainOptions((tmp_path / "frames",), tmp_path / "out", val=tmp_path / name)
    with pytest.raises(OptionsError, match="is a test set"):
        TrainOptions((tmp_path / name,), tmp_path / "out")

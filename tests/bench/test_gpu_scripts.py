"""The scripts for a GPU run from end to end on a CPU, and notice what they are there to notice."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu_check
from benchmarks.gpu_check import YUV, Check, footage, near
from benchmarks.steps import Skipped, Steps
from tests import fork_server
from vsr.geometry import Size
from vsr.infer.engine import Engine

pytestmark = pytest.mark.extended
ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize(("script", "least"), [("gpu_check", 14), ("gpu_speed", 10)])
def test_a_script_runs_on_a_cpu(script: str, least: int) -> None:
    made = fork_server.run(
        [sys.executable, "-m", f"benchmarks.{script}", "--device", "cpu", "--small"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert made.returncode == 0, made.stdout + made.stderr
    lines = made.stdout.split("\n")
    assert len([line for line in lines if line.startswith("ok ")]) >= least
    assert "failed: none" in made.stdout


def test_the_tests_that_it_names_are_there() -> None:
    assert all((ROOT / name).is_file() for name in gpu_check.TESTS)


def test_no_failure_hides_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    def wrong() -> str:
        raise AssertionError("it is off by 3")

    def broken() -> str:
        raise KeyError("what")

    def absent() -> str:
        raise Skipped("no card here")

    steps = Steps(60)
    for step in (wrong, broken, absent, lambda: "fine"):
        steps.run("step", step)
    assert steps.end() == 1
    said = capsys.readouterr().out
    assert "FAIL step: AssertionError: it is off by 3" in said
    assert "FAIL step: KeyError" in said
    assert "test_gpu_scripts.py" in said  # where a step broke, unlike where it found something
    assert "skip step: no card here" in said
    assert "ok   step: fine" in said
    late = Steps(-1)
    late.run("late", wrong)
    assert late.end() == 0


def test_planes_that_differ_are_noticed() -> None:
    clip = footage(YUV, Size(32, 16), 1)
    other = tuple(plane.clone() for plane in clip)
    assert near(clip, other, 0) == "equal"
    other[1][0, 3, 3] += 2
    with pytest.raises(AssertionError, match="1 of 768 samples differ, by 2"):
        near(clip, other, 1)


@pytest.mark.parametrize("what", ["parity", "planes", "tiles", "reuse"])
def test_a_device_that_computes_otherwise_fails(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check = Check("cpu", small=True)
    real = Check.engine
    made: list[int] = []

    def worse(self: Check, *given: Any, **options: Any) -> Engine:
        """Every second engine has weights that are a little off."""
        engine = real(self, *given, **options)
        made.append(1)
        if what in ("parity", "planes") or len(made) % 2:
            with torch.no_grad():
                for weight in engine._placed.network.module.parameters():  # pyright: ignore[reportPrivateUsage]
                    weight.mul_(1.3)
        return engine

    monkeypatch.setattr(Check, "engine", worse)
    asked = {
        "parity": ("tiny", "fp32"),
        "planes": ("tiny", "8-bit 4:2:0"),
        "tiles": ("tiny", 64),
        "reuse": ("tiny",),
    }[what]
    with pytest.raises(AssertionError):
        getattr(check, what)(*asked)


def test_what_is_not_repeatable_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = iter(["one", "other"])
    monkeypatch.setattr(gpu_check, "overlapping", lambda *_: next(hashes))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    with pytest.raises(AssertionError, match="two engines"):
        Check("cpu", small=True).again("tiny")

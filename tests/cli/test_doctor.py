"""``vsr doctor``: it says what works, and finds what was broken on purpose."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from vsr import doctor
from vsr.media.write.codecs import CODECS
from vsr.weights import store

ROOT = Path(__file__).parents[2]


def test_a_sound_installation_is_sound() -> None:
    checks = {check.name: check for check in doctor.examine()}
    wrong = [check for check in checks.values() if check.state == "wrong"]
    assert not wrong
    assert {f"codec {name}" for name in CODECS} <= checks.keys()
    assert {"versions", "device cpu", "colour", "model compact", "end to end"} <= checks.keys()
    assert "24 frames" in checks["end to end"].said
    assert "verified" in checks["end to end"].said
    for name in ("h264", "hevc", "av1", "prores", "ffv1"):
        assert "4 of 4 frames" in checks[f"codec {name}"].said
    if hasattr(os, "sched_getscheduler"):  # no codec made this process a real-time one
        assert os.sched_getscheduler(0) not in (os.SCHED_FIFO, os.SCHED_RR)


def altered_copy(folder: Path) -> Path:
    """A copy of the package with one bit of its weights flipped."""
    for name in ("vsr", "weights"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "weights" / "tiny.safetensors"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    return folder


def test_altered_weights_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = altered_copy(tmp_path) / "weights"
    monkeypatch.setattr(store, "folder", lambda: folder)
    wrong = [check for check in doctor.examine() if check.state == "wrong"]
    assert [check.name for check in wrong] == ["model tiny"]
    assert "not the file that was shipped" in wrong[0].said
    assert wrong[0].hint


def test_colours_that_shift_and_codecs_that_fail_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(rgb: torch.Tensor, spec: doctor.ColorSpec) -> tuple[torch.Tensor, ...]:
        first, *others = exact(rgb, spec)
        return ((first.int() // 2).to(first.dtype), *others)

    exact = doctor.from_rgb
    monkeypatch.setattr(doctor, "from_rgb", shifted)
    monkeypatch.setitem(CODECS, "h264", CODECS["h264_nvenc"])
    found = {check.name: check for check in doctor.examine()}
    assert found["colour"].state == "wrong"
    assert found["codec h264"].state in ("wrong", "ok")  # ok where the machine has NVENC
    assert found["codec h264_nvenc"].state in ("note", "ok")

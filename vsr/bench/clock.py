"""Time things side by side: in turns, several times, and the median counts."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

import torch

from vsr.errors import DeviceError


def medians(
    actions: Mapping[str, Callable[[], object]], repeats: int, device: torch.device | None = None
) -> dict[str, float]:
    """Seconds of each action: the median of ``repeats`` rounds in which each has its turn.

    A warm-up round comes first. Turns, because a machine's speed drifts: what is compared is then
    slowed alike.
    """
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(repeats + 1):
        for name, action in actions.items():
            _settle(device)
            begun = time.perf_counter()
            action()
            _settle(device)
            if turn:
                seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(times) for name, times in seconds.items()}


def command(arguments: list[str]) -> tuple[float, int]:
    """Seconds that a `vsr` command takes in a process of its own, and its peak memory in bytes."""
    begun = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "vsr", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert child.stderr is not None
    said = child.stderr.read().decode(errors="replace")
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise DeviceError(f"vsr {' '.join(arguments)} failed: {said.strip()[-300:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - begun, used.ru_maxrss * unit


def _settle(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)

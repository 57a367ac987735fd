"""Which devices of this machine work together, and what of a device counts for the result."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch

from vsr.errors import DeviceError
from vsr.infer.device import Placement, pick
from vsr.media.threads import cores


@dataclass(frozen=True, slots=True)
class Seat:
    """A place for one worker: its device, a name that no other has, its share of CPU threads."""

    device: str
    name: str
    threads: int


def seats(asked: str) -> tuple[Seat, ...]:
    """The places that ``--devices`` names. :class:`DeviceError` for one that is not there."""
    devices = _named(asked)
    for device in dict.fromkeys(devices):
        pick(device)
    share = max(1, cores() // len(devices))
    if devices[0] == "cpu":
        return tuple(Seat("cpu", f"cpu:{place}", share) for place in range(len(devices)))
    seen: Counter[str] = Counter()
    found: list[Seat] = []
    for device in devices:
        seen[device] += 1
        twin = f"#{seen[device]}" if seen[device] > 1 else ""
        found.append(Seat(device, device + twin, share))
    return tuple(found)


def _named(asked: str) -> list[str]:
    if asked == "all":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            raise DeviceError(
                "--devices all means every CUDA GPU, and torch sees none here",
                hint=f"--devices cpu:{min(2, cores())} starts processes on the CPU",
            )
        return [f"cuda:{place}" for place in range(count)]
    if asked.startswith("cpu:"):
        return ["cpu"] * int(asked.removeprefix("cpu:"))
    return asked.split(",")


def kind_of(placement: Placement) -> str:
    """What of a placement counts for the bytes of the result: which of several GPUs does not."""
    return f"{placement.device.type} {placement.dtype_name}"

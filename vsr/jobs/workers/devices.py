"""The devices that ``--devices`` names, one for each worker."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch

from vsr.errors import DeviceError
from vsr.infer.device import Placement, pick
from vsr.system import processors


@dataclass(frozen=True, slots=True)
class WorkerDevice:
    """What one worker runs on."""

    device: str
    """The device as torch names it, such as ``cpu`` or ``cuda:0``."""
    name: str
    """A name that no other worker of the machine has, such as ``cpu:1`` or ``cuda:0#2``."""
    threads: int
    """How many CPU threads it has."""


def worker_devices(asked: str) -> tuple[WorkerDevice, ...]:
    """The devices that ``--devices`` names. Raises :class:`DeviceError` for one that is absent."""
    devices = _named(asked)
    for device in dict.fromkeys(devices):
        pick(device)
    share = max(1, processors() // len(devices))
    if devices[0] == "cpu":
        return tuple(WorkerDevice("cpu", f"cpu:{place}", share) for place in range(len(devices)))
    seen: Counter[str] = Counter()
    found: list[WorkerDevice] = []
    for device in devices:
        seen[device] += 1
        twin = f"#{seen[device]}" if seen[device] > 1 else ""
        found.append(WorkerDevice(device, device + twin, share))
    return tuple(found)


def _named(asked: str) -> list[str]:
    if asked == "all":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            raise DeviceError(
                "--devices all means every CUDA GPU, and torch sees none here",
                hint=f"--devices cpu:{min(2, processors())} starts processes on the CPU",
            )
        return [f"cuda:{place}" for place in range(count)]
    if asked.startswith("cpu:"):
        return ["cpu"] * int(asked.removeprefix("cpu:"))
    return asked.split(",")


def kind_of(placement: Placement) -> str:
    """What of a placement counts for the target's bytes: device, precision, and of a GPU its model
    and the libraries that choose kernels for it. Which of several GPUs it is does not.
    """
    device = placement.device
    kind = f"{device.type} {placement.dtype_name}"
    if device.type != "cuda":
        return kind
    major, minor = torch.cuda.get_device_capability(device)
    libraries = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    return f"{kind} on {torch.cuda.get_device_name(device)} (sm_{major}{minor}), {libraries}"


def sums_depend_on_tiles(kind: str) -> bool:
    """Whether a pixel made in another tile or batch may differ by a code value, on such a kind.

    Libraries for GPUs choose kernels by shape, and each adds up in an order of its own.
    """
    return not kind.startswith("cpu")

"""Whether names of devices and clusters can be, alone and together. It looks for none of them."""

from __future__ import annotations

import re

from vsr.errors import OptionsError


def check_devices(device: str, devices: str | None, cluster: str | None) -> None:
    """Raise :class:`OptionsError` for what no machine has, and for too many at once."""
    if devices is not None and not re.fullmatch(
        r"all|cpu:[1-9]\d{0,2}|cuda:\d+(,cuda:\d+)*", devices
    ):
        raise OptionsError(
            f"there are no devices {devices!r}",
            hint="all, GPUs such as cuda:0,cuda:1, or processes on the CPU such as cpu:2",
        )
    if cluster is not None and not re.fullmatch(r"auto|[\w.-]+:\d+", cluster):
        raise OptionsError(
            f"{cluster!r} is no address of a cluster",
            hint="auto, or the head's HOST:PORT as `ray start` says it, from one of its nodes",
        )
    if devices is not None and device != "auto":
        raise OptionsError("--device and --devices were both given", hint="keep one of them")
    if devices is not None and cluster is not None:
        raise OptionsError("--devices and --cluster were both given", hint="keep one of them")
    if cluster is not None and device not in ("auto", "cpu", "cuda"):
        raise OptionsError(
            f"a cluster's workers have no device {device!r}", hint="auto, cpu or cuda: any of them"
        )

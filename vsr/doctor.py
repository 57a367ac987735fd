"""Examine an installation: does everything that an upscale needs really work here? Changes nothing.

Each check is a fact, and says what to do where it is not as it should be.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import torch

from vsr import api, weights
from vsr.color import ColorSpec, from_rgb, to_rgb
from vsr.errors import DeviceError, VsrError
from vsr.geometry import Size
from vsr.infer import device
from vsr.media.write import codec_check
from vsr.media.write.codecs import CODECS
from vsr.options import UpscaleOptions
from vsr.version import __version__

State = Literal["ok", "note", "wrong"]
MIN_DISK = 1 << 30
MIN_MEMORY = 2 << 30
_MATRICES = (1, 5, 9)  # BT.709, BT.601, BT.2020
_SHIFTS = ((1, 1), (1, 0), (0, 0))


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    """What was looked at, such as "device cpu" or "codec h264"."""
    state: State
    """``wrong`` where something essential fails, ``note`` where it can be lived with."""
    said: str
    """What was found, for people: versions, amounts, or the error that it met."""
    hint: str = ""
    """What to do about it; empty where there is nothing to do."""


def examine() -> Iterator[Check]:
    """Every check, one after another, as each is done: about ten seconds in all."""
    yield _versions()
    yield from _devices()
    for name in CODECS:
        yield _codec(name)
    yield _colour()
    for name in weights.index():
        yield _tried(f"model {name}", lambda name=name: _model(name), "install vsr again")
    yield _tried("end to end", _whole_run, "please report it, with everything above")
    yield from _room()


def _tried(name: str, action: Callable[[], str], hint: str) -> Check:
    """What ``action`` says, or the error that it met."""
    try:
        return Check(name, "ok", action())
    except VsrError as error:
        return Check(name, "wrong", error.message, error.hint or hint)


def _versions() -> Check:
    known = {"vsr": __version__, "python": platform.python_version(), "torch": torch.__version__}
    known |= codec_check.versions()
    for package in ("numpy", "opencv-python-headless", "safetensors"):
        try:
            known[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # OpenCV has four packages of one module
            known[package] = "of another name"
    said = ", ".join(f"{name} {version}" for name, version in known.items())
    return Check("versions", "ok", f"{said}; {platform.platform()}")


def _devices() -> Iterator[Check]:
    threads = torch.get_num_threads()
    bfloat = ", multiplies bf16 natively" if device.has_fast_bfloat16() else ""
    yield Check("device cpu", "ok", f"{os.cpu_count()} cores, {threads} threads{bfloat}")
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        said = f"{torch.cuda.get_device_name(number)}, {free >> 20} of {total >> 20} MB free"
        yield _tried(f"device cuda:{number}", lambda n=number, s=said: f"{s}; {_sum_on(n)}", "")
    if not torch.cuda.is_available():
        yield Check("device cuda", "note", _why_no_gpu(), "networks run on the CPU: slower")


def _sum_on(number: int) -> str:
    """A convolution on a GPU: drivers and kernels of the right generation, or an error."""
    try:
        ones = torch.ones(1, 3, 16, 16, device=f"cuda:{number}", dtype=torch.float16)
        total = torch.nn.functional.conv2d(ones, ones[:, :, :3, :3]).sum().item()
    except RuntimeError as error:
        raise DeviceError(
            f"cuda:{number} does not compute: {str(error).splitlines()[0]}",
            hint="install a torch built for this GPU and driver; until then: --device cpu",
        ) from error
    return "it computes" if total == 27 * 14 * 14 else f"it computes wrongly: {total}"


def _why_no_gpu() -> str:
    if torch.version.cuda is None:
        return "none used: this torch was built without CUDA"
    return f"none found: torch was built for CUDA {torch.version.cuda}, but no GPU answers"


def _codec(name: str) -> Check:
    codec = CODECS[name]
    try:
        back = codec_check.try_codec(codec)
    except VsrError as error:
        if name.endswith("_nvenc"):
            return Check(f"codec {name}", "note", "no such encoder in this machine's GPU", "")
        return Check(f"codec {name}", "wrong", error.message, "install the av package from PyPI")
    whole = back == codec_check.FRAMES
    said = f"{codec.encoder}: {back} of {codec_check.FRAMES} frames encoded and decoded"
    return Check(f"codec {name}", "ok" if whole else "wrong", said)


def _colour() -> Check:
    """Planes of every code value to RGB and back: within one code value, or colours would shift."""
    generator = torch.Generator().manual_seed(1)
    worst, count = 0, 0
    for matrix, full, depth, shift in product(_MATRICES, (1, 2), (8, 10), _SHIFTS):
        spec = ColorSpec("yuv", depth, shift, matrix=matrix, range=full)
        planes = tuple(
            torch.randint(0, 1 << depth, (1, side.height, side.width), generator=generator).to(
                spec.dtype
            )
            for side in spec.plane_sizes(Size(64, 48))
        )
        back = from_rgb(to_rgb(planes, spec), spec)
        pairs = zip(planes, back, strict=True)
        worst = max(worst, *(int((a.int() - b.int()).abs().max()) for a, b in pairs))
        count += 1
    said = f"{count} layouts to RGB and back: off by at most {worst} code value"
    hint = "" if worst <= 1 else "torch computes wrongly here: try another version of it"
    return Check("colour", "ok" if worst <= 1 else "wrong", said, hint)


def _model(name: str) -> str:
    upscaler = weights.load(name)
    return f"as shipped: {upscaler.parameters} parameters, {upscaler.scale} times"


def _whole_run() -> str:
    with tempfile.TemporaryDirectory(prefix="vsr-doctor-") as folder:
        source, target = Path(folder) / "in.mp4", Path(folder) / "out.mp4"
        frames = codec_check.write_clip(source, seconds=2)
        report = api.upscale(source, target, UpscaleOptions(preset="ultrafast"))
        if report.frames != frames:
            raise VsrError(f"{report.frames} frames came out of {frames}")
        return (
            f"2 seconds, {frames} frames with sound, {report.size} to {report.target_size} by "
            f"{report.model} on {report.device} in {report.seconds:.1f} s: verified"
        )


def _room() -> Iterator[Check]:
    for name, place in (("disk here", Path.cwd()), ("disk for temporary files", _temporary())):
        free = shutil.disk_usage(place).free
        hint = "" if free >= MIN_DISK else "make room: segments and the target need it"
        yield Check(name, "ok" if not hint else "note", f"{free >> 20} MB free in {place}", hint)
    free = device.free_host()
    hint = "" if free >= MIN_MEMORY else "close what is large, or give --vram"
    yield Check("memory", "ok" if not hint else "note", f"{free >> 20} MB free", hint)


def _temporary() -> Path:
    return Path(tempfile.gettempdir())

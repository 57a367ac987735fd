"""Choose where and in which type the network runs, and how much memory it may take."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from vsr.errors import DeviceError
from vsr.models.arch import Upscaler
from vsr.models.crop_schedule import GPU_STEP, STEP
from vsr.options import EngineOptions

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
CPU = torch.device("cpu")
CPU_BUDGET = 3 << 28
CPU_BATCH_PIXELS = 1 << 17  # more at once falls out of a CPU's caches
EXHAUSTED = (
    "out of memory",
    "can't allocate memory",
    "bad_alloc",
    "could not create a",  # oneDNN's, which hides the reason ("could not create a primitive")
    "unable to find an engine",  # torch's, once no plan of cuDNN's found room for its workspace
    "status_alloc_failed",  # cuDNN's and cuBLAS's own
)
"""What an exception says, in small letters, where an allocation failed."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and in which type the network runs."""

    device: torch.device
    """The device that holds the weights."""
    dtype: torch.dtype
    """The type that the network computes in."""
    channels_last: bool
    """Whether weights and windows have channels last in memory, which convolutions prefer."""

    @property
    def dtype_name(self) -> str:
        """Fp16, bf16 or fp32."""
        return next(name for name, dtype in DTYPES.items() if dtype == self.dtype)

    def __str__(self) -> str:
        return f"{self.device} {self.dtype_name}"


def resolve(options: EngineOptions, upscaler: Upscaler) -> Placement:
    """The placement asked for, or the best there is. Raises :class:`DeviceError`."""
    device = pick(options.device)
    if options.dtype == "auto":
        wanted = [kind for kind in _preferred(device) if computes(device, kind)]
        dtype = next((kind for kind in wanted if kind in upscaler.dtypes), torch.float32)
    else:
        dtype = DTYPES[options.dtype]
        if dtype not in upscaler.dtypes:
            dtype = torch.float32  # an interpolation computes in float32 whatever is asked
        if not computes(device, dtype):
            raise DeviceError(
                f"{device} has no convolutions in {options.dtype}",
                hint="--dtype fp16, or auto: bf16 takes an Ampere GPU (2020) or a later one",
            )
    channels_last = upscaler.channels_last and device.type != "mps"
    return Placement(device, dtype, channels_last=channels_last)


def wider(dtype: torch.dtype, upscaler: Upscaler, device: torch.device = CPU) -> torch.dtype | None:
    """The next type with more range or precision that network and device may take."""
    order = (torch.float16, torch.bfloat16, torch.float32)
    for kind in order[order.index(dtype) + 1 :]:
        if kind in upscaler.dtypes and computes(device, kind):
            return kind
    return None


def computes(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a device has convolutions in a type.

    ``torch.cuda.is_bf16_supported()`` counts emulated sums too, and cuDNN has no bf16 convolution
    for a GPU before compute capability 8.0.
    """
    if device.type != "cuda" or dtype != torch.bfloat16:
        return True
    return torch.cuda.get_device_capability(device) >= (8, 0)


def arithmetic(device: torch.device) -> AbstractContextManager[object]:
    """What sums are made with: float32 that is float32, and repeatable convolutions.

    With ``benchmark`` cuDNN takes for each shape what a stopwatch says, another algorithm in
    another process; without ``deterministic`` there are some whose sums depend on timing.
    """
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )


def side_step(device: torch.device) -> int:
    """In which steps the sides of windows come: see :data:`vsr.models.crop_schedule.STEP`."""
    return GPU_STEP if device.type == "cuda" else STEP


def budget(
    device: torch.device, asked: int | None, *, generous: bool = False, share: int = 1
) -> int:
    """Bytes that the engine may take: what was asked, or a part of what is free.

    Of a GPU, which ``share`` engines divide, that is most; of a host a quarter, at least 200 MB and
    at most :data:`CPU_BUDGET`, or most of it where ``generous``.
    """
    if asked is not None:
        return asked
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free * 0.85) // share
    if generous:
        return max(CPU_BUDGET // 4, int(free_host() * 0.85))
    return min(CPU_BUDGET, max(CPU_BUDGET // 4, free_host() // 4))


def useful_batch(device: torch.device, pixels: int) -> int:
    """How many windows of so many pixels are worth running at once, were there memory for all."""
    return CPU_BATCH_PIXELS // pixels if device.type == "cpu" else 1 << 30


def has_fast_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 natively (AVX512-BF16, AMX)."""
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of torch says that an allocation failed, on any device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in EXHAUSTED)


def release(device: torch.device) -> None:
    """Give cached memory back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def pick(name: str) -> torch.device:
    """The device of a name; ``auto`` is a GPU where there is one. Raises :class:`DeviceError`."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise DeviceError(
                f"--device {name} was asked for, but torch sees no CUDA GPU here",
                hint="use --device cpu, or install a CUDA build of torch and a driver",
            )
        if (device.index or 0) >= count:
            raise DeviceError(f"there is no {name}: this machine has {count}, counted from cuda:0")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError(
            "--device mps was asked for, but this is no Apple GPU", hint="--device cpu"
        )
    return device


def _preferred(device: torch.device) -> tuple[torch.dtype, ...]:
    if device.type == "cpu":
        half = (torch.bfloat16,) if has_fast_bfloat16() else ()
        return (*half, torch.float32)
    return (torch.float16, torch.bfloat16, torch.float32)


def free_host() -> int:
    """Bytes of memory that nothing uses, or a guess where the system does not say."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return CPU_BUDGET

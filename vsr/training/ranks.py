"""Several processes of one training, started by ``torchrun``; alone, everything here is a no-op."""

from __future__ import annotations

import datetime
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn

from vsr.errors import DeviceError

PATIENCE = datetime.timedelta(minutes=30)
"""How long the others wait while rank 0 validates."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those of one training."""

    rank: int = 0
    """Its number among all; 0 speaks and saves."""
    count: int = 1
    """How many there are on all machines."""
    local: int = 0
    """Its number among those of its machine."""

    @property
    def is_main(self) -> bool:
        """Whether this is the process that speaks and saves."""
        return self.rank == 0

    def device(self, name: str) -> str:
        """The device of this process: with CUDA, one GPU for each process of a machine."""
        if self.count == 1 or name == "cpu" or not torch.cuda.is_available():
            return name
        if self.local >= torch.cuda.device_count():
            raise DeviceError(
                f"process {self.local} has no GPU: this machine has {torch.cuda.device_count()}",
                hint="start as many processes as there are GPUs",
            )
        return f"cuda:{self.local}"

    def synchronized(self, module: nn.Module) -> nn.Module:
        """The module with rank 0's weights, and on GPUs with norms that see all processes."""
        if self.count == 1:
            return module
        if next(module.parameters()).device.type == "cuda":
            norm: Any = nn.SyncBatchNorm  # its methods are untyped
            module = norm.convert_sync_batchnorm(module)
        with torch.no_grad():
            for value in module.parameters():
                distributed.broadcast(value, 0)
        return module

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Have every process the mean of all gradients, by one message."""
        gradients = [value.grad for value in parameters if value.grad is not None]
        if self.count == 1 or not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        sizes = [gradient.numel() for gradient in gradients]
        parts = torch.split(flat / self.count, sizes)
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def mean(self, values: Tensor) -> Tensor:
        """The mean of a small tensor over all processes."""
        if self.count > 1:
            values = values.clone()
            distributed.all_reduce(values)
            values /= self.count
        return values

    def broadcast(self, value: float) -> float:
        """Rank 0's number, in every process: clocks differ, decisions must not."""
        if self.count == 1:
            return value
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        shared = torch.tensor([value], dtype=torch.float64, device=device)
        distributed.broadcast(shared, 0)
        return float(shared)

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def process_group(device: str) -> Generator[Ranks]:
    """The processes that ``torchrun`` started, connected; or this one alone."""
    if "WORLD_SIZE" not in os.environ or "RANK" not in os.environ:
        yield Ranks()
        return
    ranks = Ranks(
        int(os.environ["RANK"]),
        int(os.environ["WORLD_SIZE"]),
        int(os.environ.get("LOCAL_RANK", "0")),
    )
    if ranks.count == 1:
        yield ranks
        return
    on_gpu = device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(ranks.device(device))
    distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
    try:
        yield ranks
    finally:
        distributed.destroy_process_group()


def numbers(values: list[Tensor]) -> list[float]:
    """Scalars as Python's own, with one wait for the device."""
    return cast(list[float], torch.stack(values).tolist())

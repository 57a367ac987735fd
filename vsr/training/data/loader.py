"""Batches made ahead of time, in order, on threads; and how long the trainer waited for them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from vsr.training.data.patches import PatchSource, TrainingBatch
from vsr.training.data.sequences import SequenceSource


class Loader:
    """Endless batches from step ``start`` on. Use it in a ``with``: the threads end with it.

    Threads and not processes: they share the decoded pictures, and OpenCV, torch and FFmpeg let go
    of the interpreter while they work. ``workers`` of 0 makes batches when they are asked for.
    """

    def __init__(
        self,
        source: PatchSource | SequenceSource,
        *,
        start: int = 0,
        workers: int = 1,
        pin: bool = False,
    ) -> None:
        self.waited_seconds = 0.0
        self._source, self._start, self._pin = source, start, pin
        # One thread for OpenMP each: torch keeps this number by thread, and the cores are taken.
        self._pool = (
            ThreadPoolExecutor(workers, "vsr-data", torch.set_num_threads, (1,))
            if workers
            else None
        )
        self._depth = 2 * workers

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *reason: object) -> None:
        del reason
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def __iter__(self) -> Iterator[TrainingBatch]:
        group, skip = divmod(self._start, self._source.sampling.reuse)
        ahead: deque[Future[list[TrainingBatch]]] = deque()
        while True:
            begun = time.perf_counter()
            if self._pool is None:
                batches = self._make(group)
            else:
                while len(ahead) < self._depth:
                    ahead.append(self._pool.submit(self._make, group + len(ahead)))
                batches = ahead.popleft().result()
            self.waited_seconds += time.perf_counter() - begun
            yield from batches[skip:]
            group, skip = group + 1, 0

    def _make(self, group: int) -> list[TrainingBatch]:
        batches = self._source.group(group)
        if self._pin:
            return [
                TrainingBatch(*map(_pinned, batch))  # pyright: ignore[reportArgumentType]  # low and high are never None
                for batch in batches
            ]
        return batches


def _pinned(part: Tensor | None) -> Tensor | None:
    """Where copies to a GPU need not be waited for; what lies on one stays there."""
    return part.pin_memory() if part is not None and part.device.type == "cpu" else part

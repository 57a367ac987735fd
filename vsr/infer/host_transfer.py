"""Planes up to a device and down from it, beside its work where it is a GPU.

The host's side of a copy is pinned memory, which torch's allocator lends out again as soon as a
copy has ended: a ring without a size. What comes down has a stream of its own and is waited for by
whoever needs it, while the next frames are computed. What goes up is sixteen times less, and takes
the stream of the work that needs it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)  # tensors do not compare with ==
class PendingFrames:
    """Planes that come down to the host, and may be on their way yet."""

    _planes: tuple[Tensor, ...]
    _copied: torch.cuda.Event | None = None
    _device: torch.device | None = None
    _waited_for: Callable[[], tuple[Tensor, ...]] | None = None

    @classmethod
    def of(cls, wait: Callable[[], tuple[Tensor, ...]]) -> PendingFrames:
        """What comes down by another way."""
        return cls((), _waited_for=wait)

    def wait(self) -> tuple[Tensor, ...]:
        """The planes, once they are there. From any thread, any number of times."""
        if self._waited_for is not None:
            return self._waited_for()
        if self._copied is not None:
            with torch.cuda.device(self._device):  # or the thread would begin to use another one
                self._copied.synchronize()
        return self._planes


class HostTransfer:
    """Between the host and one device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def up(self, plane: Tensor) -> Tensor:
        """To the device; nothing waits for it but the work that is asked for from now on."""
        if self._stream is None:
            return plane.to(self._device)
        return plane.pin_memory().to(self._device, non_blocking=True)

    def down(self, planes: tuple[Tensor, ...]) -> PendingFrames:
        """To the host, behind all the work that was asked for until now."""
        stream = self._stream
        hosts = None if stream is None else _pinned(planes)
        if stream is None or hosts is None:
            return PendingFrames(tuple(plane.cpu() for plane in planes))
        stream.wait_stream(torch.cuda.current_stream(self._device))
        copied = torch.cuda.Event(blocking=True)  # who waits leaves the core to the encoder
        with torch.cuda.stream(stream):
            for host, plane in zip(hosts, planes, strict=True):
                host.copy_(plane, non_blocking=True)
                plane.record_stream(stream)  # its memory is not for others until then
            copied.record(stream)
        return PendingFrames(hosts, copied, self._device)


def _pinned(planes: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
    """Room for them in pinned memory, or none where the system has no more of it to give."""
    try:
        return tuple(torch.empty(x.shape, dtype=x.dtype, pin_memory=True) for x in planes)
    except RuntimeError:
        return None


Planes = tuple[Tensor, ...]


@dataclass(slots=True, eq=False)
class ClipInFlight:
    """A clip whose planes are on their way to the host."""

    pending: PendingFrames
    """Its planes, and last a tensor that tells whether they are sound."""
    restore: Callable[[], None]
    """Brings the engine back to where it was before the clip."""
    again: Callable[[], Planes]
    """Makes the clip anew and waits for it."""
    settled: Planes | None = None
    """Its planes once they are sound; ``None`` until then."""


class InFlight:
    """All clips in flight of an engine. ``work`` is the lock under which it computes."""

    def __init__(self, work: threading.RLock) -> None:
        self._work = work
        self._list = threading.Lock()
        self._clips: deque[ClipInFlight] = deque()

    def add(self, clip: ClipInFlight) -> Callable[[], Planes]:
        """Returns what waits for its planes: from any thread, any number of times."""
        with self._list:
            self._clips.append(clip)
        return lambda: self._settle(clip)

    def _settle(self, clip: ClipInFlight) -> Planes:
        clip.pending.wait()  # those before it have copied then, too
        while clip.settled is None:
            with self._list:
                if clip.settled is not None:  # by another thread, which took it from the list
                    break
                first = self._clips[0]
            *planes, valid = first.pending.wait()
            if not bool(valid):
                with self._work:  # no more clips are asked for meanwhile
                    if first.settled is None:
                        self._make_again(first)
            with self._list:
                if first.settled is None:
                    first.settled = tuple(planes)
                if self._clips and self._clips[0] is first:
                    self._clips.popleft()
        return clip.settled

    def _make_again(self, first: ClipInFlight) -> None:
        """The first of the clips in flight, and all behind it. Raises what that raises."""
        with self._list:
            clips = list(self._clips)
        first.restore()
        for clip in clips:
            clip.settled = clip.again()

"""Clips that a GPU computes while the next ones are asked for: nothing waits before planes land.

Whether a network made a picture of a clip is known when its planes have come down. If it did not,
the clip is made again, and so are those asked for behind it, which may have been made of it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from vsr.infer.host_transfer import PendingFrames

Planes = tuple[Tensor, ...]


@dataclass(slots=True, eq=False)
class ClipInFlight:
    """A clip whose planes are on their way, the last of them telling whether they are sound.

    ``restore`` brings the engine back to where it was before the clip, ``again`` makes the clip
    anew and waits for it.
    """

    pending: PendingFrames
    restore: Callable[[], None]
    again: Callable[[], Planes]
    settled: Planes | None = None


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
        clip.pending.wait()  # those before it have landed then, too
        while clip.settled is None:
            with self._list:
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

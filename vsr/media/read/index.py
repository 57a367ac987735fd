"""Find the times of a video's frames from its packets, without decoding."""

from __future__ import annotations

import av
import numpy as np
from av.error import FFmpegError
from av.format import Flags

from vsr.errors import MediaError, StorageError
from vsr.media.files import ReadFault, is_storage_fault, opened, read_again
from vsr.media.read.probe import MediaInfo
from vsr.media.read.reader import HELD_SECONDS
from vsr.media.stall import timed

REORDER = 16  # frames that a decoder may hold back (H.264 and H.265 both allow so many)


def frame_times(
    info: MediaInfo, *, first: int | None = None, last: int | None = None, hold: bool = False
) -> tuple[int, ...] | None:
    """Presentation times, rising, of the frames that a reader with the same bounds should give.

    ``None`` where packets do not tell: times that are missing, double, fall back or may begin anew,
    and files that break off. It is what the container claims: whoever decodes has to compare.
    Raises :class:`StorageError` where the system cannot read the file.
    """
    kind = av.ContainerFormat(info.container.split(",")[0], "r")
    if kind.flags & Flags.ts_discont.value:
        return None
    try:
        claimed = read_again(info.path, lambda ends_at: _claimed(info, ends_at))
    except StorageError:
        raise
    except MediaError:
        return None
    if claimed is None:
        return None
    order = np.argsort(claimed, kind="stable")
    times = np.asarray(claimed, dtype=np.int64)[order]
    if np.any(np.diff(times) <= 0) or np.any(np.abs(order - np.arange(len(order))) > REORDER):
        return None
    if info.hides_early and len(times) and times[0] < 0:  # as the reader does: timestamps.shown()
        hidden = int(np.searchsorted(times, 0))
        at_zero = hidden < len(times) and times[hidden] > 0
        times = np.concatenate([np.zeros(int(at_zero), np.int64), times[hidden:]])
    if not len(times):
        return None
    if first is not None and hold and times[0] < first:
        place = int(np.searchsorted(times, first))
        if place == len(times):
            return None  # how long the last one lasts, its frame says
        if (times[place] - first) * info.time_base > HELD_SECONDS:
            times[place - 1] = first
    low = times[0] if first is None else first
    kept = times[(times >= low) & (times < (times[-1] + 1 if last is None else last))]
    return tuple(int(time) for time in kept)


def _claimed(info: MediaInfo, ends_at: int | None) -> list[int] | None:
    """The packets' presentation times; ``None`` where one has none, and where the file breaks off.

    Raises :class:`ReadFault` where it cannot be read on.
    """
    claimed: list[int] = []
    place = 0
    with opened(info.path) as container:
        packets = timed(container.demux(container.streams[info.video]))
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                if is_storage_fault(error) and place != ends_at:
                    raise ReadFault(place) from error
                return None
            if packet is None:
                return claimed
            place = max(place, packet.pos or 0)
            if not packet.size or packet.is_discard:  # the flush, and what an edit list cuts
                continue
            if packet.pts is None:
                return None
            claimed.append(packet.pts)

"""Whether a video ended before the place to which its file says that it goes."""

from __future__ import annotations

from fractions import Fraction

import av
from av.error import FFmpegError

from vsr.media.files import ReadFault, is_storage_fault, opened, read_again
from vsr.media.read.probe import FROM_ZERO, MediaInfo, format_of
from vsr.media.stall import timed

DECLARED = {"asf", "avi", "flv", "matroska", "mov", "mxf", "nut", "rm", "wtv"}
"""Formats whose header states how long the file is. FFmpeg estimates it for others, from bit rates
or from the last bytes."""
MIN_SECONDS = Fraction(1, 2)
MIN_SHARE = Fraction(1, 100)


def promised_end(info: MediaInfo, ended: Fraction) -> Fraction | None:
    """The time to which the file says that its video goes, where that is far behind ``ended``.

    Both are seconds of the file's own clock. "Far" is half a second, and a hundredth of the whole,
    at least. An index at the head of a file (MP4, MOV) lists every packet of the video: one that
    was never read is missing. A duration in the header counts where no other stream goes on to it
    either, since sound and subtitles may last longer than the video.
    """
    indexed, declared = _claims(info)
    if indexed is not None:
        return indexed if _is_far(indexed, ended, info) else None
    if declared is None or not _is_far(declared, ended, info):
        return None
    last = read_again(info.path, lambda ends_at: _last_moment(info, ends_at))
    return declared if _is_far(declared, max(ended, last), info) else None


def _is_far(claim: Fraction, ended: Fraction, info: MediaInfo) -> bool:
    length = claim - Fraction(info.start_seconds)
    return claim - ended > max(MIN_SECONDS, length * MIN_SHARE)


def _claims(info: MediaInfo) -> tuple[Fraction | None, Fraction | None]:
    """The last time in the video's index, if that is whole, and the end by the file's duration.

    An index that is not in the header, as of fragments, grows while the file is read.
    """
    with opened(info.path) as container:
        kind, stream = format_of(container), container.streams[info.video]
        entries = stream.index_entries
        indexed = declared = None
        if kind == "mov" and stream.frames >= len(entries) > 0:
            kept = [entry.timestamp for entry in entries if not entry.is_discard]
            indexed = max(kept) * info.time_base if kept else None
        if container.duration is not None and kind in DECLARED:
            start = Fraction(container.start_time or 0, av.time_base)
            declared = Fraction(container.duration, av.time_base)
            if kind not in FROM_ZERO:
                declared += start
        if kind == "avi" and stream.frames:  # without an index at its end, its duration is guessed
            declared = stream.frames * info.time_base
    return indexed, declared


def _last_moment(info: MediaInfo, ends_at: int | None) -> Fraction:
    """Where the last packet of any stream ends."""
    last, place = Fraction(0), 0
    with opened(info.path) as container:
        try:
            for packet in timed(container.demux()):
                place = max(place, packet.pos or 0)
                if packet.size and packet.pts is not None:
                    end = (packet.pts + (packet.duration or 0)) * packet.time_base
                    last = max(last, end)
        except FFmpegError as error:
            if is_storage_fault(error) and place != ends_at:
                raise ReadFault(place) from error
    return last

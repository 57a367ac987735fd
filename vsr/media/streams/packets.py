"""Iterate over the target's packets: encoded video with new decoding times, and other streams."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import cast

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from vsr.media.files import ReadFault, is_storage_fault, opened
from vsr.media.stall import timed
from vsr.media.streams.stream_mapping import TEXT_CODECS, StreamMapping
from vsr.media.streams.text import Line, encoded, merged, plain_text
from vsr.media.write.writer import Segment, Timing

FALL_SECONDS = Fraction(1, 4)  # further back than this is another beginning, not disorder


@dataclass(frozen=True, slots=True)
class Cut:
    """The stretch of the source that is kept. All in seconds, by the source's own clock."""

    start: Fraction | None = None
    """When it begins; ``None``: with the source."""
    end: Fraction | None = None
    """When it ends, itself left out; ``None``: with the source."""
    shift: Fraction = Fraction(0)
    """What is taken off every time; below 0, times are moved to later ones."""
    sound: Fraction | None = None
    """Sound that ends before this stays out, wherever the stretch begins; ``None``: none does."""


@dataclass(frozen=True, slots=True)
class TimedPacket:
    """A packet ready to be muxed."""

    seconds: float
    """The time in the target that packets are ordered by."""
    order: int
    """Which goes first at one time: 0 for the main video, else the source's stream index + 1."""
    packet: av.Packet[Stream]
    """The packet, with the target's stream and times."""

    def __lt__(self, other: TimedPacket) -> bool:
        return (self.seconds, self.order) < (other.seconds, other.order)


def video_packets(
    segments: Sequence[Segment], timing: Timing, video: VideoStream, cut: Cut
) -> Iterator[TimedPacket]:
    """Every segment's packets with decoding times made anew.

    Each encoder began its decoding times before its first frame; joined, they would run back. With
    B-frames reordered by at most n, the n-th last presentation time is a valid decoding time.
    """
    base = timing.time_base
    reorder = max(segment.reorder for segment in segments)
    shift = round(cut.shift / base)
    shown: list[int] = []  # the presentation times that decoding times are still to be made of
    for number, segment in enumerate(segments):
        following = segments[number + 1].shown[0] if number + 1 < len(segments) else None
        ordered = list(segment.shown)
        step = ordered[1] - ordered[0] if len(ordered) > 1 else 1
        if not number:
            shown = [ordered[0] - step * (reorder - place) for place in range(reorder)]
        shown += ordered
        ends = dict(pairwise(ordered))
        final = following if following is not None else ordered[-1] + segment.last_duration
        if following is None and cut.end is not None:
            final = min(final, max(ordered[-1] + 1, math.ceil(cut.end / base)))
        for packet, time in zip(_packets(segment), segment.coded, strict=True):
            packet.pts, packet.dts = time - shift, shown.pop(0) - shift
            packet.duration = max(0, ends.get(time, final) - time)
            packet.time_base = base
            packet.stream = video
            yield TimedPacket(float(packet.dts * base), 0, cast("av.Packet[Stream]", packet))


def _packets(segment: Segment) -> Iterator[av.Packet[VideoStream]]:
    with opened(segment.path) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                yield packet


def carried_packets(
    source: InputContainer,
    added: dict[int, Stream],
    cut: Cut,
    retimed: Counter[int],
    *,
    ends_at: int | None = None,
) -> Iterator[TimedPacket]:
    """Every packet of the streams that are carried as they are, in the source's order.

    ``retimed`` counts, by stream, packets whose times did not rise and had to be moved. Raises
    :class:`ReadFault` where the system cannot read on, but not at the byte ``ends_at``: there the
    file breaks off.
    """
    streams = [
        source.streams[index]
        for index, stream in added.items()
        if stream.type != "attachment" and source.streams[index].type != "attachment"
    ]
    if not streams:
        return
    last: dict[int, int] = {}
    ends: dict[int, int] = {}
    joins: dict[int, int] = {}
    seconds, place = float("-inf"), 0
    shown: set[int] = set()  # streams of which a packet was carried that is not hidden
    moving = {stream.index for stream in streams if _is_moving(stream)}
    texts = {stream.index for stream in streams if _is_text(stream)}
    packets = _with_decoding_times(timed(source.demux(*streams)), moving)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except FFmpegError as error:  # a file that breaks off: the reader has counted it
            if is_storage_fault(error) and place != ends_at:
                raise ReadFault(place) from error
            return
        place = max(place, packet.pos or 0)
        index = packet.stream_index
        stamp = packet.pts if packet.dts is None else packet.dts
        picture = bool(packet.stream.disposition & Disposition.attached_pic)
        if not packet.size or (stamp is None and not picture) or index not in added:
            continue
        if packet.is_discard and index in shown and index not in moving:
            continue  # an edit list hides it, and what follows is shown at its time
        if stamp is not None and not picture and source.streams[index].type != "subtitle":
            # As the reader does for frames: what begins anew goes on where the stream ended.
            stamp += joins.get(index, 0)
            if stamp < ends.get(index, stamp) - FALL_SECONDS / packet.time_base:
                joins[index] = joins.get(index, 0) + ends[index] - stamp
                stamp = ends[index]
            ends[index] = max(ends.get(index, stamp), stamp + (packet.duration or 0))
            packet.pts = None if packet.pts is None else packet.pts + joins.get(index, 0)
        time = (stamp or 0) * packet.time_base
        if index in texts and _clipped(packet, cut):
            stamp = packet.pts
            time = (stamp or 0) * packet.time_base
        if not picture and not _inside(time, cut):
            continue
        over = time + (packet.duration or 0) * packet.time_base
        sound = source.streams[index].type == "audio"
        if sound and cut.sound is not None and over < cut.sound:
            continue
        shift = 0 if picture else round(cut.shift / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts - shift
        # Decoding times must rise, and a source's may not; lines of text may share a moment.
        asked = (stamp or 0) - shift
        least = last.get(index, asked - 1) + (source.streams[index].type in ("audio", "video"))
        packet.dts = last[index] = max(asked, least)
        if packet.dts != asked:
            retimed[index] += 1
            if packet.pts is not None and source.streams[index].type != "video":
                packet.pts = max(packet.pts, packet.dts)
        packet.stream = added[index]
        if not packet.is_discard:
            shown.add(index)
        seconds = max(seconds, float(time - cut.shift))
        yield TimedPacket(seconds, 1 + index, packet)


def _is_moving(stream: Stream) -> bool:
    return stream.type == "video" and not stream.disposition & Disposition.attached_pic


def _is_text(stream: Stream) -> bool:
    if stream.type != "subtitle" or stream.codec_context is None:  # pyright: ignore  # an unknown codec
        return False
    return stream.codec_context.codec.canonical_name in TEXT_CODECS


def _clipped(packet: av.Packet[Stream], cut: Cut) -> bool:
    """Give a line of text the part of its time that the cut shows; whether it shows any."""
    if packet.pts is None or not packet.duration:
        return False
    shown = _shown_part(packet.pts, packet.duration, packet.time_base, cut)
    if shown is None:
        return False
    packet.pts, packet.duration = shown[0], shown[1] - shown[0]
    return True


def _shown_part(begin: int, length: int, base: Fraction, cut: Cut) -> tuple[int, int] | None:
    """Begin and end of what a cut shows of a line; nothing begins before the target does."""
    end = begin + length
    if cut.start is not None:
        begin = max(begin, math.ceil(cut.start / base), round(cut.shift / base))
    if cut.end is not None:
        end = min(end, math.ceil(cut.end / base))
    return (begin, end) if begin < end else None


def _with_decoding_times(
    packets: Iterator[av.Packet[Stream]], moving: Collection[int]
) -> Iterator[av.Packet[Stream]]:
    """The packets; the first ones of a video that is among ``moving`` with decoding times.

    Matroska holds none, and FFmpeg knows them only once it has seen how far frames are reordered.
    Those before lie a frame's duration apart.
    """
    waiting: dict[int, list[av.Packet[Stream]]] = {index: [] for index in moving}
    for packet in packets:
        held = waiting.get(packet.stream_index)
        if held is None or not packet.size:
            yield packet
        elif packet.dts is None and packet.pts is not None:
            held.append(packet)
        else:
            del waiting[packet.stream_index]
            for place, early in enumerate(held):
                step = early.duration or packet.duration or 1
                if packet.dts is not None:
                    early.dts = packet.dts - step * (len(held) - place)
                yield early
            yield packet
    for held in waiting.values():
        shown = sorted(packet.pts or 0 for packet in held)
        late = max((b - (a.pts or 0) for a, b in zip(held, shown, strict=True)), default=0)
        for packet, time in zip(held, shown, strict=True):
            packet.dts = time - late
            yield packet


def text_packets(
    source: InputContainer, added: Stream, mapping: StreamMapping, cut: Cut
) -> Iterator[TimedPacket]:
    """A text stream in another codec's form, each line for as long as the cut shows of it.

    Its lines are few: they are read at once.
    """
    stream = source.streams[mapping.stream.index]
    base = stream.time_base or Fraction(1, 1000)
    shift = round(cut.shift / base)
    lines: list[Line] = []
    for packet in timed(source.demux(stream)):
        if packet.pts is None:
            continue
        shown = _shown_part(packet.pts, max(1, packet.duration or 0), base, cut)
        if shown is None:
            continue
        text = plain_text(bytes(packet), mapping.stream.codec).strip() if packet.size else ""
        if text:  # MP4 fills the gaps between lines with empty ones
            lines.append(Line(shown[0] - shift, shown[1] - shift, text))
    for line in merged(lines) if mapping.codec == "mov_text" else lines:
        packet = av.Packet(encoded(line.text, mapping.codec))
        packet.pts = packet.dts = line.start
        packet.duration, packet.time_base = line.end - line.start, base
        packet.stream = added
        yield TimedPacket(float(line.start * base), 1 + mapping.stream.index, packet)


def _inside(time: Fraction, cut: Cut) -> bool:
    return (cut.start is None or time >= cut.start) and (cut.end is None or time < cut.end)

"""Join encoded segments and carry everything else of the source: packets are moved, not touched."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.container import InputContainer, OutputContainer
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from vsr.media.carry import Carry, add_stream, converted_packet
from vsr.media.codecs import Encoding
from vsr.media.probe import MediaInfo, opened, translated
from vsr.media.writer import Segment, Timing, describe

if TYPE_CHECKING:
    from av.container.core import Chapter  # in the stubs alone

# Keys that MP4's classic metadata holds; any other needs Apple's key list instead.
_MP4_KEYS = {
    "title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright",
    "grouping", "lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords",
    "encoder", "major_brand", "minor_version", "compatible_brands", "creation_time",
}  # fmt: skip
_OWN_KEYS = {"major_brand", "minor_version", "compatible_brands", "encoder"}


@dataclass(frozen=True, slots=True)
class Cut:
    """The stretch of the source that is kept, in seconds, and what is taken off every time."""

    start: Fraction | None = None
    end: Fraction | None = None
    shift: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class _Timed:
    """A packet ready to be muxed, ordered by its time in seconds."""

    seconds: float
    order: int
    packet: av.Packet[Stream]

    def __lt__(self, other: _Timed) -> bool:
        return (self.seconds, self.order) < (other.seconds, other.order)


def join(
    segments: Sequence[Segment],
    info: MediaInfo,
    encoding: Encoding,
    timing: Timing,
    carries: Sequence[Carry],
    part: Path,
    cut: Cut,
) -> None:
    """Write ``part``: the segments' frames, and every carried stream of the source."""
    with (
        translated(part, "write"),
        nullcontext() if info.is_folder else opened(info.path) as source,
        opened(segments[0].path) as first,
        av.open(
            str(part),
            "w",
            format=encoding.container,
            options=_container_options(source, info, encoding),
        ) as output,
    ):
        kept = {carry.stream.index: carry for carry in carries if carry.action != "drop"}
        assert source is not None or not kept
        added: dict[int, Stream] = {}
        before = [index for index in kept if index < info.video]
        for index in before:
            added[index] = add_stream(output, source.streams[index], kept[index])
        video = _add_video(output, first, source, info, encoding, timing)
        for index in kept.keys() - set(before):
            added[index] = add_stream(output, source.streams[index], kept[index])
        if source is not None:
            output.metadata.update(
                {key: text for key, text in source.metadata.items() if key.lower() not in _OWN_KEYS}
            )
            output.set_chapters(_chapters(source, cut))
        output.start_encoding()
        frames = _video_packets(segments, timing, video, cut)
        others = _carried_packets(source, added, kept, cut) if source is not None else iter(())
        for timed in heapq.merge(frames, others):
            output.mux_one(timed.packet)


def _add_video(
    output: OutputContainer,
    segment: InputContainer,
    source: InputContainer | None,
    info: MediaInfo,
    encoding: Encoding,
    timing: Timing,
) -> VideoStream:
    # The template's codec is the decoder: opaque, or AV1 would ask for an encoder named libdav1d.
    video = output.add_stream_from_template(segment.streams.video[0], opaque=True)
    describe(video.codec_context, encoding, timing)
    if encoding.tag is not None:
        video.codec_context.codec_tag = encoding.tag
    video.time_base = timing.time_base
    video.rate = timing.frame_rate
    if info.display_matrix is not None:
        video.set_display_matrix(_scaled_matrix(info, encoding))
    if source is None:
        return video
    origin = source.streams[info.video]
    video.disposition = origin.disposition
    dropped = ("encoder", "duration", "bps", "number_of_", "_statistics")
    video.metadata.update(
        {k: text for k, text in origin.metadata.items() if not k.lower().startswith(dropped)}
    )
    return video


def _scaled_matrix(info: MediaInfo, encoding: Encoding) -> tuple[int, ...]:
    """The display matrix with its shift, which is in pixels (16.16), enlarged too."""
    matrix = list(info.display_matrix or ())
    matrix[6] = matrix[6] * encoding.size.width // info.size.width
    matrix[7] = matrix[7] * encoding.size.height // info.size.height
    return tuple(matrix)


def _container_options(
    source: InputContainer | None, info: MediaInfo, encoding: Encoding
) -> dict[str, str]:
    if encoding.container not in ("mp4", "mov"):
        return {}
    flags = "+faststart"
    if any(key.lower() not in _MP4_KEYS for key in info.metadata):
        flags += "+use_metadata_tags"
    # A stream that does not begin at zero gets an edit in the movie's own time scale, which is
    # 1/1000 s unless told: so one that every stream's clock divides, where 32 bits hold it.
    scale = info.time_base.denominator
    for stream in source.streams.audio if source is not None else ():
        rate = stream.codec_context.sample_rate or 1
        scale = math.lcm(scale, rate) if math.lcm(scale, rate) < 1 << 31 else scale
    return {"movflags": flags, "movie_timescale": str(max(scale, 1000))}


def _chapters(source: InputContainer, cut: Cut) -> list[Chapter]:
    chapters: list[Chapter] = []
    for chapter in source.chapters():
        base = chapter["time_base"] or Fraction(1, av.time_base)
        start, end = chapter["start"] * base, chapter["end"] * base
        if (cut.end is not None and start >= cut.end) or (
            cut.start is not None and end <= cut.start
        ):
            continue
        start = max(start, cut.start or start) - cut.shift
        end = min(end, cut.end or end) - cut.shift
        chapters.append({**chapter, "start": round(start / base), "end": round(end / base)})
    return chapters


def _video_packets(
    segments: Sequence[Segment], timing: Timing, video: VideoStream, cut: Cut
) -> Iterator[_Timed]:
    """Every segment's packets with decoding times made anew.

    Each encoder began its decoding times before its first frame; joined, they would run back. With
    B-frames reordered by at most n, the n-th last presentation time is a valid decoding time.
    """
    base = timing.time_base
    reorder = max(segment.reorder for segment in segments)
    shift = round(cut.shift / base)
    shown: list[int] = []  # the presentation times that decoding times are still to be made of
    for number, segment in enumerate(segments):
        following = segments[number + 1].first_pts if number + 1 < len(segments) else None
        ordered = sorted(_in_base(packet, base) for packet in _packets(segment))
        step = ordered[1] - ordered[0] if len(ordered) > 1 else 1
        if not number:
            shown = [ordered[0] - step * (reorder - place) for place in range(reorder)]
        shown += ordered
        ends = dict(zip(ordered, ordered[1:], strict=False))
        final = following if following is not None else ordered[-1] + segment.last_duration
        for packet in _packets(segment):
            time = _in_base(packet, base)
            packet.pts, packet.dts = time - shift, shown.pop(0) - shift
            packet.duration = max(0, ends.get(time, final) - time)
            packet.time_base = base
            packet.stream = video
            yield _Timed(float(packet.dts * base), 0, packet)


def _packets(segment: Segment) -> Iterator[av.Packet[VideoStream]]:
    with opened(segment.path) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                yield packet


def _in_base(packet: av.Packet[VideoStream], base: Fraction) -> int:
    assert packet.pts is not None
    return round(packet.pts * packet.time_base / base)


def _carried_packets(
    source: InputContainer, added: dict[int, Stream], kept: dict[int, Carry], cut: Cut
) -> Iterator[_Timed]:
    streams = [
        source.streams[index]
        for index, stream in added.items()
        if stream.type != "attachment" and source.streams[index].type != "attachment"
    ]
    if not streams:
        return
    last: dict[int, int] = {}
    seconds = float("-inf")
    packets = source.demux(*streams)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):  # a file that breaks off: the reader has counted it
            return
        index = packet.stream_index
        stamp = packet.pts if packet.dts is None else packet.dts
        picture = bool(packet.stream.disposition & Disposition.attached_pic)
        if not packet.size or (stamp is None and not picture) or index not in added:
            continue
        time = (stamp or 0) * packet.time_base
        if not picture and not _inside(time, cut):
            continue
        shift = 0 if picture else round(cut.shift / packet.time_base)
        if kept[index].action == "convert":
            packet = converted_packet(packet, kept[index])
        packet.pts = None if packet.pts is None else packet.pts - shift
        # Decoding times must rise; a source's may not.
        rising = (stamp or 0) - shift
        packet.dts = last[index] = max(rising, last.get(index, rising - 1) + 1)
        if packet.pts is not None and packet.stream.type != "video":
            packet.pts = max(packet.pts, packet.dts)
        packet.stream = added[index]
        seconds = max(seconds, float(time - cut.shift))
        yield _Timed(seconds, 1 + index, packet)


def _inside(time: Fraction, cut: Cut) -> bool:
    return (cut.start is None or time >= cut.start) and (cut.end is None or time < cut.end)

"""Join encoded segments, and carry all other streams of the source packet for packet."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from vsr.media.files import open_file, translated, url
from vsr.media.read.probe import MediaInfo
from vsr.media.streams.packets import Cut, TimedPacket, carried_packets, text_packets, video_packets
from vsr.media.streams.stream_mapping import StreamMapping, add_stream
from vsr.media.write.encoding import Encoding, enlarged_matrix
from vsr.media.write.writer import Segment, Timing, describe

if TYPE_CHECKING:
    from av.container.core import Chapter  # in the stubs alone

_OWN_KEYS = {"major_brand", "minor_version", "compatible_brands", "encoder"}
# Tags that a container's classic metadata holds. Any other needs Apple's list of keys in its place,
# beside which FFmpeg writes no cover art.
_CLASSIC = {"title", "artist", "album", "date", "comment", "genre", "copyright", "creation_time"}
_TAGS = {
    "mov": _OWN_KEYS | _CLASSIC | {"make", "model", "location"},
    "mp4": _OWN_KEYS | _CLASSIC | {
        "album_artist", "composer", "grouping", "lyrics", "description", "synopsis", "show",
        "episode_id", "episode_sort", "season_number", "network", "keywords", "track", "disc",
        "compilation", "gapless_playback", "media_type", "hd_video",
    },
}  # fmt: skip


def join(
    segments: Sequence[Segment],
    info: MediaInfo,
    encoding: Encoding,
    timing: Timing,
    mappings: Sequence[StreamMapping],
    part: Path,
    cut: Cut,
    *,
    ends_at: int | None = None,
) -> Counter[int]:
    """Write ``part``: the segments' frames, and every carried stream of the source.

    Raises :class:`ReadFault` where the source cannot be read on; at the byte ``ends_at`` it is
    known to break off. Returns how many packets of each carried stream had times that did not rise.
    """
    retimed: Counter[int] = Counter()
    begin = (segments[0].shown[0] - round(cut.shift / timing.time_base)) * timing.time_base
    with (
        translated(part, "write"),
        nullcontext() if info.is_folder else open_file(info.path) as source,
        open_file(segments[0].path) as first,
        av.open(
            url(part),
            "w",
            format=encoding.container,
            options=_container_options(source, info, encoding, mappings, cut, begin),
        ) as output,
        ExitStack() as inputs,
    ):
        kept = {mapping.stream.index: mapping for mapping in mappings if mapping.action != "drop"}
        added: dict[int, Stream] = {}
        for index in sorted(index for index in kept if source and index < info.video):
            added[index] = add_stream(output, _streams(source)[index], kept[index])
        video = _add_video(output, first, source, info, encoding, timing)
        for index in sorted(index for index in kept if source and index > info.video):
            added[index] = add_stream(output, _streams(source)[index], kept[index])
        if source is not None:
            output.metadata.update(
                {key: text for key, text in source.metadata.items() if key.lower() not in _OWN_KEYS}
            )
            output.set_chapters(chapters_of(source, cut, encoding.container))
        output.start_encoding()
        frames = video_packets(segments, timing, video, cut)
        others: list[Iterator[TimedPacket]] = []
        if source is not None:
            same = {i: stream for i, stream in added.items() if kept[i].action == "keep"}
            others.append(carried_packets(source, same, cut, retimed, ends_at=ends_at))
            for index, stream in added.items():
                if kept[index].action == "convert" and not kept[index].picture:
                    again = inputs.enter_context(open_file(info.path))
                    others.append(text_packets(again, stream, kept[index], cut))
        for timed in heapq.merge(frames, *others):
            output.mux_one(timed.packet)
    return retimed


def _streams(source: InputContainer | None) -> Sequence[Stream]:
    return list(source.streams) if source is not None else []


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
    matrix = enlarged_matrix(info, encoding.size)
    if matrix is not None:
        video.set_display_matrix(matrix)
    if source is None:
        return video
    origin = source.streams[info.video]
    video.disposition = origin.disposition
    dropped = ("encoder", "duration", "bps", "number_of_", "_statistics")
    video.metadata.update(
        {k: text for k, text in origin.metadata.items() if not k.lower().startswith(dropped)}
    )
    return video


def _container_options(
    source: InputContainer | None,
    info: MediaInfo,
    encoding: Encoding,
    mappings: Sequence[StreamMapping],
    cut: Cut,
    begin: Fraction,
) -> dict[str, str]:
    """The muxer's options; ``begin`` is the time of the first frame, in seconds."""
    if encoding.container not in ("mp4", "mov"):
        return {"avoid_negative_ts": "disabled"}
    flags = "+faststart"
    if _rare_tags(info, encoding.container) and not _has_cover(mappings):
        flags += "+use_metadata_tags"
    # A stream that does not begin at zero gets an edit in the movie's own time scale, which is
    # 1/1000 s unless told: so one that every stream's clock divides, where 32 bits hold it.
    scale = info.time_base.denominator
    exact = math.lcm(begin.denominator, 1000)
    scales = [exact, scale]
    for stream in source.streams.audio if source is not None else ():
        if stream.codec_context is None:  # pyright: ignore  # a codec that FFmpeg does not know
            continue
        rate = stream.codec_context.sample_rate or 1
        scale = math.lcm(scale, rate) if math.lcm(scale, rate) < 1 << 31 else scale
        scales.append(scale)
    # Chapters are a track of text in that scale, each as long as 32 bits hold.
    longest = 0 if source is None else _longest(chapters_of(source, cut, encoding.container))
    fitting = [scale for scale in scales if scale * (longest + 1) < 1 << 31]
    scale = fitting[-1] if fitting else exact
    return {"movflags": flags, "movie_timescale": str(max(scale, 1000))}


def _longest(chapters: Sequence[Chapter]) -> Fraction:
    """Seconds at most from one chapter's begin to the next, or to its end."""
    bases = [chapter["time_base"] or Fraction(1, av.time_base) for chapter in chapters]
    begins = [chapter["start"] * base for chapter, base in zip(chapters, bases, strict=True)]
    ends = [chapter["end"] * base for chapter, base in zip(chapters, bases, strict=True)]
    lengths = [end - begin for begin, end in zip(begins, ends, strict=True)]
    return max(
        [*lengths, *(after - begin for begin, after in pairwise(begins))], default=Fraction(0)
    )


def lost_tags(
    info: MediaInfo, mappings: Sequence[StreamMapping], container: str
) -> tuple[str, ...]:
    """The source's tags that the target will not hold, for people."""
    if not _has_cover(mappings):
        return ()
    return tuple(f"tag {key}: MP4 has none beside cover art" for key in _rare_tags(info, container))


def _rare_tags(info: MediaInfo, container: str) -> list[str]:
    classic = _TAGS.get(container)
    return [key for key in info.metadata if classic is not None and key.lower() not in classic]


def _has_cover(mappings: Sequence[StreamMapping]) -> bool:
    covers = [mapping for mapping in mappings if "attached_pic" in mapping.stream.disposition]
    return any(mapping.action == "keep" for mapping in covers)


def chapters_of(source: InputContainer, cut: Cut, container: str) -> list[Chapter]:
    """The chapters of a stretch, with times of the target, in the order they begin."""
    chapters: list[Chapter] = []
    for number, chapter in enumerate(source.chapters(), start=1):
        base = chapter["time_base"] or Fraction(1, av.time_base)
        start, end = chapter["start"] * base, chapter["end"] * base
        # The shift is rounded to the video's times and may lie behind the cut: no chapter does.
        first = None if cut.start is None else max(cut.start, cut.shift)
        if (cut.end is not None and start >= cut.end) or (first is not None and end <= first):
            continue
        start = max(0, max(start, first or start) - cut.shift)  # Matroska knows no time below 0
        end = min(end, cut.end or end) - cut.shift
        if end < start:
            continue
        made: Chapter = {**chapter, "start": round(start / base), "end": round(end / base)}
        if container in ("mp4", "mov") and not chapter["metadata"].get("title"):
            # FFmpeg leaves chapters without one out of the track of chapters, and mixes up others.
            made["metadata"] = {**chapter["metadata"], "title": f"Chapter {number}"}
        chapters.append(made)
    return sorted(chapters, key=lambda chapter: chapter["start"] * (chapter["time_base"] or 1))

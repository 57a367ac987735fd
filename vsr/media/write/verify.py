"""Verify a written file before it gets its name: open it again and compare it with the plan."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from av import VideoFrame, time_base
from av.container import InputContainer

from vsr.color import UNSPECIFIED
from vsr.errors import MediaError, VerificationFailed
from vsr.media.carried import Contents, check_carried
from vsr.media.files import opened
from vsr.media.read.probe import MediaInfo, probe
from vsr.media.streams.mux import chapters_of
from vsr.media.streams.packets import Cut
from vsr.media.streams.stream_mapping import StreamMapping
from vsr.media.write.encoding import QUARTER_TURNS, Encoding
from vsr.media.write.writer import Segment, Timing

if TYPE_CHECKING:
    from av.container.core import Chapter  # in the stubs alone

MAX_REORDERED = 64
STRICT = "crccheck+bitstream+buffer+careful+aggressive+explode"  # conceal nothing
HINT = "this should not happen: please report it with the file"
DISK = "the same command joins the finished segments once more; is the target's disk in order?"
CHAPTER_GRID = Fraction(1, 1000)  # in which all containers keep times of chapters
GRID = {"matroska": Fraction(1, 1000), "webm": Fraction(1, 1000)}  # times are whole milliseconds


def verify(
    part: Path,
    segments: Sequence[Segment],
    info: MediaInfo,
    encoding: Encoding,
    timing: Timing,
    mappings: Sequence[StreamMapping],
    cut: Cut,
    *,
    full: bool = False,
) -> None:
    """Frame count, every time, size, colour tags, rotation, and every packet that was carried.

    Decodes one frame, and with ``full`` all of them. Raises :class:`VerificationFailed` that says
    what differs.
    """
    made = probe(part, allow_huge=True)
    _same("size", made.size, encoding.size)
    if info.rotation % 90 == 0 or encoding.container not in QUARTER_TURNS:
        _same("rotation", made.rotation % 360, info.rotation % 360)
    if encoding.color.layout == "yuv":
        for tag, wanted in (
            ("matrix", encoding.matrix_tag),
            ("primaries", encoding.color.primaries),
            ("transfer", encoding.color.transfer),
        ):
            if wanted != UNSPECIFIED:
                _same(f"colour {tag}", getattr(made.color, tag), wanted)
    if encoding.color.range and encoding.color.layout == "yuv":
        # Where nothing is said, limited is meant: x264 and MP4 leave it out.
        _same("colour range", made.color.range or 1, encoding.color.range)
    kept = [mapping for mapping in mappings if mapping.action != "drop"]
    kept = [mapping for mapping in kept if mapping.codec != "attachment"]  # a picture, as cover art
    _check_streams(made, kept, encoding)
    tolerance = GRID.get(encoding.container, Fraction(0)) / 2
    expected = _segment_times(segments, timing, cut)
    found = {item.index: Contents() for item in made.streams if item.index != made.video}
    got_times = _times(part, made.video, found)
    for count, (want, got) in enumerate(zip_longest(expected, got_times), start=1):
        if want is None or got is None:
            frames = sum(segment.frames for segment in segments)
            more = "more" if want is None else "fewer"
            raise VerificationFailed(
                f"the written file holds {more} frames than the {frames} that were encoded",
                hint=HINT,
            )
        if abs(want - got) > tolerance:
            raise VerificationFailed(
                f"frame {count} is at {float(got):.6f} s, not at {float(want):.6f} s",
                hint=HINT,
            )
    if full:
        _check_every_frame(part, made.video, sum(segment.frames for segment in segments))
    if not info.is_folder:
        check_chapters(part, info, encoding, cut)
        check_carried(found, part, info.path, mappings, encoding.container, cut)


def _check_streams(made: MediaInfo, kept: Sequence[StreamMapping], encoding: Encoding) -> None:
    """As many of each kind as were carried; MP4 and MOV have none where there was no packet."""
    for kind, more in (("video", 1), ("audio", 0), ("subtitle", 0)):
        carried = [mapping.stream.index for mapping in kept if mapping.stream.type == kind]
        found = [item for item in made.streams if item.type == kind]
        cover = [
            item
            for item in found
            if "attached_pic" in item.disposition and encoding.container != "mp4"
        ]
        number, wanted = len(found) - len(cover), len(carried) + more
        if encoding.container in ("mp4", "mov"):
            wanted = min(number, wanted)  # those with packets are looked for one by one
        _same(f"number of {kind} streams", number, wanted)


def check_chapters(part: Path, info: MediaInfo, encoding: Encoding, cut: Cut) -> None:
    """Chapters begin where they are planned to, and nowhere else.

    Not how many begin there: FFmpeg reads one alone of Matroska's. Nor how long they last: MP4
    knows no gaps between them. Raises :class:`VerificationFailed`.
    """
    with opened(info.path) as source:
        wanted = [_begin(chapter) for chapter in chapters_of(source, cut, encoding.container)]
    with opened(part) as made:
        found = [_begin(chapter) for chapter in made.chapters()]
    if encoding.container in ("mp4", "mov"):
        wanted[:1] = [Fraction(0)][: len(wanted)]  # there the first begins with the file
    for time in _apart(wanted, found):
        raise VerificationFailed(
            f"the written file has no chapter at {float(time):.3f} s", hint=HINT
        )
    for time in _apart(found, wanted):
        raise VerificationFailed(
            f"the written file has a chapter at {float(time):.3f} s", hint=HINT
        )


def _begin(chapter: Chapter) -> Fraction:
    return chapter["start"] * (chapter["time_base"] or Fraction(1, time_base))


def _apart(times: Sequence[Fraction], others: Sequence[Fraction]) -> Iterator[Fraction]:
    """Those of ``times`` that are not among the others."""
    others = sorted(others)
    for time in times:
        place = bisect_left(others, time - CHAPTER_GRID)
        if place == len(others) or others[place] > time + CHAPTER_GRID:
            yield time


def _check_every_frame(part: Path, index: int, wanted: int) -> None:
    """Decode the whole video, as a player would."""
    count = 0
    try:
        with opened(part) as container:
            stream = container.streams[index]
            stream.codec_context.options = {"err_detect": STRICT}
            for frame in container.decode(stream):
                assert isinstance(frame, VideoFrame)
                if frame.is_corrupt:
                    raise VerificationFailed(
                        f"frame {count + 1} of the written file does not decode", hint=DISK
                    )
                count += 1
    except MediaError as error:
        raise VerificationFailed(
            f"the written file does not decode behind frame {count}: {error}", hint=DISK
        ) from error
    _same("number of frames that decode", count, wanted)


def _same(what: str, got: object, wanted: object) -> None:
    if got != wanted:
        raise VerificationFailed(
            f"the written file's {what} is {got}, not {wanted}",
            hint="try another --codec or container, and please report it",
        )


def _segment_times(segments: Sequence[Segment], timing: Timing, cut: Cut) -> Iterator[Fraction]:
    for segment in segments:
        for pts in segment.shown:
            yield pts * timing.time_base - cut.shift


def _times(path: Path, index: int, others: Mapping[int, Contents]) -> Iterator[Fraction]:
    """Seconds of the video's packets that are shown, in that order; fills ``others`` by the way."""
    with opened(path) as container:
        base = container.streams[index].time_base or Fraction(1)
        for stamp in _sorted(_stamps(container, index, others)):
            yield stamp * base


def _stamps(container: InputContainer, index: int, others: Mapping[int, Contents]) -> Iterator[int]:
    for packet in container.demux():
        if packet.stream_index == index:
            if packet.size and packet.pts is not None and not packet.is_discard:
                yield packet.pts
        elif packet.stream_index in others:
            others[packet.stream_index].add(packet)


def _sorted(stamps: Iterable[int]) -> Iterator[int]:
    """Sort what is almost sorted, in bounded memory."""
    heap: list[int] = []
    for stamp in stamps:
        heapq.heappush(heap, stamp)
        if len(heap) > MAX_REORDERED:
            yield heapq.heappop(heap)
    yield from chain(heapq.heappop(heap) for _ in range(len(heap)))

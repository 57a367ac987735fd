"""Open a written file again and compare it with what it should be, before it gets its name."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import chain, zip_longest
from pathlib import Path

from vsr.color import UNSPECIFIED
from vsr.errors import VerificationFailed
from vsr.media.carry import PICTURE_TYPES, Carry
from vsr.media.encoding import QUARTER_TURNS, Encoding
from vsr.media.files import ReadFault, opened
from vsr.media.packets import Cut, carried_packets
from vsr.media.probe import MediaInfo, probe
from vsr.media.writer import Segment, Timing

MOST_REORDERED = 64
GRID = {"matroska": Fraction(1, 1000), "webm": Fraction(1, 1000)}  # times are whole milliseconds


def verify(
    part: Path,
    segments: Sequence[Segment],
    info: MediaInfo,
    encoding: Encoding,
    timing: Timing,
    carries: Sequence[Carry],
    cut: Cut,
) -> None:
    """Frame count, every time, size, colour tags, rotation and streams. Decodes one frame.

    Raises :class:`VerificationFailed` that says what differs.
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
    kept = [carry for carry in carries if carry.action != "drop"]
    kept = [carry for carry in kept if carry.codec != "attachment"]  # a picture, as cover art
    _check_streams(made, kept, info, encoding, cut)
    tolerance = GRID.get(encoding.container, Fraction(0)) / 2
    expected = _segment_times(segments, timing, cut)
    count = 0
    for count, (want, got) in enumerate(zip_longest(expected, _times(part, made.video)), start=1):
        if want is None or got is None:
            frames = sum(segment.frames for segment in segments)
            more = "more" if want is None else "fewer"
            raise VerificationFailed(
                f"the written file holds {more} frames than the {frames} that were encoded",
                hint="this should not happen: please report it with the file",
            )
        if abs(want - got) > tolerance:
            raise VerificationFailed(
                f"frame {count} is at {float(got):.6f} s, not at {float(want):.6f} s",
                hint="this should not happen: please report it with the file",
            )


def _check_streams(
    made: MediaInfo, kept: Sequence[Carry], info: MediaInfo, encoding: Encoding, cut: Cut
) -> None:
    """As many of each kind as were carried; MP4 and MOV have none where there was no packet."""
    for kind, more in (("video", 1), ("audio", 0), ("subtitle", 0)):
        carried = [carry.stream.index for carry in kept if carry.stream.type == kind]
        found = [item for item in made.streams if item.type == kind]
        cover = [
            item for item in found if item.codec in PICTURE_TYPES and encoding.container != "mp4"
        ]
        number, wanted = len(found) - len(cover), len(carried) + more
        if number < wanted and encoding.container in ("mp4", "mov"):
            wanted = max(number, len(_with_packets(info, carried, cut)) + more)
        _same(f"number of {kind} streams", number, wanted)


def _with_packets(info: MediaInfo, indices: Sequence[int], cut: Cut) -> set[int]:
    """Those streams of the source that have a packet in the stretch."""
    found: set[int] = set()
    with opened(info.path) as source:
        streams = {index: source.streams[index] for index in indices}
        with suppress(ReadFault):  # it was read to its end for the target
            for timed in carried_packets(source, streams, cut, Counter()):
                found.add(timed.packet.stream_index)
                if len(found) == len(indices):
                    break
    return found


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


def _times(path: Path, index: int) -> Iterator[Fraction]:
    """Presentation times of every packet in seconds, in the order shown."""
    with opened(path) as container:
        stream = container.streams[index]
        base = stream.time_base or Fraction(1)
        stamps = (packet.pts for packet in container.demux(stream) if packet.size)
        for stamp in _sorted(stamp for stamp in stamps if stamp is not None):
            yield stamp * base


def _sorted(stamps: Iterable[int]) -> Iterator[int]:
    """Sort what is almost sorted, in bounded memory."""
    heap: list[int] = []
    for stamp in stamps:
        heapq.heappush(heap, stamp)
        if len(heap) > MOST_REORDERED:
            yield heapq.heappop(heap)
    yield from chain(heapq.heappop(heap) for _ in range(len(heap)))

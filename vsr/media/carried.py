"""Compare the streams carried into a written file with the source's, packet by packet."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Stream

from vsr.errors import VerificationFailed
from vsr.media.files import opened, read_again, translated, url
from vsr.media.streams.packets import Cut, TimedPacket, carried_packets, text_packets
from vsr.media.streams.stream_mapping import StreamMapping, add_stream
from vsr.system import discard

NO_TEXT = b"\0\0"  # MP4 fills the gaps between lines of text with empty ones
HINT = "the same command joins the finished segments once more; please report it if it fails again"


@dataclass(slots=True)
class Contents:
    """What is in one stream: its packets, the bytes in them one after another, and its times.

    Empty packets do not count.
    """

    packets: int = 0
    """How many packets it has."""
    size: int = 0
    """Bytes of their payloads together."""
    first: Fraction | None = None
    """The first packet's time in seconds; ``None`` until a packet has one."""
    last: Fraction | None = None
    """The last packet's time in seconds; ``None`` until a packet has one."""
    _hash: hashlib.blake2b = field(default_factory=hashlib.blake2b)

    def add(self, packet: Packet[Stream]) -> None:
        """Take one packet in. An empty one (a flush, a gap between lines) does not count."""
        payload = bytes(packet)
        if not payload or payload == NO_TEXT:
            return
        self.packets += 1
        self.size += len(payload)
        self._hash.update(payload)
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None:
            time = stamp * packet.time_base
            self.first = time if self.first is None else self.first
            self.last = time

    @property
    def bytes(self) -> tuple[int, str]:
        """Equal for streams that hold the same bytes, however those are divided into packets."""
        return self.size, self._hash.hexdigest()

    def __str__(self) -> str:
        return f"{self.packets} packets of {self.size} bytes"


def check_carried(
    found: Mapping[int, Contents],
    part: Path,
    source: Path,
    mappings: Sequence[StreamMapping],
    container: str,
    cut: Cut,
) -> None:
    """Hold every carried stream of ``part`` against the source, which is read again for that.

    ``found`` are the contents of ``part``'s streams, without its main video, by index. A container
    may write the same sound in other packets, or without the headers that each had (AAC of a
    transport stream): then what counts is what the same container makes of the source's packets.
    Raises :class:`VerificationFailed`.
    """
    kept = [
        mapping
        for mapping in mappings
        if mapping.action != "drop" and mapping.codec != "attachment"
    ]
    with opened(part) as made:
        pairs = dict(_pairs(list(made.streams), found, kept, container))
        _check_attachments(made, source, kept)
    streams = [mapping for mapping in kept if not _is_file(mapping)]
    wanted = _source_contents(source, streams, cut)
    if not wanted:
        return
    again: dict[int, Contents] = {}
    for mapping in streams:
        want, index = wanted[mapping.stream.index], pairs.get(mapping.stream.index)
        if index is None:
            if want.packets:
                raise VerificationFailed(f"the written file lost {mapping.stream}", hint=HINT)
            continue
        got = found[index]
        if (got.packets, got.bytes) != (want.packets, want.bytes):
            again = again or _remuxed(part, source, kept, container, cut)
            remuxed = again[mapping.stream.index]
            if (got.packets, got.bytes) != (remuxed.packets, remuxed.bytes):
                raise VerificationFailed(
                    f"the written file's {mapping.stream} holds {got}, the source's {want}",
                    hint=HINT,
                )
        _check_times(mapping, got, again.get(mapping.stream.index, want), want)


def _check_times(mapping: StreamMapping, got: Contents, remuxed: Contents, want: Contents) -> None:
    """First and last times are the source's, or those of the same container remuxed.

    Within a millisecond, the coarsest grid of the containers.
    """
    for name in ("first", "last"):
        mine = getattr(got, name)
        theirs = [getattr(contents, name) for contents in (want, remuxed)]
        if mine is None or None in theirs:
            continue
        if min(abs(mine - time) for time in theirs) > Fraction(1, 1000):
            raise VerificationFailed(
                f"the {name} packet of the written file's {mapping.stream} is at "
                f"{float(mine):.6f} s, not at {float(theirs[0]):.6f} s",
                hint=HINT,
            )


def _is_file(mapping: StreamMapping) -> bool:
    return mapping.stream.type == "attachment"


def _pairs(
    streams: Sequence[Stream],
    found: Mapping[int, Contents],
    kept: Sequence[StreamMapping],
    container: str,
) -> Iterator[tuple[int, int]]:
    """Which stream of the written file is which of the source's: they keep their order."""
    ours = [stream for stream in streams if stream.index in found]
    ours = [stream for stream in ours if stream.type != "attachment"]
    if container == "matroska":  # covers that became attachments are shown as video streams
        carried_video = sum(mapping.stream.type == "video" for mapping in kept)
        videos = [stream for stream in ours if stream.type == "video"]
        covers = [stream.index for stream in videos[carried_video:]]
        ours = [stream for stream in ours if stream.index not in covers]
    waiting = [mapping for mapping in kept if not _is_file(mapping)]
    for stream in ours:
        while waiting:
            mapping = waiting.pop(0)
            if mapping.stream.type == stream.type:
                yield mapping.stream.index, stream.index
                break


def _check_attachments(made: InputContainer, source: Path, kept: Sequence[StreamMapping]) -> None:
    """Files in the file, such as fonts, hold the same bytes."""
    indices = [mapping.stream.index for mapping in kept if _is_file(mapping)]
    if not indices:
        return
    with opened(source) as origin:
        wanted = Counter(_attached(origin.streams[index]) for index in indices)
    lost = wanted - Counter(_attached(stream) for stream in made.streams)
    if lost:
        raise VerificationFailed(f"the written file lost {lost.total()} attachments", hint=HINT)


def _attached(stream: Stream) -> bytes:
    return bytes(stream.data or b"") if isinstance(stream, AttachmentStream) else b""


def _source_contents(source: Path, kept: Sequence[StreamMapping], cut: Cut) -> dict[int, Contents]:
    """What the source has of each carried stream, by its index there."""
    if not kept:
        return {}

    def attempt(ends_at: int | None) -> dict[int, Contents]:
        contents = {mapping.stream.index: Contents() for mapping in kept}
        with ExitStack() as inputs:
            container = inputs.enter_context(opened(source))
            own = {index: container.streams[index] for index in contents}
            for timed in _packets(container, inputs, source, own, kept, cut, ends_at):
                contents[timed.order - 1].add(timed.packet)
        return contents

    return read_again(source, attempt)


def _remuxed(
    part: Path, source: Path, kept: Sequence[StreamMapping], container: str, cut: Cut
) -> dict[int, Contents]:
    """What a file of the carried streams alone holds, by the index of each in the source."""
    path = part.with_name(f"carried{part.suffix}")

    def attempt(ends_at: int | None) -> dict[int, Contents]:
        with (
            ExitStack() as inputs,
            translated(path, "write"),
            av.open(url(path), "w", format=container) as output,
        ):
            read = inputs.enter_context(opened(source))
            added = {
                mapping.stream.index: add_stream(
                    output, read.streams[mapping.stream.index], mapping
                )
                for mapping in kept
            }
            output.start_encoding()
            for timed in _packets(read, inputs, source, added, kept, cut, ends_at):
                output.mux_one(timed.packet)
        with opened(path) as made:
            found = {stream.index: Contents() for stream in made.streams}
            for packet in made.demux():
                found[packet.stream_index].add(packet)
            pairs = dict(_pairs(list(made.streams), found, kept, container))
        return {index: found[pairs[index]] if index in pairs else Contents() for index in added}

    try:
        return read_again(source, attempt)
    finally:
        discard(path)


def _packets(
    container: InputContainer,
    inputs: ExitStack,
    source: Path,
    added: Mapping[int, Stream],
    kept: Sequence[StreamMapping],
    cut: Cut,
    ends_at: int | None,
) -> Iterator[TimedPacket]:
    """The packets that are carried, in order; ``order`` is their stream's index in the source + 1.

    ``inputs`` owns the containers that are opened beside: lines of text are read on their own.
    """
    same = {
        mapping.stream.index: added[mapping.stream.index]
        for mapping in kept
        if mapping.action == "keep"
    }
    lines = [
        text_packets(
            inputs.enter_context(opened(source)), added[mapping.stream.index], mapping, cut
        )
        for mapping in kept
        if mapping.action == "convert"
    ]
    return heapq.merge(carried_packets(container, same, cut, Counter(), ends_at=ends_at), *lines)

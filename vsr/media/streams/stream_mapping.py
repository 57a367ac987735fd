"""What happens to every stream beside the main video: kept, converted, or dropped by name.

Whether a container can hold a stream is asked of FFmpeg itself, by writing the stream's header and
first packet to memory.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from vsr.media.files import opened
from vsr.media.read.probe import MediaInfo, StreamInfo
from vsr.media.stall import timed

Action = Literal["keep", "convert", "drop"]
TEXT_CODECS = {"subrip", "srt", "text", "mov_text", "webvtt", "ass", "ssa"}
PICTURE_TYPES = {
    "mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png"), "gif": ("gif", "image/gif"),
    "tiff": ("tiff", "image/tiff"), "bmp": ("bmp", "image/bmp"), "webp": ("webp", "image/webp"),
}  # fmt: skip
TEXT_IN = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
# A tx3g sample description's defaults (3GPP TS 26.245, 5.16): bottom centre, white, one font.
_TX3G = bytes.fromhex(
    "00000000 01ff 00000000 0000000000000000 0000 0000 0001 00 12 ffffffff"
    "00000012 66746162 0001 0001 05 5365726966"
)


@dataclass(frozen=True, slots=True)
class StreamMapping:
    """What becomes of one stream of the source in the target."""

    stream: StreamInfo
    """The stream in the source."""
    action: Action
    """Whether its packets are kept, converted or dropped."""
    codec: str = ""
    """The codec that it is converted to."""
    why: str = ""
    """Why it is dropped, or what else there is to say of it, as a clause."""
    picture: bytes = field(default=b"", repr=False)
    """Cover art that becomes an attachment."""
    name: str = ""
    """The attachment's file name."""

    def __str__(self) -> str:
        if self.action == "convert":
            return f"{self.stream} to {self.codec}"
        return f"{self.stream} ({self.why})" if self.why else str(self.stream)


def map_streams(info: MediaInfo, container: str) -> tuple[StreamMapping, ...]:
    """Decide for every stream but the main video, in the source's order."""
    mappings: list[StreamMapping] = []
    for described in info.streams:
        if described.index == info.video:
            continue
        with opened(info.path) as source:  # opened anew: not every file can be wound back
            stream = source.streams[described.index]
            if not _is_chapter_track(stream, source):
                mapping = _map_stream(source, stream, described, container)
                if mapping.picture:
                    taken = {other.name for other in mappings}
                    mapping = replace(mapping, name=_attachment_name(stream, described, taken))
                mappings.append(mapping)
    return tuple(mappings)


def _attachment_name(stream: Stream, described: StreamInfo, taken: set[str]) -> str:
    """The name that cover art had as an attachment, or ``cover`` (Matroska's own word for it)."""
    suffix = PICTURE_TYPES[described.codec][0]
    said = {key.lower(): text for key, text in stream.metadata.items()}.get("filename", "")
    name = said or f"cover.{suffix}"
    return name if name not in taken else f"cover{described.index}.{suffix}"


def add_stream(output: OutputContainer, stream: Stream, mapping: StreamMapping) -> Stream:
    """The output's stream for a carried one, with its metadata and disposition."""
    if mapping.codec == "attachment":  # Matroska keeps cover art as a file that is attached
        kind = PICTURE_TYPES[mapping.stream.codec][1]
        return output.add_attachment(mapping.name, kind, mapping.picture)
    if mapping.action == "convert":
        added = _text_stream(output, mapping.codec)
        added.time_base = stream.time_base
    elif stream.type in ("data", "attachment"):  # no codec context, whatever the stubs say
        added = output.add_stream_from_template(stream)
    else:
        added = output.add_stream_from_template(stream, opaque=True)
    added.metadata.update(stream.metadata)
    added.disposition = stream.disposition
    return added


def _text_stream(output: OutputContainer, codec: str) -> Stream:
    """A new text subtitle stream. Only a stream made from a template has room for tx3g's sample
    description, so for MP4 the template is a file in memory with such a stream."""
    if codec != "mov_text":
        return output.add_mux_stream(codec)
    memory = io.BytesIO()
    with av.open(memory, "w", format="mp4") as made:
        made.add_mux_stream(codec).time_base = Fraction(1, 1000)
        made.start_encoding()
    memory.seek(0)
    with av.open(memory) as read:
        added = output.add_stream_from_template(read.streams.subtitles[0], opaque=True)
    added.codec_context.extradata = _TX3G
    return added


def _map_stream(
    source: InputContainer, stream: Stream, described: StreamInfo, container: str
) -> StreamMapping:
    if "attached_pic" in described.disposition and container != "mp4":
        if container == "matroska" and described.codec in PICTURE_TYPES:
            picture = next(bytes(packet) for packet in timed(source.demux(stream)) if packet.size)
            return StreamMapping(described, "convert", codec="attachment", picture=picture)
        return StreamMapping(described, "drop", why=f"{container} cannot hold it")
    if _can_hold(source, stream, container):
        note = "as it is, not enlarged" if described.type == "video" else ""
        return StreamMapping(described, "keep", why=note)
    target = TEXT_IN[container]
    if isinstance(stream, SubtitleStream) and described.codec in TEXT_CODECS:
        return StreamMapping(described, "convert", codec=target)
    return StreamMapping(described, "drop", why=f"{container} cannot hold it")


def _can_hold(source: InputContainer, stream: Stream, container: str) -> bool:
    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            described = StreamInfo(stream.index, stream.type or "", "", "", "", ())
            added = add_stream(trial, stream, StreamMapping(described, "keep"))
            trial.start_encoding()
            if stream.type == "attachment":
                return True
            for packet in timed(source.demux(stream)):
                if packet.size:
                    packet.stream = added
                    trial.mux_one(packet)
                break
    except (FFmpegError, ValueError, OSError):
        return False
    return True


def _is_chapter_track(stream: Stream, source: InputContainer) -> bool:
    """MP4 keeps chapters as a text track too, which demuxes as data; it is written again anew."""
    return (
        stream.type == "data"
        and bool(source.chapters())
        and "mp4" in source.format.name
        and stream.metadata.get("handler_name") == "SubtitleHandler"
    )


def mapping_by_target(info: MediaInfo) -> dict[str, list[str]]:
    """What an upscale of ``info`` would do with each stream, for each kind of target.

    What of its frames no target holds is among what is dropped.
    """
    rows: dict[str, list[str]] = {}
    for suffix, container in (("mp4", "mp4"), ("mkv", "matroska")):
        mappings = map_streams(info, container)
        for action in ("keep", "convert", "drop"):
            rows[f"{action}_in_{suffix}"] = [str(c) for c in mappings if c.action == action]
        rows[f"drop_in_{suffix}"] += info.lost
    return rows

"""What is in a video file: streams, time, colour, HDR, rotation. Decodes one frame, no more."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
from av.codec.context import CodecContext
from av.container import InputContainer
from av.error import FFmpegError
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from vsr.color import FULL_RANGE, UNSPECIFIED, ColorSpec
from vsr.errors import MediaError
from vsr.geometry import Box, Size
from vsr.media.files import opened, stamp
from vsr.media.limits import FFMPEG_PIXELS, HINT, SOURCE_PIXELS, check_claim
from vsr.media.pixels import layout_of, nearest_planar
from vsr.media.read.siting import read_siting
from vsr.media.side_data import read_side_data
from vsr.media.stall import timed
from vsr.media.write.hdr import Hdr, read_hdr

FOLDER = "folder of pictures"
FROM_ZERO = {"matroska"}
"""Formats whose duration is the time of the end, wherever the file begins."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One stream as the container describes it."""

    index: int
    """Its place among the container's streams, from 0."""
    type: str
    """FFmpeg's word for its kind: ``video``, ``audio``, ``subtitle``, ``attachment``, ``data``; or
    ``unknown``."""
    codec: str
    """FFmpeg's name of the codec; else the MIME type of an attachment, or ``unknown``."""
    language: str
    """Its language tag, such as ``eng``; may be empty."""
    title: str
    """Its title, or an attachment's file name; may be empty."""
    disposition: tuple[str, ...]
    """Names of FFmpeg's flags that are set, such as ``default`` and ``forced``."""

    def __str__(self) -> str:
        words = [f"#{self.index} {self.type}", self.codec]
        words += [word for word in (self.language, f'"{self.title}"' if self.title else "") if word]
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """A video file, or a folder of pictures that stands for a video.

    Times are in units of ``time_base`` unless the name says seconds.
    """

    path: Path
    """The file or folder."""
    container: str
    """FFmpeg's name of the format, which may list several; :data:`FOLDER` for a folder."""
    video: int
    """Index of the main video stream."""
    codec: str
    """FFmpeg's name of the main video's codec; of a folder, the first picture's suffix."""
    decoder: str | None
    """FFmpeg's name of the decoder to read with; ``None``: the one that it takes by itself."""
    size: Size
    """Size of frames as they are read, in source pixels: of ``crop``, where there is one."""
    color: ColorSpec
    """What code values mean, in the format ``read_as``; the matrix may be unspecified."""
    pix_fmt: str
    """Pixel format that the decoder gives; of a folder, the layout alone."""
    read_as: str
    """Planar pixel format that frames are converted to; of a folder, the layout alone."""
    time_base: Fraction
    """The unit of the main video's times, in seconds."""
    frame_rate: Fraction
    """Frames a second as claimed; 25 where nothing sensible is. Times come from the frames."""
    start_seconds: float
    """When the file begins, by its own clock."""
    duration_seconds: float | None
    """How long it lasts, as the container claims; ``None`` where it does not say."""
    frames: int | None
    """How many frames the container claims to show, which may be wrong; ``None`` where it does
    not."""
    rotation: int
    """Degrees counterclockwise by which frames are turned to be shown."""
    display_matrix: tuple[int, ...] | None
    """That turn, flips and shifts as nine integers of FFmpeg's display matrix; ``None`` without
    one."""
    sample_aspect: Fraction | None
    """Width of a pixel for its height; ``None`` where unknown."""
    field_order: str
    """``unknown``, ``progressive``, ``top first``, ``bottom first``, ``top coded`` or ``bottom
    coded``, as the stream claims."""
    flagged_interlaced: bool
    """Whether the stream or its first frame claims to be interlaced."""
    hdr: Hdr | None
    """HDR10 static metadata of the first frame; ``None`` without any."""
    lost: tuple[str, ...]
    """What no target will hold, for people."""
    streams: tuple[StreamInfo, ...]
    """Every stream of the file, the main video too; none of a folder."""
    chapters: int
    """How many chapters it has."""
    metadata: dict[str, str]
    """The container's tags."""
    stamp: tuple[int, ...]
    """Bytes, modification time in nanoseconds and inode of the file, or of each one in a folder:
    equal while nothing changed."""
    first: int = 0
    """Time of the first decoded frame; 0 where it has none."""
    frame_tags: tuple[int, int, int, int] = (UNSPECIFIED, 0, UNSPECIFIED, UNSPECIFIED)
    """Matrix, range, primaries and transfer as the first frame itself says them."""
    crop: Box | None = None
    """The part of decoded frames that is read, in source pixels; ``None``: all of them."""
    decoded: Size | None = None
    """Size of frames as decoded, where ``crop`` is set; else ``None``: see :attr:`full_size`."""

    @property
    def full_size(self) -> Size:
        """The size of frames as they are decoded."""
        return self.decoded or self.size

    @property
    def is_folder(self) -> bool:
        """Whether this stands for a folder of frames rather than a video file."""
        return self.container == FOLDER

    @property
    def hides_early(self) -> bool:
        """Whether an edit list may hide frames: they have times below 0 then.

        FFmpeg's decoders leave such frames out by themselves, but not those of fragmented files.
        """
        return _is_mov(self.container)


def probe(path: Path, *, allow_huge: bool = False) -> MediaInfo:
    """Read a file's description and its first frame. Raises :class:`MediaError`."""
    before = stamp(path)
    most = FFMPEG_PIXELS if allow_huge else SOURCE_PIXELS
    with opened(path, most_pixels=most) as container:
        stream = _main_video(container, path)
        # A context without a codec is one that FFmpeg does not know, whatever the stubs say.
        if stream.codec_context is None or stream.codec_context.codec is None:  # pyright: ignore
            raise MediaError(
                f"{path}: FFmpeg has no decoder for its video",
                hint="convert it with a program that knows its codec, such as the one it came from",
            )
        if stream.width > 0 and stream.height > 0:
            check_claim(path, Size(stream.width, stream.height), allow_huge=allow_huge)
        stream.codec_context.options = {"max_pixels": str(most)}  # what its own headers claim
        decoder = _decoder_for(container, stream)
        frame = _first_frame(container, stream, path)
        context = stream.codec_context
        size = Size(frame.width, frame.height)
        check_claim(path, size, allow_huge=allow_huge)
        read_as = nearest_planar("yuva420p" if decoder else frame.format.name)
        layout = layout_of(read_as)
        assert layout is not None, read_as
        color = replace(
            layout,
            matrix=_tag(context.colorspace, frame.colorspace),
            range=layout.range or _tag(context.color_range, frame.color_range, unset=0),
            primaries=_tag(context.color_primaries, frame.color_primaries),
            transfer=_tag(context.color_trc, frame.color_trc),
        )
        if color.layout == "gray" and not color.range:
            color = replace(color, range=FULL_RANGE)  # as libswscale and players read it
        extras = read_side_data(frame)
        hdr, senseless = read_hdr(extras.known)
        matrix = _matrix(extras.known.get(SideDataType.DISPLAYMATRIX))
        rotation = round(frame.rotation)
        if abs(rotation) > 360:  # FFmpeg's word for a matrix that maps all to a line, or a point
            matrix, rotation = None, 0
            senseless += ("display matrix that makes no sense",)
        time_base = stream.time_base
        assert time_base is not None, "a video stream has a time base"
        start, duration = container.start_time or 0, container.duration
        hidden = min(0, stream.start_time or 0) if _is_mov(container.format.name) else 0
        if hidden or (duration is None and stream.duration is not None):
            # The container's duration counts what an edit list hides of any stream.
            duration = int(((stream.duration or 0) + hidden) * time_base * av.time_base) or None
        if hidden:
            start = 0
        if duration is not None and format_of(container) in FROM_ZERO and 0 < start < duration:
            duration -= start
        rates = (stream.average_rate, stream.base_rate, stream.guessed_rate)
        info = MediaInfo(
            path=path,
            container=container.format.name,
            video=stream.index,
            codec=context.codec.canonical_name,
            decoder=decoder,
            size=size,
            color=color,
            pix_fmt=frame.format.name,
            read_as=read_as,
            time_base=time_base,
            # Matroska without a rate claims its 1 ms grid; 25 then, for rate control alone.
            frame_rate=next((rate for rate in rates if rate and rate <= 480), Fraction(25)),
            start_seconds=start / av.time_base,
            duration_seconds=None if duration is None else duration / av.time_base,
            frames=_claimed_frames(stream),
            rotation=rotation,
            display_matrix=matrix,
            sample_aspect=stream.sample_aspect_ratio or context.sample_aspect_ratio,
            field_order=_field_order(context.field_order),
            flagged_interlaced=bool(frame.interlaced_frame) or context.field_order > 1,
            hdr=hdr,
            lost=extras.lost + senseless + _early_chapters(container),
            streams=tuple(_stream_info(item) for item in container.streams),
            chapters=len(container.chapters()),
            metadata=dict(container.metadata),
            stamp=before,
            first=frame.pts or 0,
            frame_tags=tags_of(frame),
        )
    return replace(info, color=replace(color, siting=read_siting(path, info.video)))


def _early_chapters(container: InputContainer) -> tuple[str, ...]:
    """Chapters that end before time begins: Matroska's muxer refuses to write any such."""
    early = sum(chapter["end"] < 0 for chapter in container.chapters())
    return (f"{early} chapters that end before the beginning",) if early else ()


def _main_video(container: InputContainer, path: Path) -> VideoStream:
    videos = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not videos:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise MediaError(f"{path} holds no video, only {kinds}", hint="give a file with video")
    default = [s for s in videos if s.disposition & Disposition.default]
    return (default or videos)[0]


def _decoder_for(container: InputContainer, stream: VideoStream) -> str | None:
    """FFmpeg's own VP8 and VP9 decoders leave the alpha channel behind; libvpx has it."""
    names = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
    wanted = names.get(stream.codec_context.codec.canonical_name)
    tagged = {key.lower(): value for key, value in stream.metadata.items()}.get("alpha_mode") == "1"
    if not (tagged and wanted in av.codecs_available):
        return None
    packet = next(timed(container.demux(stream)))
    container.seek(0)
    return wanted if packet.has_sidedata("matroska_block_additional") else None


def _first_frame(container: InputContainer, stream: VideoStream, path: Path) -> av.VideoFrame:
    problem = ""
    for packet in timed(container.demux(stream)):
        if packet.has_sidedata("encryption_info"):
            raise MediaError(
                f"{path} is encrypted (DRM)", hint="only unprotected files can be read"
            )
        try:
            for frame in packet.decode():
                return frame
        except FFmpegError as error:
            problem = f": {error.strerror}"
    if stream.codec_context.codec.canonical_name == "webp":
        raise MediaError(
            f"{path} is a WebP animation, of which FFmpeg decodes no frame, or it is damaged",
            hint="make an APNG of it: named .apng, it is read as a video",
        )
    if not stream.width:  # FFmpeg forgets a size that is beyond its bound
        raise MediaError(
            f"{path} claims no frame size, or more than {SOURCE_PIXELS >> 20} million pixels",
            hint=f"it is damaged; {HINT}",
        )
    raise MediaError(
        f"not one frame of {path} can be decoded{problem}",
        hint="it is damaged, cut off or encrypted, or claims frames too large without --allow-huge",
    )


def _claimed_frames(stream: VideoStream) -> int | None:
    """How many frames the container says that it shows, without those that an edit list hides."""
    if stream.frames and _is_mov(stream.container.format.name) and len(stream.index_entries):
        return sum(not entry.is_discard for entry in stream.index_entries) or None
    return stream.frames or None


def format_of(container: InputContainer) -> str:
    """FFmpeg's name of a file's format, the first of those that it lists."""
    return container.format.name.split(",")[0]


def _is_mov(container: str) -> bool:
    """MP4, QuickTime and their kin, which have edit lists."""
    return "mov" in container.split(",")


def _tag(declared: int, decoded: int, unset: int = UNSPECIFIED) -> int:
    """The bitstream's word where the container is silent. 3 is reserved, 0 is RGB or nothing."""
    known = [int(tag) for tag in (declared, decoded) if int(tag) not in (unset, 3)]
    return known[0] if known else unset


def tags_of(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """Matrix, range, primaries and transfer as a decoded frame says them."""
    tags = frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc
    return int(tags[0]), int(tags[1]), int(tags[2]), int(tags[3])


def _matrix(data: bytes | None) -> tuple[int, ...] | None:
    if data is None:
        return None
    return tuple(int.from_bytes(data[at : at + 4], "little", signed=True) for at in range(0, 36, 4))


def _field_order(order: int) -> str:
    names = ("unknown", "progressive", "top first", "bottom first", "top coded", "bottom coded")
    return names[order] if 0 <= order < len(names) else "unknown"


def _stream_info(stream: Stream) -> StreamInfo:
    metadata = {key.lower(): value for key, value in stream.metadata.items()}
    context: CodecContext | None = stream.codec_context
    disposition = Disposition(stream.disposition)
    flags = [flag.name or "" for flag in Disposition if flag in disposition]
    return StreamInfo(
        index=stream.index,
        type=stream.type or "unknown",
        codec=context.codec.canonical_name if context else metadata.get("mimetype", "unknown"),
        language=stream.language or "",
        title=metadata.get("title", metadata.get("filename", "")),
        disposition=tuple(flags),
    )

"""Encode clips to segment files, each of which appears only when it is complete."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from vsr.errors import DeviceError, MediaError, OptionsError
from vsr.media.clip import Clip
from vsr.media.files import translated, url
from vsr.media.grain import GrainMaker
from vsr.media.pixels import name_of, pack, planes_of
from vsr.media.write.encoding import Encoding
from vsr.media.write.film_grain import FilmGrain
from vsr.system import discard, replace_file, scheduling_kept, sha256_of, sync_path


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive encoded frames in a file of their own.

    The file begins at zero; the times in ``coded`` are what counts, not those of the file.
    """

    index: int
    """The number of the segment in its run, from 0."""
    path: Path
    """The finished file."""
    coded: tuple[int, ...]
    """Presentation times in units of :attr:`Timing.time_base`, in the order of the file's packets:
    with B-frames not the order shown."""
    last_duration: int
    """How long the last frame is shown, in the same units; 0 where unknown."""
    sha256: str
    """Digest of the file, in hexadecimal."""

    @property
    def frames(self) -> int:
        """How many frames it holds."""
        return len(self.coded)

    @property
    def shown(self) -> tuple[int, ...]:
        """Presentation times in the order shown."""
        return tuple(sorted(self.coded))

    @property
    def reorder(self) -> int:
        """By how many frames decoding order runs ahead of presentation order."""
        ranks = {pts: rank for rank, pts in enumerate(self.shown)}
        return max(place - ranks[pts] for place, pts in enumerate(self.coded))


@dataclass(frozen=True, slots=True)
class Timing:
    """The times and the shape of pixels that an encoder is set up with."""

    time_base: Fraction
    """The unit of frames' times, in seconds: the source's, or that of its field plan."""
    frame_rate: Fraction
    """Frames a second that rate control goes by; frames keep their own times."""
    sample_aspect: Fraction | None
    """Width of a pixel for its height; ``None`` where unknown."""


class SegmentWriter:
    """Encode one segment: ``write`` clips, then ``finish`` for its :class:`Segment`.

    The file is written under a name with ``.part`` and renamed once it is on the disk; leaving the
    ``with`` block without ``finish`` removes it.
    """

    def __init__(self, index: int, path: Path, encoding: Encoding, timing: Timing) -> None:
        self.index, self.path = index, path
        self._encoding, self._timing = encoding, timing
        self._part = path.with_name(path.name + ".part")
        self._shown: list[int] = []
        self._coded: list[int] = []
        self._last_duration = 0
        self._container: OutputContainer | None = None
        self._reformatter = VideoReformatter()
        self._grain_maker: GrainMaker | None = None
        self._film_grain: FilmGrain | None = None
        with translated(path, "write"):
            self._container = av.open(
                url(self._part),
                "w",
                format=encoding.entry.segment,
                options={"avoid_negative_ts": "disabled"},
            )
            stream = self._container.add_stream(
                encoding.entry.encoder, rate=timing.frame_rate, options=dict(encoding.options)
            )
            self._stream = cast(VideoStream, stream)
            self._stream.time_base = timing.time_base
            configure(self._stream.codec_context, encoding, timing)
            open_encoder(self._stream.codec_context)
            self._add_film_grain(self._stream.codec_context)

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(
            OSError, FFmpegError
        ):  # on a full disk closing fails too; what failed first is told
            self._close()
        discard(self._part)

    @property
    def frames(self) -> int:
        """How many frames were handed over."""
        return len(self._shown)

    def write(self, clip: Clip) -> None:
        """Encode every frame of a clip, which has the encoding's colour layout and size."""
        color = self._encoding.color
        with translated(self.path, "write"):
            for place, pts in enumerate(clip.pts):
                frame = pack(clip.planes, place, color, name_of(color))
                if self._grain_maker is not None:
                    self._grain_maker.add(planes_of(frame, color), pts)
                if frame.format.name != self._encoding.pix_fmt:
                    frame = self._reformatter.reformat(frame, format=self._encoding.pix_fmt)
                self._shown.append(pts)
                frame.pts, frame.time_base = pts - self._shown[0], clip.time_base
                frame.duration = self._last_duration = clip.durations[place]
                frame.colorspace, frame.color_range = self._encoding.matrix_tag, color.range
                frame.color_primaries, frame.color_trc = color.primaries, color.transfer
                self._encode(frame)

    def finish(self) -> Segment:
        """Flush the encoder, put the file on the disk under its name, and describe it."""
        with translated(self.path, "write"):
            self._encode(None)
            self._close()
            if sorted(self._coded) != self._shown:
                raise MediaError(
                    f"{self._encoding.entry.encoder} returned {len(self._coded)} frames "
                    f"for {len(self._shown)}, or changed their times",
                    hint="leave out the --encoder-option that drops frames, or use another --codec",
                )
            digest = _synced_hash(self._part)
            replace_file(self._part, self.path)
        return Segment(self.index, self.path, tuple(self._coded), self._last_duration, digest)

    def _encode(self, frame: av.VideoFrame | None) -> None:
        assert self._container is not None
        for packet in cast("list[av.Packet[Stream]]", self._stream.encode(frame)):
            assert packet.pts is not None
            # x265 tells none of fewer frames than it reorders: what its memory held, at random.
            if packet.dts is not None:
                packet.dts = min(packet.dts, packet.pts)
            time = packet.pts * packet.time_base / self._timing.time_base
            self._coded.append(round(time) + self._shown[0])
            if self._film_grain is not None:
                packet = self._film_grain.of_packet(packet, self._coded[-1])
            self._container.mux(packet)

    def _add_film_grain(self, context: VideoCodecContext) -> None:
        """As parameters where the codec has them, else in the frames."""
        grain, encoder = self._encoding.grain, self._encoding.entry.encoder
        if grain is None:
            return
        if encoder == "libsvtav1":
            self._film_grain = FilmGrain(grain, self._encoding.color)
            context.extradata = self._film_grain.of_header(context.extradata or b"")
        else:
            self._grain_maker = GrainMaker(grain, self._encoding.color)

    def _close(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            container.close()


def configure(context: VideoCodecContext, encoding: Encoding, timing: Timing) -> None:
    """Set up an encoder that is not open yet."""
    context.width, context.height = encoding.size.width, encoding.size.height
    context.pix_fmt = encoding.pix_fmt
    context.time_base = timing.time_base
    context.framerate = timing.frame_rate
    context.options = dict(encoding.options)
    context.thread_type = "AUTO"
    describe(context, encoding, timing)


def open_encoder(context: VideoCodecContext) -> None:
    """Open it at the scheduling that this process has.

    SVT-AV1, opened by root, puts the whole process above everything else on the machine
    (``SCHED_FIFO`` at 99), where nobody else's work gets a turn any more.
    """
    with scheduling_kept():
        context.open()


def describe(context: VideoCodecContext, encoding: Encoding, timing: Timing) -> None:
    """The shape of pixels and the colour tags, for an encoder or for a container's header."""
    color = encoding.color
    if timing.sample_aspect is not None:
        context.sample_aspect_ratio = timing.sample_aspect
    context.color_range = color.range
    context.colorspace = encoding.matrix_tag
    context.color_primaries = color.primaries
    context.color_trc = color.transfer


def check_opens(encoding: Encoding, timing: Timing) -> None:
    """Open the encoder once at its size, so that a refusal comes before any work."""
    try:
        context = cast(VideoCodecContext, av.CodecContext.create(encoding.entry.encoder, "w"))
        configure(context, encoding, timing)
        open_encoder(context)
        unknown = list(context.options)
    except (FFmpegError, OSError, ValueError) as error:
        if encoding.codec.endswith("_nvenc"):
            raise DeviceError(
                f"{encoding.codec} cannot be opened: this machine has no encoder for it",
                hint="it needs an NVIDIA card with NVENC, unlike data-centre cards: --codec hevc",
            ) from error
        options = ", ".join(f"{key}={value}" for key, value in encoding.options)
        raise OptionsError(
            f"{encoding.entry.encoder} refuses {encoding.size} {encoding.pix_fmt} with {options}",
            hint="check --preset, --crf and --encoder-option, or try another --codec",
        ) from error
    if unknown:
        raise OptionsError(
            f"{encoding.entry.encoder} has no option {', '.join(unknown)}",
            hint="names are FFmpeg's; x265's own go into x265-params, SVT-AV1's into svtav1-params",
        )


def _synced_hash(path: Path) -> str:
    sync_path(path)
    return sha256_of(path)

"""Write one video file through PyAV. Pictures and sound come in; nothing is drawn here."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)
from canvas import Pixels

SAMPLE_RATE = 48_000
MILLISECOND = Fraction(1, 1000)

Sound = npt.NDArray[np.float32]  # (2, n) left and right, -1..1


@dataclass(frozen=True)
class Span:
    """A chapter or a subtitle."""

    start_seconds: float
    end_seconds: float
    words: str


@dataclass(frozen=True)
class Clip:
    """What one sample holds."""

    name: str
    suffix: str
    title: str
    rate: int
    count: int
    pictures: Callable[[int, int], Iterator[Pixels]]
    """Takes (count, rate), gives pictures of twice the original's size."""
    sound: Callable[[float], Sound]
    """Takes seconds."""
    audio_codec: Literal["aac", "libopus"]
    chapters: tuple[Span, ...]
    subtitles: tuple[Span, ...]
    original_crf: float
    low_crf: float = 18.0


class Writer:
    """One output file. It appears under its name only when it is whole."""

    def __init__(self, path: Path, clip: Clip, *, width: int, height: int, crf: float) -> None:
        """Open `path`; the sound, the chapters and the subtitles are written at once."""
        self.path, self.clip = path, clip
        self.part = path.with_name(f"{path.name}.part")
        form = {".mkv": "matroska", ".mp4": "mp4"}[path.suffix]
        # bitexact: no random segment id, no dates; the same input gives the same bytes
        self.container = av.open(str(self.part), "w", format=form, options={"fflags": "+bitexact"})
        self.container.metadata["title"] = clip.title
        self.reformatter = VideoReformatter()
        self.sent = 0
        self._add_video(width, height, crf)
        self.audio = self.container.add_stream(clip.audio_codec, rate=SAMPLE_RATE, layout="stereo")
        self.audio.bit_rate = 64_000
        self.audio.metadata["language"] = "eng"
        self._add_chapters()
        self._mux_subtitles()
        self._mux_sound(clip.sound(clip.count / clip.rate))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.container.mux(self.video.encode(None))
        self.container.close()
        if kind is None:
            self.part.replace(self.path)
        else:
            self.part.unlink(missing_ok=True)

    def add(self, picture: Pixels) -> None:
        """Encode the next picture, (height, width, 3)."""
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame = self.reformatter.reformat(
            rgb,
            format="yuv420p",
            src_color_range=ColorRange.JPEG,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            dst_color_primaries=ColorPrimaries.BT709,
            dst_color_trc=ColorTrc.BT709,
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND,
            threads=1,
        )
        frame.pts, frame.time_base = self.sent, Fraction(1, self.clip.rate)
        self.sent += 1
        self.container.mux(self.video.encode(frame))

    def _add_video(self, width: int, height: int, crf: float) -> None:
        options = {"crf": f"{crf:g}", "preset": "slow", "psy-rd": "0.4:0"}
        if width % 256:  # with mbtree, x264 gives other bytes on each run at 320 px, not at 1280
            options["mbtree"] = "0"
        self.video = self.container.add_stream("libx264", rate=self.clip.rate, options=options)
        self.video.width, self.video.height = width, height
        self.video.pix_fmt = "yuv420p"
        self.video.metadata["language"] = "eng"
        context = self.video.codec_context
        context.time_base = Fraction(1, self.clip.rate)
        context.thread_count = 2
        context.colorspace = Colorspace.ITU709
        context.color_range = ColorRange.MPEG
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709

    def _add_chapters(self) -> None:
        self.container.set_chapters(
            [
                {
                    "id": number,
                    "start": round(span.start_seconds * 1000),
                    "end": round(span.end_seconds * 1000),
                    "time_base": MILLISECOND,
                    "metadata": {"title": span.words},
                }
                for number, span in enumerate(self.clip.chapters, start=1)
            ]
        )

    def _mux_subtitles(self) -> None:
        if not self.clip.subtitles:
            return
        with av.open(io.BytesIO(to_srt(self.clip.subtitles)), "r", format="srt") as source:
            text = source.streams.subtitles[0]
            stream = self.container.add_stream_from_template(text)
            stream.metadata["language"] = "eng"
            stream.metadata["title"] = "English"
            for packet in source.demux(text):
                if packet.size:  # the last packet is an empty flush packet
                    packet.stream = stream
                    self.container.mux(packet)

    def _mux_sound(self, sound: Sound) -> None:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), "fltp", "stereo")
        frame.sample_rate, frame.pts = SAMPLE_RATE, 0
        frame.time_base = Fraction(1, SAMPLE_RATE)
        self.container.mux(self.audio.encode(frame))
        self.container.mux(self.audio.encode(None))


def to_srt(spans: tuple[Span, ...]) -> bytes:
    """Write the text of an SRT file."""
    blocks = [
        f"{number}\n{_clock(span.start_seconds)} --> {_clock(span.end_seconds)}\n{span.words}\n"
        for number, span in enumerate(spans, start=1)
    ]
    return "\n".join(blocks).encode()


def _clock(seconds: float) -> str:
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02},{milliseconds:03}"

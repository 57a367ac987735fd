"""Interlaced and telecined video made from known pictures, so that frames can be counted."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.filter import Graph

Picture = np.ndarray  # (h, w) luma, uint8
NTSC, FILM, PAL = Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25)
WIDTH, HEIGHT = 192, 144
INTERLACED = 1 << 18 | 1 << 29  # the codec flags of interlaced transform and motion search


def pictures(count: int, *, seed: int = 0, speed: float = 3.0) -> list[Picture]:
    """Moments of a scene that moves all the time: a textured ground and a disc before it."""
    random = np.random.default_rng(seed)
    wide = cv2.GaussianBlur(random.normal(0, 1, (HEIGHT + 80, WIDTH + 1200)), (0, 0), 2.2)
    ground = np.clip(128 + 45 * wide / wide.std(), 16, 235).astype(np.float32)
    made: list[Picture] = []
    for number in range(count):
        at = np.array([[1, 0, -speed * number], [0, 1, -20 - 8 * np.sin(number / 9)]], np.float32)
        picture = cv2.warpAffine(ground, at, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
        disc = (x - 40 - (number * 2.3) % 120) ** 2 + (y - 70 - 30 * np.cos(number / 7)) ** 2
        picture[disc < 22**2] = 200
        made.append(picture.astype(np.uint8))
    return made


def woven(top: Picture, bottom: Picture) -> Picture:
    """A frame of two fields."""
    frame = top.copy()
    frame[1::2] = bottom[1::2]
    return frame


def in_fields(moments: Sequence[Picture], *, top_first: bool = True) -> list[Picture]:
    """Interlaced frames, each of two moments that follow each other."""
    pairs = zip(moments[::2], moments[1::2], strict=False)
    return [woven(a, b) if top_first else woven(b, a) for a, b in pairs]


def telecined(
    film: Sequence[Picture],
    lengths: Sequence[int] = (2, 3, 2, 3),
    *,
    top_first: bool = True,
    skip: int = 0,
) -> tuple[list[Picture], list[tuple[int, int]]]:
    """Frames of film pictures that last so many fields in turn; and the pictures each is made of.

    The first ``skip`` fields are left out.
    """
    shown = [n for n in range(len(film)) for _ in range(lengths[n % len(lengths)])][skip:]
    pairs = list(zip(shown[::2], shown[1::2], strict=False))
    frames = [woven(film[a], film[b]) if top_first else woven(film[b], film[a]) for a, b in pairs]
    return frames, pairs


def titled(film: Sequence[Picture]) -> list[Picture]:
    """Telecined film, before which letters move with every field in frames 40 to 59."""
    _, pairs = telecined(film)
    frames: list[Picture] = []
    for number, pair in enumerate(pairs):
        fields = [film[place].copy() for place in pair]
        for late, field in enumerate(fields if 40 <= number < 60 else ()):
            at = (192 - 4 * (2 * (number - 40) + late), 130)
            cv2.putText(field, "Tonight at ten", at, cv2.FONT_HERSHEY_SIMPLEX, 0.6, 235, 2)
        frames.append(woven(fields[0], fields[1]))
    return frames


def colourless(luma: Picture) -> av.VideoFrame:
    """A frame of this luma, and no colour."""
    grey = np.full((luma.shape[0] // 2, luma.shape[1]), 128, np.uint8)
    return av.VideoFrame.from_ndarray(np.concatenate([luma, grey]), format="yuv420p")


def write(
    path: Path,
    frames: Sequence[Picture],
    *,
    rate: Fraction = NTSC,
    codec: str = "mpeg2video",
    top_first: bool = True,
    flagged: bool = True,
    sound: bool = False,
    mpeg2_bits: int = 8000000,
) -> Path:
    """A video of luma ``frames``; H.264 and MPEG-2 are coded as interlaced where ``flagged``."""
    height, width = frames[0].shape
    options = {"libx264": {"crf": "18", "g": "24"}, "mpeg2video": {"b": str(mpeg2_bits), "g": "12"}}
    chosen = dict(options.get(codec, {}))
    if codec == "libx264" and flagged:
        chosen["x264-params"] = "tff=1" if top_first else "bff=1"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=chosen)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv411p" if codec == "dvvideo" else "yuv420p"
        if flagged and codec != "dvvideo":
            stream.codec_context.flags |= INTERLACED
        audio = container.add_stream("aac", rate=48000) if sound else None
        mode = ("tff" if top_first else "bff") if flagged else "prog"
        graph = Graph()
        nodes = [
            graph.add_buffer(
                width=width, height=height, format=av.VideoFormat("yuv420p"), time_base=1 / rate
            ),
            graph.add("format", f"pix_fmts={stream.pix_fmt}"),
            graph.add("setfield", f"mode={mode}"),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*nodes).configure()
        for number, picture in enumerate(frames):
            frame = colourless(picture)
            frame.pts, frame.time_base = number, 1 / rate
            graph.vpush(frame)
            container.mux(stream.encode(graph.vpull()))
        container.mux(stream.encode(None))
        if audio is not None:
            assert isinstance(audio, av.AudioStream)
            wave = np.sin(np.arange(int(len(frames) / rate * 48000)) / 20).astype(np.float32) / 4
            tone = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            tone.sample_rate, tone.pts = 48000, 0
            container.mux(audio.encode(tone))
            container.mux(audio.encode(None))
    return path


def write_soft(path: Path, film: Sequence[Picture]) -> Path:
    """MPEG-2 of whole pictures, every other one to be shown for three fields.

    FFmpeg's encoder does not set ``repeat_first_field``: it is set in what it made. ISO/IEC
    13818-2, 6.2.3.1: in the picture coding extension, bits 24, 30 and 32 behind the
    start code.
    """
    height, width = film[0].shape
    context = av.CodecContext.create("mpeg2video", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate, context.bit_rate = 1 / NTSC, NTSC, 8000000
    context.flags |= INTERLACED
    context.options = {"bf": "2", "g": "12"}
    packets: list[av.Packet[av.VideoStream]] = []
    for number, picture in enumerate(film):
        frame = colourless(picture)
        frame.pts, frame.time_base = number, 1 / NTSC
        packets += context.encode(frame)
    packets += context.encode(None)
    starts = [5 * (number // 2) + 2 * (number % 2) for number in range(len(film) + 1)]
    base = Fraction(1, 90000)

    def ticks(fields: float) -> int:
        return round((Fraction(fields) + 60) * Fraction(1001, 60000) / base)

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=NTSC)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = base
        for number, packet in enumerate(packets):
            assert packet.pts is not None
            data = bytearray(bytes(packet))
            place = data.index(b"\x00\x00\x01\xb5", data.index(b"\x00\x00\x01\x00")) + 4
            assert data[place] >> 4 == 8
            top_first, again = starts[packet.pts] % 2 == 0, packet.pts % 2 == 1
            data[place + 3] = data[place + 3] & ~0x82 | 0x80 * top_first | 0x02 * again | 1
            data[place + 4] |= 0x80
            made = av.Packet(bytes(data))
            made.stream, made.time_base = stream, base
            made.pts, made.dts = ticks(starts[packet.pts]), ticks(starts[number] - 4)
            made.is_keyframe = packet.is_keyframe
            container.mux(made)
    return path


def nearest(frames: Sequence[Picture], truth: Sequence[Picture]) -> list[int]:
    """The number of the true picture that each frame is most like."""
    known = np.stack([picture[::2, ::2].astype(np.float32) for picture in truth])
    return [
        int(((known - frame[::2, ::2].astype(np.float32)) ** 2).mean(axis=(1, 2)).argmin())
        for frame in frames
    ]


def psnr(one: Picture, other: Picture) -> float:
    """Peak signal to noise ratio in dB."""
    error = ((one.astype(np.float64) - other) ** 2).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))

"""Small sound files to damage: videos of many kinds, pictures, weights. Made on the spot."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from av.error import FFmpegError
from safetensors.torch import save  # pyright: ignore[reportUnknownVariableType]  # no stubs

from vsr.models.catalog import ARCHS

_SIZE = (64, 48)
_FRAMES = 8
# name: container, video encoder, pixel format, options, sound
VIDEOS: dict[str, tuple[str, str, str, dict[str, str], str]] = {
    "h264.mp4": ("mp4", "libx264", "yuv420p", {"bf": "2", "g": "4"}, "aac"),
    "fragments.mp4": ("mp4", "libx264", "yuv420p", {"g": "4"}, "aac"),
    "hevc10.mkv": ("matroska", "libx265", "yuv420p10le", {"x265-params": "log-level=none"}, "aac"),
    "vp9.webm": ("webm", "libvpx-vp9", "yuv420p", {"cpu-used": "8"}, "libopus"),
    "alpha.webm": ("webm", "libvpx-vp9", "yuva420p", {"cpu-used": "8"}, ""),
    "av1.mp4": ("mp4", "libsvtav1", "yuv420p", {"preset": "12"}, ""),
    "mpeg4.avi": ("avi", "mpeg4", "yuv420p", {"bf": "2"}, "mp2"),
    "stream.ts": ("mpegts", "libx264", "yuv420p", {"g": "4"}, "mp2"),
    "dvd.mpg": ("mpeg", "mpeg2video", "yuv420p", {"g": "4", "bf": "2"}, "mp2"),
    "prores.mov": ("mov", "prores_ks", "yuv422p10le", {}, "pcm_s16le"),
    "ffv1.mkv": ("matroska", "ffv1", "yuv444p", {"level": "3"}, ""),
    "old.flv": ("flv", "flv", "yuv420p", {}, ""),
    "raw.h264": ("h264", "libx264", "yuv420p", {"g": "4"}, ""),
    "plain.y4m": ("yuv4mpegpipe", "rawvideo", "yuv420p", {}, ""),
    "palette.gif": ("gif", "gif", "rgb8", {}, ""),
    "windows.asf": ("asf", "wmv2", "yuv420p", {}, ""),
}


def videos(more: Path | None, samples: Path) -> dict[str, bytes]:
    """Every video seed by name; ``more`` is a folder of others, of which the small ones serve."""
    made = {name: _video(name, *spec) for name, spec in VIDEOS.items()}
    made["harbour.mkv"] = _beginning(samples / "harbour.mkv", 0.15)
    for path in sorted(more.iterdir()) if more is not None else ():
        if 0 < path.stat().st_size < 130_000 and _is_small(path):
            made[path.name] = path.read_bytes()
    return made


def _is_small(path: Path) -> bool:
    """Whether its frames are quick to enlarge; a file that cannot be opened is quickest."""
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            return all(s.width * s.height < 100_000 for s in container.streams.video)
    except FFmpegError:
        return True


def _picture(shade: float) -> np.ndarray:
    y, x = np.mgrid[0 : _SIZE[1], 0 : _SIZE[0]]
    wave = 128 + 50 * np.sin(x / 5 + shade) + 50 * np.cos(y / 4)
    return np.clip(np.stack([wave, 255 - wave, wave // 2], 2), 0, 255).astype(np.uint8)


def _video(
    name: str, container: str, encoder: str, pix_fmt: str, options: dict[str, str], sound: str
) -> bytes:
    memory = io.BytesIO()
    flags = {"movflags": "frag_keyframe+empty_moov"} if name.startswith("frag") else {}
    with av.open(memory, "w", format=container, options=flags) as output:
        video = output.add_stream(encoder, rate=25, options=options)
        assert isinstance(video, av.VideoStream)
        video.width, video.height = _SIZE
        video.pix_fmt = pix_fmt
        audio = output.add_stream(sound, rate=48000) if sound else None
        if audio is not None:
            assert isinstance(audio, av.AudioStream)
            audio.layout = "stereo"
        for place in range(_FRAMES):
            frame = av.VideoFrame.from_ndarray(_picture(place / 2), format="rgb24")
            output.mux(video.encode(frame.reformat(format=pix_fmt)))
        output.mux(video.encode(None))
        if audio is not None:
            wave = (8000 * np.sin(np.arange(9600 * 2) / 30)).astype(np.int16).reshape(1, -1)
            assert isinstance(audio, av.AudioStream)
            tone = av.AudioFrame.from_ndarray(wave, format="s16", layout="stereo")
            tone.sample_rate, tone.pts = 48000, 0
            output.mux(audio.encode(tone))
            output.mux(audio.encode(None))
    return memory.getvalue()


def _beginning(path: Path, seconds: float) -> bytes:
    """The first packets of every stream: sound, subtitles, chapters and all."""
    memory = io.BytesIO()
    with av.open(str(path)) as source, av.open(memory, "w", format="matroska") as output:
        added = {
            stream.index: output.add_stream_from_template(stream, opaque=True)
            for stream in source.streams
        }
        output.metadata.update(source.metadata)
        output.set_chapters(source.chapters())
        for packet in source.demux():
            if packet.size and packet.pts is not None and packet.pts * packet.time_base < seconds:
                packet.stream = added[packet.stream_index]
                output.mux(packet)
    return memory.getvalue()


def pictures() -> dict[str, bytes]:
    """PNG, JPEG, WebP and TIFF of several depths and layouts."""
    color = _picture(0.0)
    deep = color.astype(np.uint16) * 257
    clear = np.dstack([color, color[:, :, 0]])
    made: dict[str, bytes] = {}
    for name, pixels in {
        "color.png": color, "deep.png": deep, "clear.png": clear, "gray.png": color[:, :, 0],
        "color.jpg": color, "gray.jpg": color[:, :, 0], "color.webp": color, "clear.webp": clear,
        "color.tif": color, "deep.tiff": deep,
    }.items():  # fmt: skip
        done, data = cv2.imencode(Path(name).suffix, pixels)
        assert done, name
        made[name] = data.tobytes()
    done, data = cv2.imencode(".jpg", color, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert done
    # An orientation that a camera would note: APP1 with one Exif entry, 6 = turned by 90 degrees.
    entry = struct.pack("<HHHHIHHIHHI", 0x4949, 42, 8, 0, 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + entry
    jpeg = data.tobytes()
    made["turned.jpg"] = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    return made


def weights(folder: Path) -> dict[str, bytes]:
    """Small networks of each architecture, and the shipped ones."""
    made = {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}
    small = {
        "srcnn": {},
        "srresnet": {"features": 8, "blocks": 1},
        "compact": {"features": 8, "layers": 1},
    }
    for name, hparams in small.items():
        state = {
            key: value.half() for key, value in ARCHS[name].module(hparams).state_dict().items()
        }
        about = {"format": "vsr-1", "arch": name, "hparams": json.dumps(hparams)}
        made[f"{name}.safetensors"] = save(state, about)
    return made


def hostile_weights() -> dict[str, bytes]:
    """Headers that no tool would write: each one trap."""
    shape = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}

    def packed(header: object, body: bytes = b"\0\0\0\0") -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return len(text).to_bytes(8, "little") + text + body

    def about(**metadata: str) -> bytes:
        told = {"format": "vsr-1", "arch": "compact", "hparams": "{}", **metadata}
        return packed({"__metadata__": told, "a": shape})

    module = ARCHS["compact"].module({"features": 8, "layers": 1})
    state = module.state_dict()
    fitting = {"format": "vsr-1", "arch": "compact", "hparams": '{"features": 8, "layers": 1}'}
    return {
        "huge length": (1 << 63).to_bytes(8, "little") + b"{}",
        "length of all ones": b"\xff" * 8,
        "length 99 MB": (99_000_000).to_bytes(8, "little") + b"{",
        "empty header": packed({}),
        "header is a list": packed([1, 2]),
        "deep header": packed(b"[" * 200_000),
        "deep hparams": about(hparams="[" * 100_000),
        "long number": about(hparams='{"features": ' + "9" * 9000 + "}"),
        "no number": about(hparams='{"features": NaN}'),
        "null": about(hparams='{"features": null}'),
        "list of hparams": about(hparams="[1]"),
        "text": about(hparams='{"features": "many"}'),
        "fraction": about(hparams='{"features": 8.5}'),
        "truth": about(hparams='{"features": true}'),
        "zero": about(hparams='{"features": 0, "layers": 0, "scale": 0}'),
        "absurd": about(hparams='{"features": 4096, "layers": 4096}'),
        "absurd scale": about(arch="srcnn", hparams='{"scale": 4096}'),
        "absurd blocks": about(arch="srresnet", hparams='{"features": 4096, "blocks": 4096}'),
        "interpolation": about(arch="bicubic", hparams='{"scale": 4096}'),
        "unknown hparam": about(hparams='{"__class__": 1}'),
        "surrogates": about(arch="\ud800"),
        "escapes": about(arch="\x1b[2J\x1b]0;title\x07"),
        "offsets": packed({"a": {**shape, "data_offsets": [0, 1 << 62]}}),
        "overflow": packed({"a": {**shape, "shape": [1 << 62, 1 << 62]}}),
        "overlap": packed({"a": shape, "b": shape}),
        "integers": save({key: value.to(torch.int32) for key, value in state.items()}, fitting),
        "truths": save({key: value > 0 for key, value in state.items()}, fitting),
        "eight bits": save(
            {key: value.to(torch.float8_e5m2) for key, value in state.items()}, fitting
        ),
        "not a number": save({key: value * float("nan") for key, value in state.items()}, fitting),
        "enormous": save({key: value * 0 + 3e38 for key, value in state.items()}, fitting),
        "complex": save({key: value.to(torch.complex64) for key, value in state.items()}, fitting),
        "no metadata, scalar": save({"body.0.weight": torch.zeros(())}),
        "no metadata, many": save(
            {f"body.{place}.weight": torch.zeros(0) for place in range(3000)}
        ),
        "keys in the sky": save({"body.99999999999999999999.weight": torch.zeros(1)}),
    }

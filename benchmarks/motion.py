"""What motion for a network that sees the video costs, and what its pictures are worth.

    python benchmarks/motion.py VIDEO... [--plain] [--crf 23] [--frames 24]

Frames from the middle of each are shrunk to a quarter, coded by x264 and decoded, and enlarged by
`video` with motion from several estimators: OpenCV's dense inverse search with three presets, the
same at half the size, the vectors that the decoder tells, a search that begins from these, and no
motion at all. PSNR of luma against the original; seconds of one thread for a frame of motion.
`--plain` codes without B frames and with one reference, which suits the decoder's vectors best.

A decoder's vectors lead to reference frames. The last one before and the first one after in the
order of display are taken for them, at even speed; a block without a vector gets the median.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from pathlib import Path
from statistics import mean, median
from typing import Any

import av
import cv2
import numpy as np
import torch
from av.codec.context import Flags2
from av.packet import Packet
from av.video.frame import PictureType
from numpy.typing import NDArray

import vsr
import vsr.evaluation.models
from vsr import motion
from vsr.metrics.picture import psnr

Luma = NDArray[np.uint8]
Flow = NDArray[np.float32]  # (h, w, 2), x then y
Estimate = Callable[[Luma, Luma, Flow], Flow]
REFERENCES = {PictureType.I, PictureType.P}
MARGIN = 8  # of the original, which 4:2:0 at a quarter of its sides wants whole


def _search(preset: int, *, half: bool = False, begins: bool = False) -> Estimate:
    search = cv2.DISOpticalFlow.create(preset)
    nothing: Any = None

    def estimate(present: Luma, before: Luma, told: Flow) -> Flow:
        start = told.copy() if begins else nothing
        if not half:
            return np.asarray(search.calc(present, before, start), np.float32)
        height, width = present.shape
        small = [
            cv2.resize(one, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            for one in (present, before)
        ]
        found = search.calc(small[0], small[1], start)
        return np.asarray(cv2.resize(found, (width, height)) * 2, np.float32)

    return estimate


ESTIMATORS: dict[str, Estimate] = {
    "ultrafast": _search(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST),
    "fast": _search(cv2.DISOPTICAL_FLOW_PRESET_FAST),
    "medium": _search(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM),
    "medium, half size": _search(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM, half=True),
    "decoder": lambda _present, _before, told: told,
    "decoder, then medium": _search(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM, begins=True),
    "none": lambda _present, _before, told: np.zeros_like(told),
}


def _originals(path: Path, count: int) -> list[torch.Tensor]:
    """(3, h, w) RGB 0..1 from the middle of a video, or of a folder of pictures."""
    if path.is_dir():
        names = sorted(path.glob("*.png"))[:count]
        read = [np.asarray(cv2.imread(str(name)), np.uint8) for name in names]
        pictures = [np.asarray(picture[:, :, ::-1], np.uint8) for picture in read]
    else:
        with av.open(str(path)) as container:
            first = max(0, (container.streams.video[0].frames - count) // 2)
            frames = islice(container.decode(video=0), first, first + count)
            pictures = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames]
    height, width = (side // MARGIN * MARGIN for side in pictures[0].shape[:2])
    cut = [np.ascontiguousarray(picture[:height, :width]) for picture in pictures]
    return [torch.from_numpy(picture).permute(2, 0, 1).float() / 255 for picture in cut]


def _coded(
    lows: list[NDArray[np.uint8]], crf: float, *, plain: bool
) -> tuple[list[NDArray[np.uint8]], list[Flow]]:
    """The pictures through x264, and what the decoder tells of their motion."""
    options = {"crf": f"{crf:g}", "preset": "medium"} | ({"bf": "0", "refs": "1"} if plain else {})
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.height, encoder.width = lows[0].shape[:2]
    encoder.pix_fmt, encoder.framerate, encoder.options = "yuv420p", Fraction(25), options
    decoder = av.CodecContext.create("h264", "r")
    decoder.flags2 |= Flags2.export_mvs
    frames: list[av.VideoFrame] = []
    for number, low in enumerate([*lows, None]):
        picture = None
        if low is not None:
            picture = av.VideoFrame.from_ndarray(low, format="rgb24").reformat(format="yuv420p")
            picture.pts = number
        packets: list[Packet[Any]] = []
        packets += encoder.encode(picture)
        for packet in packets:
            frames += decoder.decode(packet)
    frames += decoder.decode(None)
    references = [place for place, frame in enumerate(frames) if frame.pict_type in REFERENCES]
    pictures = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames]
    return pictures, [_told(frame, n, references) for n, frame in enumerate(frames)]


def _told(frame: av.VideoFrame, number: int, references: list[int]) -> Flow:
    """The decoder's vectors of a frame as motion from each pixel to the frame before."""
    flow = np.full((frame.height, frame.width, 2), np.nan, np.float32)
    data = frame.side_data.get("MOTION_VECTORS")
    before = max((place for place in references if place < number), default=number - 1)
    after = min((place for place in references if place > number), default=number + 1)
    vectors: Any = [] if data is None else data.to_ndarray()
    for one in vectors:
        backward = one["source"] < 0
        frames = number - before if backward else number - after
        x, y = int(one["dst_x"]) - one["w"] // 2, int(one["dst_y"]) - one["h"] // 2
        block = flow[max(0, y) : y + one["h"], max(0, x) : x + one["w"]]
        if backward or np.isnan(block).all():
            block[:] = np.array([one["motion_x"], one["motion_y"]]) / one["motion_scale"] / frames
    known = ~np.isnan(flow[..., 0])
    flow[~known] = np.median(flow[known], 0) if known.any() else 0
    return flow


def main() -> None:
    """Measure each video, and print a table of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--crf", type=float, default=23)
    parser.add_argument("--frames", type=int, default=24)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'video':20}" + "".join(f"{name:>22}" for name in ESTIMATORS))
    for path in asked.videos:
        highs = _originals(path, asked.frames)
        lows = [vsr.evaluation.models.shrunk(high, 4) for high in highs]
        plain = [np.ascontiguousarray(low.mul(255).byte().permute(1, 2, 0).numpy()) for low in lows]
        pictures, told = _coded(plain, asked.crf, plain=asked.plain)
        cells = [_measured(pictures, highs, told, estimate) for estimate in ESTIMATORS.values()]
        print(f"{path.stem:20}" + "".join(f"{cell:>22}" for cell in cells), flush=True)


def _measured(
    pictures: list[NDArray[np.uint8]],
    highs: list[torch.Tensor],
    told: list[Flow],
    estimate: Estimate,
) -> str:
    engine = vsr.Engine(vsr.load("video"))
    decibels, seconds, remaining = list[float](), list[float](), iter(told[1:])

    def vectors(present: Luma, before: Luma) -> NDArray[np.int16]:
        begun = time.perf_counter()
        flow = estimate(present, before, next(remaining))
        seconds.append(time.perf_counter() - begun)
        return motion.in_sixteenths(flow)

    real, motion.vectors_between = motion.vectors_between, vectors
    try:
        for picture, high in zip(pictures, highs, strict=True):
            low = torch.from_numpy(picture).permute(2, 0, 1).float() / 255
            decibels.append(psnr(engine.follow(low[None])[0].clamp(0, 1), high))
    finally:
        motion.vectors_between = real
    return f"{mean(decibels):.2f} dB {1000 * median(seconds):.2f} ms"


if __name__ == "__main__":
    main()

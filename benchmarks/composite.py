"""What FFmpeg's `dedot` takes out of video that went through composite, against the original.

    python benchmarks/composite.py VIDEO...

Composite video (NTSC, ITU-R BT.1700) carries colour on a wave of 3.58 MHz in luma: what a plain
decoder leaves of it crawls along edges of colour, and fine luma shows as rainbows. Frames from the
60th on are shrunk to 720x480, coded and decoded so, with a notch of 1.2 MHz, and filtered; PSNR of
luma and of U.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice

import av
import cv2
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

WIDTH, HEIGHT, FIRST, FRAMES = 720, 480, 60, 14
SAMPLED = 13.5  # MHz, of ITU-R BT.601
WAVE = 315 / 88 / SAMPLED  # cycles a sample
TAPS = np.arange(31) - 15
Plane = NDArray[np.float64]


def _filtered(plane: Plane, kernel: Plane) -> Plane:
    made = cv2.filter2D(plane, -1, kernel[None], borderType=cv2.BORDER_REPLICATE)
    return np.asarray(made, np.float64)


def _low(plane: Plane, megahertz: float) -> Plane:
    kernel = np.sinc(2 * megahertz / SAMPLED * TAPS) * np.hamming(len(TAPS))
    return _filtered(plane, kernel / kernel.sum())


def _scaled(plane: Plane, width: int, height: int) -> Plane:
    made = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(made, np.float64)


def through_composite(y: Plane, u: Plane, v: Plane, number: int) -> tuple[Plane, Plane]:
    """Luma and U (all of full size) of an interlaced frame, as a plain decoder has them."""
    lines = np.arange(HEIGHT)[:, None]
    turns = 0.5 * (lines // 2) + (2 * number + lines % 2) * (262.5 * 227.5 % 1)
    phase = 2 * np.pi * (WAVE * np.arange(WIDTH)[None] + turns)
    coded = y + _low(u - 128, 1.3) * np.sin(phase) + _low(v - 128, 0.6) * np.cos(phase)
    notch = np.cos(2 * np.pi * WAVE * TAPS) * np.sinc(1.2 / SAMPLED * TAPS) * np.hamming(len(TAPS))
    chroma = _filtered(coded, notch / np.abs(np.sum(notch * np.exp(-2j * np.pi * WAVE * TAPS))))
    return coded - chroma, _low(2 * chroma * np.sin(phase), 0.6) + 128


def _frames(path: str) -> Iterator[tuple[Plane, Plane, Plane]]:
    with av.open(path) as container:
        for frame in islice(container.decode(video=0), FIRST, FIRST + FRAMES):
            planes = frame.to_ndarray(format="yuv444p").astype(np.float64)
            y, u, v = (_scaled(plane, WIDTH, HEIGHT) for plane in planes)
            yield y, u, v


def _dedotted(frames: list[av.VideoFrame], what: str) -> list[NDArray[np.uint8]]:
    graph = Graph()
    source = graph.add_buffer(
        width=WIDTH, height=HEIGHT, format=frames[0].format, time_base=Fraction(1, 30)
    )
    graph.link_nodes(source, graph.add("dedot", f"m={what}"), graph.add("buffersink")).configure()
    made: list[NDArray[np.uint8]] = []
    for frame in (*frames, None):
        graph.vpush(frame)
        while True:
            try:
                made.append(graph.vpull().to_ndarray().astype(np.uint8))
            except (BlockingIOError, EOFError):
                break
    return made


def _psnr(one: NDArray[np.uint8], other: Plane) -> float:
    return float(10 * np.log10(255**2 / np.mean((one - other) ** 2)))


def main() -> None:
    """Print a line for each video: decoded, without dots, without rainbows."""
    for path in sys.argv[1:]:
        originals = list(_frames(path))
        coded: list[av.VideoFrame] = []
        for number, planes in enumerate(originals):
            luma, u = through_composite(*planes, number)
            small = _scaled(u, WIDTH // 2, HEIGHT // 2).reshape(-1, WIDTH)
            packed = np.concatenate([luma, small, np.full_like(small, 128)])
            frame = av.VideoFrame.from_ndarray(
                np.clip(np.rint(packed), 0, 255).astype(np.uint8), format="yuv420p"
            )
            frame.pts, frame.time_base = number, Fraction(1, 30)
            coded.append(frame)
        plain = [frame.to_ndarray().astype(np.uint8) for frame in coded]
        told: list[str] = []
        for made in (plain, _dedotted(coded, "dotcrawl"), _dedotted(coded, "rainbows")):
            inner = list(zip(made, originals, strict=True))[4:-4]  # it looks at two on each side
            luma = np.mean([_psnr(one[:HEIGHT], y) for one, (y, _, _) in inner])
            halved = WIDTH // 2, HEIGHT // 2
            chroma = np.mean([
                _psnr(one[HEIGHT:][: HEIGHT // 4].reshape(halved[::-1]), _scaled(u, *halved))
                for one, (_, u, _) in inner
            ])  # fmt: skip
            told.append(f"{luma:.2f} / {chroma:.2f}")
        print(path, *told, sep="  ")


if __name__ == "__main__":
    main()

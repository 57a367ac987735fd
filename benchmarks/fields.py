"""Processor time of fields, cleaning and grain, a frame of 720x576, beside that of `compact`.

    python benchmarks/fields.py

Time of the process on all its threads, which other programs on the machine hardly change.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from statistics import median

import av
import cv2
import numpy as np
import torch

from vsr.color import ColorSpec
from vsr.geometry import Size
from vsr.infer.engine import Engine
from vsr.media.clean import Cleaner, chain
from vsr.media.fields.cadence import STATES, likeliest
from vsr.media.fields.measure import measured
from vsr.media.fields.plan import make_plan
from vsr.media.fields.render import rendered
from vsr.media.grain import PLAIN, GrainMaker, removal
from vsr.options import EngineOptions
from vsr.restoration import Clean, CleanPreset
from vsr.weights import load

WIDTH, HEIGHT, FRAMES, TIMES = 720, 576, 24, 5
PRESETS: tuple[CleanPreset, ...] = ("vhs", "dvd", "film", "web")


def _frames() -> list[av.VideoFrame]:
    random = np.random.default_rng(0)
    wide = cv2.GaussianBlur(random.normal(0, 1, (HEIGHT, WIDTH + 400)), (0, 0), 2.0)
    ground = np.clip(128 + 45 * wide / wide.std(), 16, 235).astype(np.uint8)
    made: list[av.VideoFrame] = []
    for number in range(FRAMES):
        luma = ground[:, 6 * number : 6 * number + WIDTH].copy()
        luma[1::2] = ground[1::2, 6 * number + 3 : 6 * number + 3 + WIDTH]
        chroma = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
        made.append(av.VideoFrame.from_ndarray(np.concatenate([luma, chroma]), format="yuv420p"))
    return made


def _milliseconds(work: Callable[[], int]) -> float:
    """Median of the processor time of one of the frames that ``work`` counts."""
    work()
    each: list[float] = []
    for _ in range(TIMES):
        begun = time.process_time()
        count = work()
        each.append(1000 * (time.process_time() - begun) / count)
    return median(each)


def main() -> None:
    """Print a line for each."""
    frames = _frames()
    lumas = [frame.to_ndarray()[:HEIGHT].astype(np.uint8) for frame in frames]
    combing = list(measured(lumas))
    video = [state for state in STATES if state.name == "video"]
    plan = make_plan(
        range(FRAMES),
        likeliest(combing, video),
        combing,
        Fraction(1, 25),
        1,
        form="fields",
        even=True,
    )
    engine = Engine(load("compact"), EngineOptions(device="cpu"))
    picture = torch.rand(1, 3, HEIGHT, WIDTH)

    def fields() -> int:
        return sum(
            1
            for _ in rendered(
                plan, (0, 2 * FRAMES), iter(zip(frames, range(FRAMES), strict=True)), "yuv420p"
            )
        )

    def network() -> int:
        engine.upscale(picture)
        return 1

    whole = _milliseconds(network)
    print(f"compact          {whole:8.2f} ms")
    rows: list[tuple[str, Callable[[], int]]] = [
        ("look at fields", lambda: len(list(measured(lumas)))),
        ("a field a frame", fields),
    ]
    for preset in PRESETS:
        cleaner = Cleaner(chain(Clean(preset)), "yuv420p")
        rows.append((f"clean {preset}", lambda c=cleaner: len([c.clean(f) for f in frames])))
    grain = PLAIN.of_strength(4.0)
    for depth, pix in ((8, "yuv420p"), (10, "yuv420p10le")):
        taken = Cleaner(removal(replace(grain, removed=4.0), depth), pix)
        same = [frame.reformat(format=pix) for frame in frames]
        rows.append((f"grain out, {depth} bit", lambda t=taken, s=same: len(list(map(t.clean, s)))))
    low, high = Size(WIDTH, HEIGHT), Size(4 * WIDTH, 4 * HEIGHT)
    maker = GrainMaker(grain.enlarged(low, high), ColorSpec())
    large = [np.full((high.height, high.width), 128, np.uint8) for _ in range(2)]

    def grain_in() -> int:
        for number, luma in enumerate(large):
            maker.add([luma], number)
        return len(large)

    rows.append(("grain in, at 4x", grain_in))
    for name, work in rows:
        spent = _milliseconds(work)
        print(f"{name:16} {spent:8.2f} ms  {spent / whole:6.1%}")


if __name__ == "__main__":
    main()

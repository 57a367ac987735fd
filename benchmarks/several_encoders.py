"""One encoder against several beside one network, on this machine: whole runs, in turns.

    python benchmarks/several_encoders.py --models nearest --repeats 3

The clip moves throughout. Its segments are independent: each can have an encoder of its own.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import vsr
from vsr.bench.clips import generate
from vsr.geometry import Size


def _options(model: str, encoders: str, preset: str) -> vsr.UpscaleOptions:
    return vsr.UpscaleOptions(model=model, preset=preset, encoders=encoders, device="cpu")


def main() -> None:
    """Print a line for each model and number of encoders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=240)
    parser.add_argument("--models", nargs="+", default=["nearest", "tiny"])
    parser.add_argument(
        "--encoders",
        nargs="+",
        default=["1", "2", "auto"],
        help="The first is what others are compared with.",
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--preset", default="medium")
    asked = parser.parse_args()
    size = Size(*map(int, asked.size.split("x")))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.mp4"
        generate("moving", source, size, asked.frames)
        for model in asked.models:
            vsr.upscale(source, Path(folder) / f"{model}.mp4", _options(model, "1", asked.preset))
            seconds: dict[str, list[float]] = {count: [] for count in asked.encoders}
            for number in range(asked.repeats):
                for count in asked.encoders:
                    target = Path(folder) / f"{model}-{count}-{number}.mp4"
                    options = _options(model, count, asked.preset)
                    begun = time.perf_counter()
                    vsr.upscale(source, target, options)
                    seconds[count].append(time.perf_counter() - begun)
                    target.unlink()
            alone = median(seconds[asked.encoders[0]])
            for count, each in seconds.items():
                rate = asked.frames / median(each)
                gain = alone / median(each)
                print(f"{model:8} {count:>4} encoders {rate:7.2f} frames/s, {gain:.2f} times")


if __name__ == "__main__":
    main()

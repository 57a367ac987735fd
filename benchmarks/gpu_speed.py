"""How fast a GPU is, and what holds it back: tables on stdout, in under eight minutes.

python -m benchmarks.gpu_speed
python -m benchmarks.gpu_speed --device cpu --small      # the script itself, anywhere
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu_check import YUV, footage
from benchmarks.steps import Skipped, Steps
from vsr.bench.encoders import bench_encoders, known_encoders
from vsr.bench.model import bench_model, matrix_product
from vsr.bench.peers import bench_peers
from vsr.bench.pipeline import bench_pipeline
from vsr.geometry import Size
from vsr.infer.device import Placement
from vsr.infer.engine import Engine
from vsr.infer.network import Network
from vsr.jobs.workers.devices import kind_of
from vsr.options import EngineOptions, UpscaleOptions
from vsr.weights import load

SHOWN = 12
"""Rows of a profile."""
VARIANTS = (
    ("as shipped", True, False, False),
    ("channels first", False, False, False),
    ("compiled", True, True, False),
    ("with cuDNN's benchmark", True, False, True),
)
"""Name; channels last; compiled; kernels by stopwatch."""


class Speed:
    """Everything that is timed on one device, in small or in full."""

    def __init__(self, device: str, *, small: bool) -> None:
        self.device, self.small = torch.device(device), small
        self.gpu = self.device.type == "cuda"
        self.options = EngineOptions(device=device, reuse=None)
        self.models = ["tiny"] if small else ["srgan", "compact"]
        self.low = Size(64, 48) if small else Size(1280, 720)
        self.repeats = 1 if small else 5

    def place(self) -> str:
        """Where this runs."""
        placement = Engine(load("tiny"), self.options).placement
        return f"{kind_of(placement)}, torch {torch.__version__}"

    def ceilings(self) -> str:
        """Copies of 256 MB each way, and a large matrix product."""
        if self.small:
            raise Skipped("in full only")
        dtype = Engine(load("tiny"), self.options).placement.dtype
        product, operations = matrix_product(self.device, dtype)
        said = [f"matrix product {operations / self._seconds(product) / 1e12:.1f} TFLOP/s"]
        if self.gpu:
            host = torch.empty(1 << 28, dtype=torch.uint8, pin_memory=True)
            there = host.to(self.device)
            for name, copy in (
                ("up", partial(there.copy_, host, non_blocking=True)),
                ("down", partial(host.copy_, there, non_blocking=True)),
            ):
                said.append(f"{name} {(1 << 28) / self._seconds(copy) / 1e9:.1f} GB/s")
        return ", ".join(said)

    def network(self, model: str, size: Size, batch: int) -> str:
        """One network, in frames a second and as a share of the matrix product."""
        (row,) = bench_model(
            model, [size], batches=[batch], tiles=[None], options=self.options, repeats=self.repeats
        )
        return (
            f"{row.frames_per_second:.1f} frames/s, {row.tflops:.2f} TFLOP/s, "
            f"{row.share:.0%} of {row.ceiling_tflops:.1f}"
        )

    def variant(self, model: str, *, last: bool, compiles: bool, benchmark: bool) -> str:
        """Milliseconds of a frame with one thing changed: order, compiler, cuDNN's choice."""
        upscaler = load(model)
        dtype = Engine(upscaler, self.options).placement.dtype
        network = Network(upscaler, Placement(self.device, dtype, last), compiles=compiles)
        pixels = torch.rand(1, 3, self.low.height, self.low.width, device=self.device)

        @torch.inference_mode()
        def run() -> None:
            network.run(pixels, use_compiled=compiles)

        # What the engine never does, to see what its law for bits costs.
        by_stopwatch = patch("vsr.infer.network.arithmetic", _by_stopwatch)
        with by_stopwatch if benchmark else nullcontext():
            return f"{self._seconds(run) * 1000:.2f} ms"

    def profile(self, model: str) -> str:
        """Where the time of five frames goes, by kernel."""
        engine = Engine(load(model), self.options)
        clip = footage(YUV, self.low, 1)

        def frame() -> None:
            engine.enlarge(clip, YUV, YUV, self.low.scaled(4))

        frame()
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self.gpu else [])]
        with profile(activities=activities) as found:
            for _ in range(5):
                frame()
        by = "self_device_time_total" if self.gpu else "self_cpu_time_total"
        averages: Any = found.key_averages()
        return "\n" + str(averages.table(sort_by=by, row_limit=SHOWN))

    def pipeline(self, model: str, size: Size, vram: int | None, rows: tuple[str, ...]) -> str:
        """Stages alone and together."""
        options = UpscaleOptions(
            model=model, device=str(self.device), preset="ultrafast", codec="h264", vram=vram
        )
        if size.pixels > 1920 * 1080 // 2:
            options = replace(options, codec="auto", preset=None)
        speed = bench_pipeline(
            "moving",
            options,
            size=size,
            frames=4 if self.small else 48,
            repeats=1 if self.small else 3,
            only=rows,
        )
        said = ", ".join(f"{row} {fps:.1f}" for row, fps in speed.frames_per_second.items())
        memory = "" if speed.device_peak is None else f", {speed.device_peak >> 20} MB"
        return f"{said} frames/s by {speed.encoder}, tiles of {speed.tile} x{speed.batch}{memory}"

    def peers(self) -> str:
        """The same network the usual way."""
        options = UpscaleOptions(model=self.models[0], device=str(self.device), preset="ultrafast")
        size, frames = (self.low, 4) if self.small else (Size(854, 480), 48)
        rows = bench_peers("moving", options, size=size, frames=frames, repeats=self.repeats)
        return "".join(f"\n     {row.way}: {row.frames_per_second:.2f} frames/s" for row in rows)

    def encoder(self, codec: str, preset: str | None) -> str:
        """An encoder alone, on frames of the enlarged size."""
        size = Size(128, 96) if self.small else self.low.scaled(4)
        (row,) = bench_encoders(size, [(codec, preset)], frames=4 if self.small else 24)
        return f"{row.megapixels_per_second:.1f} Mpx/s, {row.frames_per_second:.1f} frames/s"

    def _seconds(self, action: Callable[[], object]) -> float:
        times: list[float] = []
        for _ in range(self.repeats + 1):
            begun = time.perf_counter()
            action()
            if self.gpu:
                torch.cuda.synchronize(self.device)
            times.append(time.perf_counter() - begun)
        return statistics.median(times[1:])


def _by_stopwatch(device: torch.device) -> AbstractContextManager[object]:
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)


def main() -> int:
    """Time everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="small pictures, few of them")
    parser.add_argument("--seconds", type=float, default=440, help="begin nothing after these")
    asked = parser.parse_args()
    speed, steps = Speed(asked.device, small=asked.small), Steps(asked.seconds)
    steps.run("place", speed.place)
    steps.run("ceilings", speed.ceilings)
    sizes = [speed.low] if asked.small else [Size(320, 180), Size(1280, 720), Size(1920, 1080)]
    for model in speed.models:
        for size in sizes:
            steps.run(f"network {model} {size}", lambda m=model, s=size: speed.network(m, s, 1))
        steps.run(f"network {model} {sizes[0]} x8", lambda m=model: speed.network(m, sizes[0], 8))
    for name, last, compiles, benchmark in VARIANTS:
        if not (compiles and asked.small):  # a minute of a compiler's
            steps.run(
                f"{speed.models[0]} {name}",
                lambda a=last, b=compiles, c=benchmark: speed.variant(
                    speed.models[0], last=a, compiles=b, benchmark=c
                ),
            )
    for model in speed.models:
        steps.run(f"profile {model}", lambda m=model: speed.profile(m))
    for model in speed.models:
        steps.run(
            f"pipeline {model} {speed.low}",
            lambda m=model: speed.pipeline(m, speed.low, None, ()),
        )
    large = speed.low if asked.small else Size(1920, 1080)
    for vram in (None, 4 << 30):
        steps.run(
            f"pipeline {speed.models[0]} {large} {'4 GB' if vram else ''}".strip(),
            lambda v=vram: speed.pipeline(speed.models[0], large, v, ("enlarge", "encoder off")),
        )
    for codec, preset in known_encoders()[: 2 if asked.small else None]:
        steps.run(
            f"encoder {codec} {preset or ''}".strip(),
            lambda c=codec, p=preset: speed.encoder(c, p),
        )
    steps.run("peers", speed.peers)
    return steps.end()


if __name__ == "__main__":
    sys.exit(main())

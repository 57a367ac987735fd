"""How much of the network's own speed `vsr upscale` reaches: one run, medians, no assertions."""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

import vsr
from vsr.infer.engine import Engine
from vsr.media.reader import Reader
from vsr.models.arch import folded, make_upscaler
from vsr.models.catalog import ARCHS

SAMPLE = Path(__file__).parent.parent / "samples" / "harbour.mkv"


def median_seconds(action: Callable[[], object], repeats: int) -> float:
    """The median wall time of ``action`` after one warm-up."""
    action()
    times: list[float] = []
    for _ in range(repeats):
        begun = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def main() -> None:
    """Measure decode, engine and pipeline for each model, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, default=SAMPLE)
    parser.add_argument("--models", nargs="*", default=["bicubic", "compact", "srresnet"])
    parser.add_argument("--preset", default="veryfast")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    info = vsr.probe(asked.source)
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, ", end=""
    )
    print(f"torch {torch.__version__}, {info.size} to {info.size.scaled(4)}, x264 {asked.preset}")
    print(f"{'model':10} {'engine fps':>10} {'pipeline fps':>12} {'share':>6}")
    clips = list(Reader(info, clip_frames=16))
    frames = sum(len(clip.pts) for clip in clips)
    source = info.color.resolved(info.size.height)
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.models:
            path = Path(folder) / f"{name}.safetensors"
            arch = ARCHS[name]
            model = name
            if arch.trained:  # the speed of a network does not depend on what it has learnt
                from vsr.weights import save

                save(path, arch.module({}), arch=name, hparams={})
                model = str(path)
            upscaler = (
                make_upscaler(folded(arch.module({})), name=name, arch=name)
                if arch.trained
                else vsr.load(name)
            )
            engine = Engine(upscaler)
            options = vsr.UpscaleOptions(model=model, preset=asked.preset, overwrite=True)
            target = Path(folder) / "out.mkv"

            def enlarge(engine: Engine = engine) -> None:
                for clip in clips:
                    engine.enlarge(clip.planes, source, source, info.size.scaled(4))

            def pipeline(options: vsr.UpscaleOptions = options, target: Path = target) -> None:
                vsr.upscale(asked.source, target, options)

            alone = frames / median_seconds(enlarge, asked.repeats)
            whole = frames / median_seconds(pipeline, asked.repeats)
            print(f"{name:10} {alone:10.2f} {whole:12.2f} {whole / alone:6.2f}")


if __name__ == "__main__":
    main()

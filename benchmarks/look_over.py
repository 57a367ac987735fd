"""Look every frame over for blocks of garbage: clips shrunk by four and compressed, each model.

    python benchmarks/look_over.py [FRAMES] [MODEL...]    with VSR_MEDIA set

Prints the worst block of each model and clip over all codecs and rates (mean distance from bicubic
over 16x16 px, 0..1), and how many frames lie beyond the bound or had to be interpolated.
"""

from __future__ import annotations

import os
import sys
from itertools import islice
from pathlib import Path

import torch

from vsr.color import SMPTE170M, ColorSpec, from_rgb, to_rgb
from vsr.degrade.video_codec import Quality, through
from vsr.evaluation.footage import Footage
from vsr.evaluation.models import GARBLED, enlarged, shrunk, worst_block
from vsr.geometry import Size
from vsr.infer.engine import Engine
from vsr.options import EngineOptions
from vsr.weights import store

CODED = ColorSpec("yuv", 8, (1, 1), matrix=SMPTE170M, range=1)
CODECS = {
    "x264": (Quality("libx264", "h264", 0, 51, 1), {"preset": "medium", "threads": "1"}),
    "vp9": (Quality("libvpx-vp9", "vp9", 0, 63, 1), {"b": "0", "cpu-used": "5", "threads": "1"}),
}
RATES = (None, 18, 23, 28, 33, 40)


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    models = sys.argv[2:] or list(store.index())
    clips = sorted((Path(os.environ["VSR_MEDIA"]) / "media" / "clips").iterdir())
    print(f"| clip | {' | '.join(models)} |")
    print("|---" * (len(models) + 1) + "|")
    engines = [Engine(store.load(model), EngineOptions("cpu")) for model in models]
    for clip in clips:
        worst, strange = [0.0] * len(models), [0] * len(models)
        highs = [frame.rgb() for frame in islice(iter(Footage(clip)), 20, 20 + count)]
        height, width = (side // 8 * 8 for side in highs[0].shape[-2:])
        lows = torch.stack([shrunk(high[:, :height, :width], 4) for high in highs])
        planes = from_rgb(lows, CODED)
        for encoder, options in CODECS.values():
            for rate in RATES:
                given = planes
                if rate is not None:
                    given = through(planes, encoder, {**options, "crf": str(rate)}, count)
                # As decoded, colours outside of 0..1 and all: what a run would see.
                pixels = to_rgb(given, CODED)
                for place, engine in enumerate(engines):
                    engine.forget()
                    before = engine.mended
                    size = Size(width, height)
                    planes_made = engine.enlarge(given, CODED, CODED, size)
                    made = to_rgb(planes_made, CODED).clamp(0, 1)
                    blocks = [
                        worst_block(one, enlarged(low.clamp(0, 1), 4))
                        for one, low in zip(made, pixels, strict=True)
                    ]
                    worst[place] = max(worst[place], *blocks)
                    strange[place] += sum(block > GARBLED for block in blocks)
                    strange[place] += engine.mended - before
        cells = (f"{one:.3f} / {many}" for one, many in zip(worst, strange, strict=True))
        print(f"| {clip.stem} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

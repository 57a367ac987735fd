"""Render the sample clips: python samples/render.py [--out DIR]. It is no part of the library."""

from __future__ import annotations

import argparse
from pathlib import Path

import chart
import cv2
import harbour
from canvas import SUPER, shrink
from encode import Clip, Span, Writer
from sound import chart_sound, harbour_sound

WIDTH, HEIGHT, SCALE = 1280, 720, 4

HARBOUR = Clip(
    name="harbour",
    suffix=".mkv",
    title="Harbour",
    rate=24,
    count=48,
    pictures=harbour.frames,
    sound=harbour_sound,
    audio_codec="libopus",
    chapters=(Span(0.0, 0.5, "The quay"), Span(0.5, 1.5, "The boat"), Span(1.5, 2.0, "The light")),
    subtitles=(
        Span(0.1, 0.9, "High water is at four."),
        Span(1.1, 1.9, "Then the Marigold leaves."),
    ),
    original_crf=23,
)
CHART = Clip(
    name="chart",
    suffix=".mp4",
    title="Test chart",
    rate=25,
    count=75,
    pictures=chart.frames,
    sound=chart_sound,
    audio_codec="aac",
    chapters=tuple(Span(s, s + 1.0, f"Second {s + 1}") for s in range(3)),
    subtitles=(),
    original_crf=18,
)
CLIPS = (HARBOUR, CHART)


def render(clip: Clip, folder: Path) -> tuple[Path, Path]:
    """Write NAME (small) and NAME_x4 (the original it was shrunk from); give both paths."""
    low_path = folder / f"{clip.name}{clip.suffix}"
    original_path = folder / f"{clip.name}_x{SCALE}{clip.suffix}"
    small = (WIDTH // SCALE, HEIGHT // SCALE)
    with (
        Writer(low_path, clip, width=small[0], height=small[1], crf=clip.low_crf) as low,
        Writer(original_path, clip, width=WIDTH, height=HEIGHT, crf=clip.original_crf) as original,
    ):
        for fine in clip.pictures(clip.count, clip.rate):
            picture = shrink(fine, SUPER)
            original.add(picture)
            low.add(shrink(picture, SCALE))
    return low_path, original_path


def main() -> None:
    """Render every clip and say how large its files are."""
    parser = argparse.ArgumentParser(description="Render the sample clips.")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="folder to write to"
    )
    folder: Path = parser.parse_args().out
    if not hasattr(cv2, "FontFace"):
        parser.error(f"the samples are written with the font of OpenCV 5, got {cv2.__version__}")
    folder.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(2)
    for clip in CLIPS:
        for path in render(clip, folder):
            print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

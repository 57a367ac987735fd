"""How a library of 10,000 hours scales from 1 to 1,000 workers: a simulation, its table and plot.

Fifty of the ten thousand films are played through and times multiplied by 200: films come one
after another, so that their times add up.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from vsr.jobs.estimate.library import (
    Conditions,
    SimulationResult,
    VideoWork,
    serial_seconds,
    simulate,
)

WORKERS = (1, 10, 30, 100, 200, 300, 500, 1000)
FILMS, PLAYED = 10_000, 50
FRAMES, SEGMENT = 90_000, 125  # an hour at 25 frames a second, in segments of five seconds
DAY = 86400.0
WIDTH, HEIGHT, EDGE = 900, 600, 80
KINDS = (("file after file", (40, 90, 200)), ("one queue", (180, 110, 30)), ("perfect", (150,) * 3))


def main() -> None:
    """Print the table, and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fps", type=float, default=2.11, help="frames a second of one worker")
    parser.add_argument("--frame-bytes", type=float, default=168e3, help="of the target")
    parser.add_argument("--plot", type=Path, default=Path("docs/images/scale.png"))
    asked = parser.parse_args()
    video = VideoWork(
        FRAMES, SEGMENT, 1 / asked.fps, serial_seconds(FRAMES, FRAMES * asked.frame_bytes)
    )
    queue = Conditions()
    given = replace(queue, one_queue=False)
    rows: list[tuple[int, SimulationResult, SimulationResult]] = [
        (count, simulate([video] * PLAYED, count, given), simulate([video] * PLAYED, count, queue))
        for count in WORKERS
    ]
    share = FILMS / PLAYED / DAY
    first = rows[0][1].seconds
    print("| workers | file after file | speed-up | at work | one queue | speed-up | at work |")
    print("|---|---|---|---|---|---|---|")
    for count, apart, shared_processor in rows:
        cells = [_cells(simulated, share, first) for simulated in (apart, shared_processor)]
        print(f"| {count} | {' | '.join(cells)} |")
    print(f"alone: {rows[0][1].serial_seconds * share:.1f} days")
    after = [first / simulated.seconds for _, simulated, _ in rows]
    one = [first / simulated.seconds for _, _, simulated in rows]
    cv2.imwrite(str(asked.plot), _plot([after, one, [float(count) for count in WORKERS]]))


def _cells(simulated: SimulationResult, share: float, first: float) -> str:
    days = f"{simulated.seconds * share:.1f} days"
    return f"{days} | {first / simulated.seconds:.1f} | {simulated.utilisation:.0%}"


def _plot(curves: list[list[float]]) -> np.ndarray:
    """Speed-up over workers, both in powers of ten."""
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)

    def place(workers: float, speedup: float) -> tuple[int, int]:
        x = EDGE + math.log10(workers) / 3 * (WIDTH - 2 * EDGE)
        y = HEIGHT - EDGE - math.log10(max(1.0, speedup)) / 3 * (HEIGHT - 2 * EDGE)
        return round(x), round(y)

    def write(text: str, at: tuple[int, int], ink: tuple[int, ...] = (60, 60, 60)) -> None:
        cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.55, ink, 1, cv2.LINE_AA)

    for power in range(4):
        value = 10**power
        cv2.line(image, place(value, 1), place(value, 1000), (225, 225, 225), 1)
        cv2.line(image, place(1, value), place(1000, value), (225, 225, 225), 1)
        x, y = place(value, 1)
        write(str(value), (x - 12, y + 25))
        write(str(value), (EDGE - 55, place(1, value)[1] + 5))
    write("workers", (WIDTH // 2 - 30, HEIGHT - 20))
    write("times as fast as one worker", (EDGE, EDGE - 30))
    for number, (curve, (name, ink)) in enumerate(zip(curves, KINDS, strict=True)):
        points = np.array(
            [place(count, value) for count, value in zip(WORKERS, curve, strict=True)]
        )
        cv2.polylines(image, [points.reshape(-1, 1, 2)], False, ink, 2, cv2.LINE_AA)
        y = EDGE + 30 + 28 * number
        cv2.line(image, (EDGE + 20, y - 5), (EDGE + 60, y - 5), ink, 2, cv2.LINE_AA)
        write(name, (EDGE + 70, y))
    return image


if __name__ == "__main__":
    main()

"""What several encoders beside one network would do on 16 cores and a GPU: a simulation, its table.

Frames are played through one network and up to four segments' encoders, each with a queue of four
frames. An encoder uses eight cores at most; several that want more than there are share them.
"""

from __future__ import annotations

import argparse

from vsr.geometry import Size
from vsr.jobs.pace import CORES_USED
from vsr.media.write.codecs import SPEEDS

FRAMES, SEGMENT, QUEUE = 1920, 120, 4
TARGET = Size(5120, 2880)
NETWORKS = {"srgan": 30.0, "compact": 60.0}
"""Frames a second that are expected of an H100 from 1280x720; none was measured."""
ENCODERS = (("hevc", "medium"), ("av1", "8"), ("av1", "12"))


def play(network_seconds: float, encoder_seconds: float, encoders: int, cores: int) -> float:
    """Frames a second with so many encoders, of which one alone takes ``encoder_seconds`` each."""
    segments = [SEGMENT] * (FRAMES // SEGMENT)
    left, ends = [0] * encoders, [[0.0] for _ in range(encoders)]
    network_free = 0.0
    while segments or any(left):
        for lane in range(encoders):
            if not left[lane] and segments:
                left[lane] = segments.pop()
        working = [lane for lane in range(encoders) if left[lane]]
        # The network goes on with the segment whose queue has room first.
        lane = min(working, key=lambda lane: ends[lane][-QUEUE:][0])
        network_free = max(network_free, ends[lane][-QUEUE:][0]) + network_seconds
        shared = max(1.0, len(working) * CORES_USED / cores)
        ends[lane].append(max(network_free, ends[lane][-1]) + encoder_seconds * shared)
        left[lane] -= 1
    return FRAMES / max(times[-1] for times in ends)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=16)
    cores = parser.parse_args().cores
    print("| network | encoder | 1 | 2 | 4 |")
    print("|---|---|---|---|---|")
    for name, rate in NETWORKS.items():
        for codec, preset in ENCODERS:
            speed = SPEEDS[codec][preset] * 1e6 * min(cores, CORES_USED)
            alone = TARGET.pixels / speed
            made = (play(1 / rate, alone, count, cores) for count in (1, 2, 4))
            cells = " | ".join(f"{fps:.1f}" for fps in made)
            print(f"| {name}, {rate:g} frames/s | {codec} {preset} | {cells} |")


if __name__ == "__main__":
    main()

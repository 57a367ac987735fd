"""How fast a network and an encoder are, roughly and before a run: so that neither idles the other.

From what was measured on other machines, see docs/benchmarks.md. The target's bytes do not depend
on how many encoders there are; which codec and preset there is by default depends on the machine.
"""

from __future__ import annotations

import math

import torch

from vsr.geometry import Size
from vsr.infer.device import free_host
from vsr.media.write.codecs import SPEEDS
from vsr.media.write.encoding import Encoding
from vsr.models.arch import Upscaler
from vsr.models.profiling import multiply_adds
from vsr.system import processors

CPU_OPERATIONS, GPU_OPERATIONS = 1e11, 1e14
"""A second: of one core with bf16, and of a data-centre card in a network of convolutions."""
FRAMES_HELD = 60  # by an encoder that looks ahead
MAX_ENCODERS, CORES_EACH = 4, 4
CORES_USED = 8
"""By one encoder at most: further threads of it wait for each other."""


def network_fps(upscaler: Upscaler, device: torch.device, source: Size) -> float:
    """Frames a second of the network alone."""
    rate = GPU_OPERATIONS if device.type == "cuda" else CPU_OPERATIONS * processors()
    return rate / (2 * multiply_adds(upscaler.module) * source.pixels)


def encoder_fps(encoding: Encoding) -> float:
    """Frames a second of one encoder; infinite where nothing is known of it."""
    known = SPEEDS.get(encoding.codec, {})
    speed = known.get(dict(encoding.options).get("preset", ""), math.inf)
    return speed * 1e6 * min(processors(), CORES_USED) / encoding.size.pixels


def encoder_count(
    asked: int | None, encoding: Encoding, upscaler: Upscaler, device: torch.device, source: Size
) -> int:
    """How many segments are encoded side by side: as asked, or several where the network is the
    quicker one and there are cores and memory for them."""
    if asked is not None:
        return asked
    cores = processors()
    if cores < 2 * CORES_EACH:
        return 1
    if network_fps(upscaler, device, source) <= encoder_fps(encoding):
        return 1
    held = FRAMES_HELD * encoding.size.pixels * 3  # bytes of 4:2:0, in up to 16 bits
    return max(1, min(MAX_ENCODERS, cores // CORES_EACH, free_host() // 2 // held))

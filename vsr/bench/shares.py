"""What each part of a frame's work takes of the whole, from parts that were timed alone."""

from __future__ import annotations

from collections.abc import Mapping


def shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """Of decoding, motion, the network, colour with all else on the device, and encoding; sum 1.

    ``seconds`` are of the rows of :mod:`vsr.bench.pipeline`: ``decode`` has the motion in it, where
    there is any, and ``enlarge`` the network. Empty where one of the others was not measured. Parts
    that take less than was measured for what they hold count as nothing.
    """
    if not {"decode", "network", "enlarge", "encode"} <= seconds.keys():
        return {}
    motion = seconds.get("motion", 0.0)
    parts = {
        "decode": max(0.0, seconds["decode"] - motion),
        "motion": motion,
        "network": seconds["network"],
        "colour": max(0.0, seconds["enlarge"] - seconds["network"]),
        "encode": seconds["encode"],
    }
    whole = sum(parts.values())
    return {name: part / whole for name, part in parts.items() if name != "motion" or motion}

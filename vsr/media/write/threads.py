"""The number of threads of encoders whose output depends on it."""

from __future__ import annotations

from vsr.system import processors


def encoder_threads(encoder: str) -> int | None:
    """What the encoder would choose for this machine; ``None`` where it makes no difference.

    Said aloud, it becomes part of the plan: a segment has to be the same wherever it is made.
    """
    count = processors()
    if encoder == "libx264":
        return min(128, max(1, count * 3 // 2))
    if encoder == "libx265":
        return next(n for least, n in ((32, 6), (16, 5), (8, 3), (4, 2), (0, 1)) if count >= least)
    return None

"""What a process of our own asks of the system. Never what a library asks inside another program.

It knows nothing of torch, and the first of it must be asked before torch is imported.
"""

from __future__ import annotations

import ctypes
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_MOST = (1 << 31) - 1


def let_threads_sleep() -> None:
    """Torch's threads would spin while they wait, on cores that the codecs' threads need.

    They still do for some microseconds: to be woken takes as long as many a layer. The names are
    those of GNU's OpenMP and of LLVM's; a policy that was set before is left alone.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "30000")
        os.environ.setdefault("KMP_BLOCKTIME", "1")


def keep_freed_memory() -> None:
    """Frames follow frames: what one has freed, the next one needs.

    glibc would give every tensor above 32 MB back to the system and ask for it again, page by page,
    which takes as long as a layer of a network.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MOST)
        mallopt(_M_TRIM_THRESHOLD, _MOST)

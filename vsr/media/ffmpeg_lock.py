"""One thread at a time in FFmpeg, for what a process does beside its workers: a lock, no more.

Where chroma lies is read from FFmpeg's log (``siting.py``), and there is one log for all threads:
what others did meanwhile would be written there too, or be cut short when it is closed again.
"""

from __future__ import annotations

import threading

ffmpeg_lock = threading.RLock()

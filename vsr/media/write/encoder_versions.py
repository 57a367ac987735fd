"""The versions of what encodes: another one makes other bytes of the same frames."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, files

import av

from vsr.media.write.codecs import CODECS

_LIBRARIES = {"libx264": "libx264", "libx265": "libx265", "libsvtav1": "libsvtav1enc"}


@cache
def encoder_version(encoder: str) -> str:
    """FFmpeg's libavcodec, and the encoder's own library where PyAV's package brings it.

    Its file is named with its version, and on most systems with a hash of what is in it:
    ``libavcodec 62.28.102, libx264-d6533a8d.so.165``. An encoder of the system's own is told by
    libavcodec's version alone.
    """
    libavcodec = "libavcodec " + ".".join(map(str, av.library_versions["libavcodec"]))
    wanted = _LIBRARIES.get(encoder)
    names = [name for name in _packaged() if wanted and name.lower().startswith(wanted)]
    return ", ".join([libavcodec, *names])


def encoder_versions() -> str:
    """Those of all encoders, for workers that have to be alike."""
    named = {encoder_version(codec.encoder): None for codec in CODECS.values()}
    return "; ".join(named)


@cache
def _packaged() -> tuple[str, ...]:
    """The names of the libraries in PyAV's package."""
    try:
        found = files("av") or ()
    except PackageNotFoundError:
        return ()
    return tuple(sorted(path.name for path in found if path.name.startswith("lib")))

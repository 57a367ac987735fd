"""How files end that are taken for videos and pictures, where only their names are known."""

from __future__ import annotations

from pathlib import Path

VIDEO_SUFFIXES = frozenset(
    (
        ".264", ".265", ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".h264",
        ".h265", ".hevc", ".ivf", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mj2", ".mkv", ".mov",
        ".mp4", ".mpe", ".mpeg", ".mpg", ".mpv", ".mts", ".mxf", ".nut", ".obu", ".ogm", ".ogv",
        ".ps", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".wtv", ".y4m",
    )
)  # fmt: skip
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
"""Of pictures that are enlarged, and written."""
TRAINING_PICTURE_SUFFIXES = frozenset((*PICTURE_SUFFIXES, ".bmp", ".ppm", ".jp2"))
"""Of pictures that are learnt from."""

_OF_SYSTEM = frozenset((".ds_store", ".directory", "desktop.ini", "thumbs.db"))


def is_video(path: Path) -> bool:
    """Whether a name ends like a video's."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def is_picture(path: Path) -> bool:
    """Whether a name ends like that of a still picture that can be enlarged."""
    return path.suffix.lower() in PICTURE_SUFFIXES


def is_hidden(path: Path) -> bool:
    """Whether a name begins with a dot: it is left alone where a folder is gone through.

    Such are the files that macOS puts beside each on other file systems: ``._film.mp4``.
    """
    return path.name.startswith(".")


def is_of_system(path: Path) -> bool:
    """Whether a name is of what file managers leave in folders that they show, of no one's work."""
    return path.name.startswith("._") or path.name.lower() in _OF_SYSTEM

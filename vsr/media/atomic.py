"""Write a file that has its name only once it is whole. Knows nothing of what is in it."""

from __future__ import annotations

import os
from pathlib import Path

from vsr.errors import MediaError


def write_whole(path: Path, data: bytes) -> None:
    """Put ``data`` in a file that has its name only once it is whole."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as error:
        raise MediaError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)

"""Turn an exception that nobody foresaw into one file's failure, with its traceback in a log."""

from __future__ import annotations

import logging
import os
import tempfile
import time
import traceback
from pathlib import Path

from vsr.errors import Unexpected, VsrError
from vsr.system import open_own
from vsr.version import __version__

LOG = ".vsr-errors.log"
log = logging.getLogger(__name__)


def as_failure(error: Exception, source: Path, folder: Path) -> VsrError:
    """A :class:`VsrError` as it is; of any other exception a log is kept that the message names.

    The log lies in ``folder``, or where that is not there or cannot be written to, among temporary
    files. Each failure is added to what it holds.
    """
    if isinstance(error, VsrError):
        return error
    said = f"unexpected {type(error).__name__}" + (f": {error}" if str(error) else "")
    kept = _kept(error, source, folder)
    if kept is None:
        log.error("%s: %s", source, said, exc_info=error)
        return Unexpected(f"{said}; no log could be written of it", hint="-v shows where it arose")
    return Unexpected(
        f"{said}; its traceback is in {kept}", hint="this should not happen: please report the log"
    )


def _kept(error: Exception, source: Path, folder: Path) -> Path | None:
    """Where the traceback was written to; ``None`` where nothing can be written."""
    lines = traceback.format_exception(error)
    now = time.strftime("%Y-%m-%d %H:%M:%S %z")
    text = f"{now} vsr {__version__}\n{source}\n{''.join(lines)}\n"
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        descriptor, path = open_own(folder / LOG, flags, 0o644), folder / LOG
    except OSError:
        try:
            descriptor, name = tempfile.mkstemp(prefix="vsr-errors-", suffix=".log")
        except OSError:
            return None
        path = Path(name)
    try:
        with os.fdopen(descriptor, "ab") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
    except OSError:
        return None
    return path

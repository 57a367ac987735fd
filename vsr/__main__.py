"""``python -m vsr`` and the ``vsr`` command."""

from __future__ import annotations

import signal

from vsr.cli.app import app
from vsr.runtime import keep_freed_memory


def main() -> None:
    """Run the command line."""
    keep_freed_memory()
    try:
        app(prog_name="vsr")
    finally:  # nothing is left to be stopped: a Ctrl-C more is not to change the exit code
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()

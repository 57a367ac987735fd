"""``python -m vsr`` and the ``vsr`` command."""

from __future__ import annotations

import os
import signal
import sys

from vsr.cli.app import app
from vsr.cli.streams import keep_streams
from vsr.runtime import keep_freed_memory


def main() -> None:
    """Run the command line."""
    keep_streams()
    keep_freed_memory()
    try:
        app(prog_name="vsr")
    except SystemExit as end:
        # One of torchrun's processes: gloo keeps threads beyond its process group, and one of them
        # now and then ended a process with "terminate called" after all work was done.
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Nothing is left to be stopped: a Ctrl-C more is not to change the exit code.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()

"""The command line on a system that lacks what Windows lacks: ``python -m tests.bare_system ...``.

What is missing is gone before anything of vsr, torch or PyAV is imported.
"""

from __future__ import annotations

import os
import signal
import sys

MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty")
FUNCTIONS = (
    "sched_getaffinity", "sched_setaffinity", "sched_getscheduler", "sched_setscheduler",
    "sched_getparam", "geteuid", "getuid", "getegid", "getgid", "getpgid", "killpg", "setsid",
    "nice", "setpriority", "getpriority", "pread", "pwrite", "mkfifo",
    "sysconf", "getloadavg", "O_NOFOLLOW", "O_CLOEXEC", "O_DIRECTORY", "O_NONBLOCK",
)  # fmt: skip
SIGNALS = ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGCHLD", "pthread_sigmask", "SIG_BLOCK")


def make_bare() -> None:
    """Take away what is not on every system."""
    for name in MODULES:
        sys.modules[name] = None  # pyright: ignore[reportArgumentType]  # importing it fails
    for place, names in ((os, FUNCTIONS), (signal, SIGNALS)):
        for name in names:
            if hasattr(place, name):
                delattr(place, name)


if __name__ == "__main__":
    make_bare()
    from vsr.__main__ import main

    main()

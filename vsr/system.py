"""What systems do differently: locks, signals, scheduling, processors, folders, names of files.

Everything is there on Linux, most of it on macOS, and little of it on Windows. Nothing else in vsr
asks the system which one it is, so that what one lacks is dealt with here alone.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import secrets
import signal
import stat
import sys
import tempfile
import time
import unicodedata
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import lru_cache
from glob import escape
from math import inf
from multiprocessing import resource_tracker
from pathlib import Path
from typing import IO, Any

import filelock

from vsr.units import clock

WINDOWS = sys.platform == "win32"
MACOS = sys.platform == "darwin"
ENDING_SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)
"""The signals that end programs: by Ctrl-C, by the system, by a terminal that is closed."""
LONGEST_PATH = 259  # characters, on Windows without its long paths
_REPLACE_WAITS = (0.05, 0.1, 0.2, 0.5, 1.0)  # seconds; scanners of viruses look at each new file
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"|?*\\/\x00-\x1f]')


class Lock:
    """A file that one holder at a time locks, of all processes and threads of the machine.

    Who holds it stands in it: host, process, and since when. A process that dies holds nothing.
    ``path``'s folder should be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Any thread may release what another one took.
        self._lock = filelock.FileLock(path, thread_local=False)

    def take(self, *, patience_seconds: float = 0.2) -> bool:
        """Lock it, and whether that was possible in so long; ``inf`` is as long as it takes.

        Who removes the file holds it for a moment, which a little patience is for.
        Raises :class:`OSError` where no such file can be made.
        """
        try:
            self._lock.acquire(timeout=-1 if patience_seconds == inf else patience_seconds)
        except filelock.Timeout:
            return False
        self._sign()
        return True

    def holder(self) -> str:
        """Who holds it, for people: "process 12 on alpha, for 3.4 s"; or "somebody"."""
        try:
            with os.fdopen(open_own(self._path, os.O_RDONLY), "rb") as file:
                note = json.loads(file.read(4096))
            seconds = max(0.0, time.time() - float(note["since"]))
            return f"process {int(note['process'])} on {note['host']}, for {clock(seconds)}"
        except (OSError, ValueError, KeyError, TypeError):  # Windows reads no file that is locked
            return "somebody"

    def _sign(self) -> None:
        """Say in the file who holds it now; not where filelock keeps a note of its own in it."""
        note = {"host": platform.node(), "process": os.getpid(), "since": round(time.time(), 3)}
        with (
            suppress(OSError),
            os.fdopen(open_own(self._path, os.O_RDWR), "r+b") as file,
        ):
            if file.read(8) in (b"", b'{"host":'):
                file.seek(0)
                file.write(json.dumps(note).encode())
                file.truncate()

    def release(self) -> None:
        """Let others have it. Nothing happens where it is not held."""
        self._lock.release(force=True)

    def remove(self) -> None:
        """Delete the file while it is held, so that nobody else's is deleted, and release it."""
        if isinstance(self._lock, filelock.UnixFileLock) and self._lock.is_locked:
            with suppress(FileNotFoundError):
                os.unlink(self._lock.lock_file)
        self.release()  # which deletes the file where an open one cannot be deleted


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def scheduling_kept() -> Generator[None]:
    """Give all threads the scheduling back that this process had, where a library changes it.

    Only Linux lets it.
    """
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            for thread in os.listdir("/proc/self/task"):
                with suppress(ProcessLookupError):  # a thread that has just ended
                    os.sched_setscheduler(int(thread), policy, parameters)


@contextmanager
def sigint_blocked() -> Generator[None]:
    """A process started inside never gets Ctrl-C, which terminals send to all: its parent decides.

    What is blocked is inherited; for this process it comes a moment later. Windows has no such
    thing: there :func:`ignore_sigint` is for the process itself.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # started by the first process, it would unblock SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_sigint() -> None:
    """Ctrl-C is nothing to this process from now on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def is_private(fact: os.stat_result) -> bool:
    """Whether what has these facts is this user's own, and no other user may write there.

    Windows keeps that in lists that it does not show as owner and mode: there it is taken for so.
    """
    if not hasattr(os, "geteuid"):
        return True
    return fact.st_uid == os.geteuid() and not stat.S_IMODE(fact.st_mode) & 0o022


def shows_owners(folder: Path) -> bool:
    """Whether files in a folder have an owner and a mode of their own.

    On FAT, and on many shares of a network, all have those of the mount.
    """
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=".vsr-")  # for this user alone
    try:
        return is_private(os.fstat(descriptor))
    finally:
        os.close(descriptor)
        discard(Path(name))


def open_own(path: Path, flags: int, mode: int = 0o666) -> int:
    """A descriptor of a file that is no link, for bytes as they are. Raises :class:`OSError`.

    A pipe, which would be waited for, is refused as a device is.
    """
    for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY", "O_NONBLOCK"):
        flags |= getattr(os, name, 0)
    descriptor = os.open(path, flags, mode)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file", os.fspath(path))
    return descriptor


def read_at(descriptor: int, size: int, start: int) -> bytes:
    """So many bytes from ``start`` on, fewer at the end of the file. Raises :class:`OSError`."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, start)
    os.lseek(descriptor, start, os.SEEK_SET)
    return os.read(descriptor, size)


PART_CHARACTERS = 50
"""Of a file's name, in the name of its part."""


def parts_left(path: Path) -> list[Path]:
    """Parts of a file that a process left which was killed; asked by whoever alone writes it."""
    if len(path.name) > PART_CHARACTERS:
        return []  # they may be another file's
    return list(path.parent.glob(f".{escape(path.name)}.{'[0-9a-f]' * 8}.part"))


@contextmanager
def part_beside(path: Path) -> Generator[Path]:
    """A new empty file in a path's folder, to be filled and to take the path's name when whole.

    Its own name is nobody else's: no file of that name is lost, and no link followed. Where it
    still is there at the end, it is removed. Raises :class:`OSError`.
    """
    # A name has 255 bytes at most, and a character has four.
    part = path.with_name(f".{path.name[:PART_CHARACTERS]}.{secrets.token_hex(4)}.part")
    os.close(open_own(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    try:
        yield part
    finally:
        discard(part)


def replace_file(part: Path, path: Path) -> None:
    """Give a file another name, in the place of what has it. Raises :class:`OSError`.

    Windows refuses that while another program has one of the two open: it is asked again for two
    seconds, in which such programs as look at each new file are done. A device, a pipe or a socket
    is never replaced: ``/dev/null`` would be a file from then on.
    """
    refuse_special(path)
    for wait in _REPLACE_WAITS if WINDOWS else ():
        try:
            return os.replace(part, path)
        except PermissionError:
            time.sleep(wait)
    return os.replace(part, path)


def is_special(path: Path) -> bool:
    """Whether a path leads to a device, a pipe or a socket, which no file or folder may replace."""
    return path.exists() and not path.is_file() and not path.is_dir()


def refuse_special(path: Path) -> None:
    """Raise :class:`OSError` where :func:`is_special`."""
    if is_special(path):
        raise OSError(errno.EEXIST, "it is a device, a pipe or a socket", os.fspath(path))


def discard(path: Path) -> None:
    """Remove a file that nobody needs any more, where that can be done."""
    with suppress(OSError):
        path.unlink()


def sync_file(file: IO[Any]) -> None:
    """Put what was written to an open file on the disk. Raises :class:`OSError`."""
    file.flush()
    os.fsync(file.fileno())


def sync_path(path: Path) -> None:
    """Put a file on the disk that somebody else wrote and closed. Raises :class:`OSError`."""
    with path.open("r+b") as file:  # Windows syncs no file that is open for reading alone
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk, where the system can: Windows opens no folders."""
    with suppress(OSError):  # some file systems know no such thing
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def user_data_folder() -> Path:
    """The folder of vsr's own in which this user keeps data, whether or not it is there.

    Raises :class:`FileNotFoundError` for a user without a home.
    """
    local = os.environ.get("LOCALAPPDATA" if WINDOWS else "XDG_DATA_HOME", "")
    if os.path.isabs(local):  # the XDG base directory specification: others are no answer
        return Path(local) / "vsr"
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        raise FileNotFoundError("this user has no home folder")
    inside = "AppData/Local" if WINDOWS else ".local/share"
    return Path(home, "Library/Application Support" if MACOS else inside, "vsr")


def sha256_of(path: Path) -> str:
    """The hash of a file, in hexadecimal, read piece by piece. Raises :class:`OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def name_problem(path: Path) -> str | None:
    """Why a file cannot have that name on this system, as the end of a sentence; or ``None``.

    Windows has names that are devices in every folder, and characters that are in no name; it cuts
    off dots and blanks at the end; its paths are short.
    """
    if not WINDOWS:
        return None
    for part in path.parts[1:] if path.anchor else path.parts:
        if part in (".", ".."):
            continue
        if _RESERVED.fullmatch(part):
            return f"{part} is a device on Windows"
        if found := _FORBIDDEN.search(part):
            return f"Windows has no {found[0]!r} in names"
        if part[-1] in ". ":
            return f"on Windows no name ends in {part[-1]!r}"
    length = len(os.path.abspath(path))
    if length > LONGEST_PATH:
        return f"it is {length} characters long, and Windows takes {LONGEST_PATH}"
    return None


def real_path(path: Path) -> Path:
    """A path without links; links that lead in a circle stay, which ``Path.resolve`` raises of."""
    return Path(os.path.realpath(path))


def same_name_key(path: Path) -> str:
    """What two paths have in common that lead to one file, whether or not it is there.

    Folders of macOS and Windows, and such disks elsewhere, do not tell small letters from capitals,
    nor an accented letter from a letter and an accent.
    """
    if not ignores_case(path.parent):
        return str(path)
    return unicodedata.normalize("NFC", str(path)).casefold()


@lru_cache(256)
def ignores_case(folder: Path) -> bool:
    """Whether files in a folder have one name in small letters and in capitals.

    Found out by looking at the folder's own name, or at that of the nearest one above that is there
    and has letters.
    """
    for place in (folder.absolute(), *folder.absolute().parents):
        other = place.with_name(place.name.swapcase()) if place.name else place
        if other == place or not place.exists():
            continue
        with suppress(OSError):
            return other.exists() and other.samefile(place)
        return False
    return WINDOWS

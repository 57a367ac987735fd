"""Start Python commands without paying for their imports: forked from a process that has them.

To import torch, PyAV and OpenCV takes seconds of processor time, which each command of a test would
pay. :func:`start` and :func:`run` take what :class:`subprocess.Popen` takes for ``python -m`` and
``python -c``. The first call starts a server, a process that has imported everything of vsr and has
one thread; it forks for each command. The fork gets arguments, environment, folder, descriptors,
session and signals as a new process would have them, and runs at the top level, with an end like
any other's. Elsewhere than on Linux a new process is started.

Such an end costs more than starting: Python takes down its modules, and libraries in C++ their
tables. With :data:`QUICK_ENDS` a fork leaves both to the kernel, after threads, handlers of exit
and streams have ended as ever; not where a library is preloaded, which may have to tell something
at the end.

What is about imports themselves, entry points, other packages or a process's memory belongs in a
new process.
"""

from __future__ import annotations

import array
import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from types import ModuleType, TracebackType
from typing import IO, Any, cast

ROOT = Path(__file__).parent.parent
QUICK_ENDS = False
_NEW = {"PYTHONPATH", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONWARNINGS", "LD_PRELOAD"}
"""What a process reads when it starts, and never again."""


class Process:
    """A started command: the part of :class:`subprocess.Popen` that tests need, with text."""

    def __init__(self, args: list[str], pid: int, status: int, pipes: dict[int, int]) -> None:
        self.args, self.pid, self.returncode = args, pid, cast("int | None", None)
        self._status = status  # a pipe that the exit code comes through
        self.stdout, self.stderr = (
            os.fdopen(pipes[number], encoding="utf-8") if number in pipes else None
            for number in (1, 2)
        )

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait()

    def poll(self) -> int | None:
        """The exit code, a signal's number negative; ``None`` while the process runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, at most so many seconds."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            told = os.read(self._status, 16)
            os.close(self._status)
            if not told:
                raise RuntimeError("the fork server ended before the command did")
            self.returncode = os.waitstatus_to_exitcode(int(told))
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, where the process still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it writes until its end to its pipes, with the processes that inherit them."""
        told: dict[int, str] = {}

        def read(number: int, stream: IO[str]) -> None:
            with suppress(ValueError):  # closed under it, by a test that waited no longer
                told[number] = stream.read()

        deadline = None if timeout is None else time.monotonic() + timeout
        streams = [(n, s) for n, s in ((1, self.stdout), (2, self.stderr)) if s is not None]
        threads = [threading.Thread(target=read, args=pair, daemon=True) for pair in streams]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        for _, stream in streams:
            stream.close()
        self.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return told.get(1, ""), told.get(2, "")

    def __del__(self) -> None:
        if self.returncode is None:
            with suppress(OSError):
                os.close(self._status)


class ForkServer:
    """A server and the connection to it; it ends with this process, or when it is closed.

    ``env`` is what its process starts with, and so every command: such as ``LD_PRELOAD``.
    """

    def __init__(self, env: dict[str, str] | None = None) -> None:
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        # Threads of libraries would not live on in a fork. How OpenMP waits is read on import: a
        # command would have set it.
        alone = {
            "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())],
                env={**os.environ, **(env or {}), **alone},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self.env = {**os.environ, **(env or {})}

    def start(
        self,
        args: Sequence[str],
        *,
        stdout: int | None = None,
        stderr: int | None = None,
        cwd: Path | str | None = None,
        env: dict[str, str] | None = None,
        start_new_session: bool = False,
    ) -> Process:
        """Start ``[sys.executable, "-m" or "-c", ...]``; the streams as for ``Popen``."""
        assert args[0] == sys.executable, args[0]
        assert args[1] in ("-m", "-c"), args[1]
        env = {**self.env, **os.environ} if env is None else env
        for name in _NEW:
            assert env.get(name) == self.env.get(name), f"{name} is for a new process"
        pipes: dict[int, int] = {}
        given: list[int] = [os.open(os.devnull, os.O_RDWR)]  # what the fork has as 0, 1 and 2
        for number, asked in ((1, stdout), (2, stderr)):
            if asked == subprocess.PIPE:
                pipes[number], end = os.pipe()
                given.append(end)
            elif asked == subprocess.DEVNULL:
                given.append(os.dup(given[0]))
            elif asked == subprocess.STDOUT:
                given.append(os.dup(given[1]))
            else:
                given.append(os.dup(number if asked is None else asked))
        status, end = os.pipe()
        given.append(end)
        words = list(map(str, args))
        order = {
            "args": words,
            "cwd": os.path.abspath(cwd or os.getcwd()),
            "env": env,
            "session": start_new_session,
            "quick_end": QUICK_ENDS and "LD_PRELOAD" not in self.env,
        }
        order_fd = os.memfd_create("order")  # a datagram holds only so many bytes
        os.write(order_fd, json.dumps(order).encode())
        given.append(order_fd)
        try:
            with self._lock:
                fds = array.array("i", given)
                ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
                self._connection.sendmsg([b"start"], ancillary)
                pid = int(self._connection.recv(16) or 0)
        finally:
            for fd in given:
                os.close(fd)
        if not pid:
            raise RuntimeError(f"the fork server ended with exit code {self._process.wait()}")
        return Process(words, pid, status, pipes)

    def run(
        self,
        args: Sequence[str],
        *,
        timeout: float | None = None,
        check: bool = False,
        **others: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with all its output; killed where it takes longer."""
        pipe = subprocess.PIPE
        with self.start(args, stdout=pipe, stderr=pipe, **others) as process:
            try:
                out, err = process.communicate(timeout)
            except BaseException:
                process.kill()
                raise
        code = process.wait()
        if check and code:
            raise subprocess.CalledProcessError(code, process.args, out, err)
        return subprocess.CompletedProcess(process.args, code, out, err)

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server. What it started goes on."""
        self._connection.close()
        self._process.wait()


_servers: dict[int, ForkServer] = {}  # one for each process of pytest


def _server() -> ForkServer:
    if os.getpid() not in _servers:
        server = _servers[os.getpid()] = ForkServer()
        atexit.register(server.close)
    return _servers[os.getpid()]


def start(args: Sequence[str], **others: Any) -> Process:
    """:meth:`ForkServer.start`, of one server for all tests."""
    if sys.platform != "linux":
        return cast("Process", subprocess.Popen(args, text=True, encoding="utf-8", **others))
    return _server().start(args, **others)


def run(args: Sequence[str], **others: Any) -> subprocess.CompletedProcess[str]:
    """:meth:`ForkServer.run`, of one server for all tests."""
    if sys.platform != "linux":
        return subprocess.run(args, capture_output=True, text=True, encoding="utf-8", **others)
    return _server().run(args, **others)


def vsr(*words: object, **others: Any) -> subprocess.CompletedProcess[str]:
    """Run ``python -m vsr`` with words to its end."""
    return run([sys.executable, "-m", "vsr", *map(str, words)], **{"timeout": 600, **others})


def serve(connection: socket.socket) -> dict[str, Any] | None:
    """Fork for each order, and tell how each fork ended.

    Returns ``None`` when nobody is left to give orders, and in a fork what it is to run.
    """
    status_of: dict[int, tuple[int, int]] = {}  # by pidfd: the process, and where to tell of it
    while True:
        ready = select.select([connection, *status_of], [], [])[0]
        for pidfd in status_of.keys() & set(ready):
            pid, status = status_of.pop(pidfd)
            _, code = os.waitpid(pid, 0)
            with suppress(BrokenPipeError):  # nobody wants to know
                os.write(status, str(code).encode())
            os.close(status)
            os.close(pidfd)
        if connection not in ready:
            continue
        message, ancillary, _, _ = connection.recvmsg(16, socket.CMSG_SPACE(5 * 4))
        if not message:
            return None
        fds = array.array("i")
        fds.frombytes(ancillary[0][2])
        *streams, status, order_fd = fds
        with open(order_fd, "rb") as file:
            file.seek(0)
            order = json.loads(file.read())
        pid = os.fork()
        if not pid:
            connection.close()
            for fd in (status, *status_of, *(told for _, told in status_of.values())):
                os.close(fd)
            for number, fd in enumerate(streams):
                os.dup2(fd, number)
                os.close(fd)
            return order
        status_of[os.pidfd_open(pid)] = (pid, status)
        for fd in streams:
            os.close(fd)
        connection.send(str(pid).encode())


def become(order: dict[str, Any]) -> None:
    """Have this fork look like a new process, but for its modules."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if order["session"]:
        os.setsid()
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    torch = sys.modules["torch"]
    torch.seed()
    if "OMP_NUM_THREADS" in order["env"]:
        torch.set_num_threads(int(order["env"]["OMP_NUM_THREADS"]))
    sys.stdin = sys.__stdin__ = os.fdopen(0, encoding=sys.stdin.encoding, closefd=False)
    for number, old in ((1, sys.stdout), (2, sys.stderr)):
        assert isinstance(old, TextIOWrapper)
        raw = os.fdopen(number, "wb", buffering=0 if old.write_through else -1, closefd=False)
        stream = TextIOWrapper(
            raw,
            encoding=old.encoding,
            errors=old.errors,
            line_buffering=not old.write_through and (number == 2 or os.isatty(number)),
            write_through=old.write_through,
        )
        setattr(sys, ("stdout", "stderr")[number - 1], stream)
        setattr(sys, ("__stdout__", "__stderr__")[number - 1], stream)


def run_as_main(args: list[str]) -> None:
    """What ``python`` does with its arguments ``-m module ...`` or ``-c program ...``."""
    _, kind, what, *words = args
    sys.argv[:] = [kind, *words]
    if kind == "-m":
        sys.path[0] = os.getcwd()
        runpy.run_module(what, run_name="__main__", alter_sys=True)
        return
    sys.path[0] = ""
    module = ModuleType("__main__")
    vars(module)["__builtins__"] = __builtins__
    sys.modules["__main__"] = module
    exec(compile(what, "<string>", "exec"), vars(module))


def end_quickly(code: int) -> None:
    """End as the interpreter does, up to where it would take down modules.

    Returns where a stream cannot be written, which the interpreter is to tell.
    """
    threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue]
    atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            return
    os._exit(code)


def import_all() -> None:
    """Everything that commands import, but for what is run as a program."""
    import vsr

    for found in pkgutil.walk_packages(vsr.__path__, "vsr."):
        if found.name != "vsr.__main__":
            with suppress(ImportError):  # an extra that is not installed
                importlib.import_module(found.name)
    importlib.import_module("torch._dynamo")  # which an optimiser imports when it is made
    threads = os.listdir("/proc/self/task")
    assert len(threads) == 1, f"{len(threads)} threads, which would not live on in a fork"
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    import_all()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with those that it serves
    order = serve(socket.socket(fileno=int(sys.argv[1])))
    if order is not None:
        become(order)
        code = None
        try:
            run_as_main(order["args"])
        except SystemExit as end:
            code = end.code
        if order["quick_end"] and isinstance(code, int | None):
            end_quickly(code or 0)
        sys.exit(code)

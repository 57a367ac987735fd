"""The law of faults: whatever call fails, the target is whole or as it was, and nothing is lost.

For each kind of call and each of its turns in a short run, once that one fails, and once all from
there on; and each read once that never comes back. The same for a run that goes on with what an
interrupted one finished. ``python -m tests.faults.sweep`` runs all of them (``make faults``), and
those of the calls that are named.
"""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np

from tests.fork_server import ForkServer

SHIM = Path(__file__).with_name("shim.c")
RUN = """
import sys
from fractions import Fraction
from vsr.jobs.video import plan
from vsr.media import files
plan.SEGMENT_SECONDS = Fraction(8, 25)
files.WAITS = (0.01, 0.02)
from vsr.media.read import reader
from vsr.jobs.video import run
reader.WAITS = run.WAITS = files.WAITS
from vsr.__main__ import main
sys.argv = ["vsr", "upscale", sys.argv[1], sys.argv[2], "--model", "nearest", "--device", "cpu",
            "--preset", "ultrafast", "--codec", "h264", "-q", "--json", "--overwrite",
            *sys.argv[3:]]
main()
"""
ERRORS = {
    "read": errno.EIO, "write": errno.ENOSPC, "fsync": errno.EIO, "rename": errno.EBUSY,
    "open": errno.EMFILE, "mkdir": errno.ENOSPC, "unlink": errno.EROFS,
}  # fmt: skip
STALL, STALL_SECONDS = "stall", 3.0
AGAIN = "resumed "
WORK = ".out.mp4.vsr"
OLD = b"the target of another day"


@dataclass(frozen=True)
class Outcome:
    """How a run with a fault ended: ``equal`` to the calm run, or ``refused`` and nothing lost."""

    call: str
    nth: int
    forever: bool
    code: int
    equal: bool
    target: bytes
    segments: int
    """Those that are kept."""
    finished: int
    """Segments that the run said it had finished, in this run."""
    said: str
    begun: int = 0
    """Segments that an interrupted run had finished before."""
    resumed: int = 0
    """Those of them that the run said it used."""

    @property
    def lawful(self) -> bool:
        """Whether the law holds for it."""
        if self.code == 0:
            return self.equal and self.resumed == self.begun
        is_kept = self.target == OLD and self.segments >= max(self.begun, self.finished)
        is_one_error = "Traceback" not in self.said and self.said.count("error: ") == 1
        return is_one_error and (self.equal or is_kept)


def compiled(folder: Path) -> ForkServer | None:
    """A server that has loaded the library, or ``None`` where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    library = folder / "shim.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SHIM), "-ldl"], check=True
    )
    return ForkServer({"LD_PRELOAD": str(library)})


def film(path: Path) -> Path:
    """A short film of three segments, with sound, that is read in several reads."""
    dice = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"crf": "1", "g": "4"})
        audio = container.add_stream("aac", rate=48000)
        assert isinstance(video, av.VideoStream)
        assert isinstance(audio, av.AudioStream)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio.layout = "mono"
        for place in range(24):
            pixels = dice.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            waves = dice.normal(0, 0.1, (1, 1920)).astype(np.float32)
            sound = av.AudioFrame.from_ndarray(waves, format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 48000, 1920 * place
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def run(
    server: ForkServer,
    source: Path,
    call: str,
    nth: int,
    *,
    forever: bool,
    calm: bytes | None,
    number: int | None = None,
    more: tuple[str, ...] = (),
    begun: Path | None = None,
) -> tuple[Outcome, int]:
    """One run with a fault in a folder of its own; also how many such calls it made.

    ``number`` is the error's, by default the usual one of that call; 0 lets the call never come
    back. ``more`` are arguments of the command. ``begun`` is the work folder of an
    :func:`interrupted` run to go on with: reads that fail are of what lies in it.
    """
    under = "in.mp4" if call == "read" and begun is None else "out.mp4"
    with tempfile.TemporaryDirectory() as name:
        target, count = Path(name) / "out.mp4", Path(name) / "count"
        target.write_bytes(OLD)
        if begun is not None:
            shutil.copytree(begun, Path(name) / WORK)
        done = server.run(
            [sys.executable, "-c", RUN, str(source), str(target), *more],
            env={
                **server.env, "FAULT_CALL": call, "FAULT_UNDER": under,
                "FAULT_NTH": str(nth), "FAULT_FOREVER": str(int(forever)),
                "FAULT_ERRNO": str(ERRORS[call] if number is None else number),
                "FAULT_COUNT": str(count),
            },
            timeout=600,
        )  # fmt: skip
        made = target.read_bytes() if target.exists() else b""
        beside = [path.read_bytes() for path in Path(name).glob("out.finished*")]
        segments = len(list(Path(name).glob(f"{WORK}/??????.nut")))
        equal = calm is not None and (made == calm or calm in beside)
        calls = int(count.read_text()) if count.exists() else 0
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        told = [row["resumed"] for row in rows if row["event"] == "segment"]
        there = 0 if begun is None else len(list(begun.glob("*.nut")))
        return Outcome(
            call, nth, forever, done.returncode, equal, made, segments, len(told), done.stderr,
            there, sum(told),
        ), calls  # fmt: skip


def calm_run(server: ForkServer, source: Path) -> bytes:
    """What a run without faults makes."""
    return run(server, source, "read", 0, forever=False, calm=None)[0].target


def interrupted(server: ForkServer, source: Path, folder: Path) -> Path:
    """A work folder in ``folder`` with two of three segments finished."""
    target = folder / "out.mp4"
    arguments = [sys.executable, "-c", RUN, str(source), str(target)]
    last = {"FAULT_CALL": "write", "FAULT_UNDER": "000002", "FAULT_NTH": "1", "FAULT_FOREVER": "1"}
    done = server.run(
        arguments, env={**server.env, **last, "FAULT_ERRNO": str(errno.ENOSPC)}, timeout=600
    )
    assert done.returncode == 3, done.stderr
    assert len(list((folder / WORK).glob("??????.nut"))) == 2, done.stderr
    return folder / WORK


def sweep(
    server: ForkServer, source: Path, calm: bytes, call: str, begun: Path | None = None
) -> Iterator[Outcome]:
    """All faults of one kind of call; of a run that goes on with ``begun``, where that is given."""
    _, count = run(server, source, call, 0, forever=False, calm=calm, begun=begun)
    for nth in range(1, count + 1):
        for forever in (False, True):
            yield run(server, source, call, nth, forever=forever, calm=calm, begun=begun)[0]


def stall(server: ForkServer, source: Path, nth: int, calm: bytes) -> Outcome:
    """One run whose n-th read of the source never comes back."""
    more = ("--stall", str(STALL_SECONDS))
    return run(server, source, "read", nth, forever=False, calm=calm, number=0, more=more)[0]


def stalls(server: ForkServer, source: Path, calm: bytes) -> Iterator[Outcome]:
    """All of them: each is to be refused, and with nothing lost."""
    _, count = run(server, source, "read", 0, forever=False, calm=calm)
    for nth in range(1, count + 1):
        yield stall(server, source, nth, calm)


def main() -> int:
    """Print what broke the law, and the counts."""
    with tempfile.TemporaryDirectory() as name:
        server = compiled(Path(name))
        if server is None:
            print("error: there is no C compiler")
            return 2
        with server:
            every = [*ERRORS, STALL, *(AGAIN + call for call in ERRORS)]
            source = film(Path(name) / "in.mp4")
            begun = interrupted(server, source, Path(name))
            return _report(server, source, begun, sys.argv[1:] or every)


def _report(server: ForkServer, source: Path, begun: Path, calls: list[str]) -> int:
    calm = calm_run(server, source)
    lost = 0
    for call in calls:
        counts = Counter({"faults": 0, "equal": 0, "refused": 0, "LOST": 0})
        if call == STALL:
            outcomes = stalls(server, source, calm)
        else:
            old = begun if call.startswith(AGAIN) else None
            outcomes = sweep(server, source, calm, call.removeprefix(AGAIN), old)
        for outcome in outcomes:
            kind = "equal" if outcome.code == 0 else "refused"
            counts.update(["faults", kind if outcome.lawful else "LOST"])
            if not outcome.lawful:
                print(replace(outcome, target=outcome.target[:40], said=outcome.said[-900:]))
        lost += counts["LOST"]
        print(call, ", ".join(f"{kind} {n}" for kind, n in counts.items()), flush=True)
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())

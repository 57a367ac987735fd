"""Kill runs of one upscale, let them go on, and hold the end to a run that was left alone.

`make soak` runs it long, the suite runs it short; it prints what it did as one line of JSON. Runs
are forked from a process that has imported everything and computed nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

import vsr
import vsr.api
from vsr.jobs.video import plan as planning
from vsr.jobs.video.journal import read_rows
from vsr.jobs.work_folder import folder_of

Stamp = dict[str, tuple[int, int]]
STEPS = ("fsync", "replace", "unlink", "rmdir", "mkdir")


def film(path: Path, frames: int) -> None:
    """A moving picture with noise in it, and sound."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25, options={"g": "10"})
        video.width, video.height, video.pix_fmt = 96, 72, "yuv420p"
        sound: Any = container.add_stream("aac", rate=48000, layout="mono")
        for number in range(frames):
            pixels = rng.integers(0, 60, (72, 96, 3), dtype=np.uint8)
            pixels[:, number % 96] = 255
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(video.encode(frame))
            tone = np.sin(np.arange(1920) * (number + 9) / 90)[None].astype(np.float32)
            samples = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 48000, number * 1920
            container.mux(sound.encode(samples))
        for stream in (video, sound):
            container.mux(stream.encode(None))


def run(source: Path, target: Path, *, die_at: int | None = None) -> int:
    """Fork a run; ``die_at`` has it kill itself at so manieth step that a disk sees."""
    child = os.fork()
    if child:
        return child
    try:
        if die_at is not None:
            _count_down(die_at)
        options = vsr.UpscaleOptions(model="lanczos", preset="ultrafast", device="cpu")
        vsr.api.upscale(source, target, options)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)
    os._exit(0)


def _count_down(steps: int) -> None:
    """Have every call that changes the disk count, and half of the last one happen."""
    left = steps

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **named)

        return step

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))


def wait(child: int) -> int:
    """The exit status: below 0 for a signal."""
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def journalled(target: Path) -> Stamp:
    """Inode and time of every finished segment."""
    folder = folder_of(target)
    paths = [folder / row["path"] for row in read_rows(folder / "journal.jsonl") if "path" in row]
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths if path.exists()
    }


def check_kept(before: Stamp, target: Path) -> None:
    """What was finished is as it was, or the whole run is over."""
    after = journalled(target)
    if not target.exists():
        assert {name: after.get(name) for name in before} == before, "a segment was computed twice"


def check_same(target: Path, calm: Path) -> None:
    """The end is as if nothing had happened, and nothing is left."""
    assert target.read_bytes() == calm.read_bytes(), "the target differs"
    assert {path.name for path in target.parent.iterdir()} == {target.name}, "debris"


def is_over(target: Path) -> bool:
    """Whether a run was killed at its very last step or behind it: at most an empty folder is left.

    Without a journal nobody can tell whose the target is: it is refused, and swept up behind.
    """
    folder = folder_of(target)
    return target.exists() and not (folder.is_dir() and any(folder.iterdir()))


def at_steps(source: Path, calm: Path, folder: Path, each: int) -> int:
    """A run killed at its first step on the disk, at the ``each``-th behind it, and so on.

    Each then goes on. Returns the number of the last step.
    """
    step = 1 - each
    while True:
        step += each
        target = folder / f"step{step}" / "out.mp4"
        target.parent.mkdir()
        code = wait(run(source, target, die_at=step))
        before = journalled(target)
        if code == 0:
            check_same(target, calm)
            return step - each
        assert code == -signal.SIGKILL, code
        expected = 1 if is_over(target) else 0
        assert wait(run(source, target)) == expected
        check_kept(before, target)
        check_same(target, calm)


def at_random(source: Path, calm: Path, folder: Path, kills: int, seed: int, whole: float) -> int:
    """Kills at random moments until there were enough; runs that came through are checked."""
    rng, finished = random.Random(seed), 0
    while kills:
        target = folder / f"run{finished}" / "out.mp4"
        target.parent.mkdir(exist_ok=True)
        if is_over(target):
            assert wait(run(source, target)) == 1
            check_same(target, calm)
            finished += 1
            continue
        before = journalled(target)
        child = run(source, target)
        time.sleep(rng.uniform(0, whole))
        os.kill(child, signal.SIGKILL)
        code = wait(child)
        check_kept(before, target)
        if code == 0:
            check_same(target, calm)
            finished += 1
        else:
            kills -= 1
            assert code == -signal.SIGKILL, code
    target = folder / f"run{finished}" / "out.mp4"
    expected = 1 if is_over(target) else 0
    assert wait(run(source, target)) == expected
    check_same(target, calm)
    return finished + 1


def main() -> None:
    """Make a film, run it once in peace, then kill."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--each", type=int, default=1, help="of the steps on the disk")
    parser.add_argument("--frames", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    planning.SEGMENT_SECONDS = Fraction(8, 25)  # eight frames: a run has many instants
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        source, short = folder / "in.mp4", folder / "short.mp4"
        film(source, asked.frames)
        film(short, 20)
        for name in ("calm", "calm_short"):
            (folder / name).mkdir()
        calm, calm_short = folder / "calm" / "out.mp4", folder / "calm_short" / "out.mp4"
        begun = time.perf_counter()
        assert wait(run(source, calm)) == 0
        whole = time.perf_counter() - begun
        assert wait(run(short, calm_short)) == 0
        steps = at_steps(short, calm_short, folder, asked.each)
        runs = at_random(source, calm, folder, asked.kills, asked.seed, whole)
    print(json.dumps({"steps": steps, "kills": asked.kills, "finished_runs": runs}))  # noqa: T201  # a program of its own


if __name__ == "__main__":
    main()

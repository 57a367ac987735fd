"""VMAF (Netflix, 2016) by an external ffmpeg that has libvmaf: frames go in by a pipe.

PyAV's FFmpeg has no libvmaf. Both pictures of a pair go in as one, side by side, so that one pipe
is enough and the frames are the very ones that everything else is measured on.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, NoReturn

import torch
from torch import Tensor

from vsr.color import BT709, ColorSpec, from_rgb
from vsr.errors import MissingExtra
from vsr.geometry import Size

_SPEC = ColorSpec("yuv", 8, (0, 0), matrix=BT709, range=1)
MIN_SIDE = 32
"""Pixels a side at least: below it, libvmaf's wavelets have nothing left."""


@cache
def program() -> str | None:
    """The ffmpeg on the path, if it has libvmaf."""
    found = shutil.which("ffmpeg")
    if found is None:
        return None
    try:
        listed = subprocess.run(
            [found, "-hide_banner", "-filters"], capture_output=True, text=True, timeout=30,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found if " libvmaf " in listed.stdout else None


class Vmaf:
    """One candidate's run of ffmpeg. A context: the process does not outlive it."""

    def __init__(self, size: Size) -> None:
        ffmpeg = program()
        if ffmpeg is None:
            raise MissingExtra(
                "VMAF needs an ffmpeg with libvmaf on the path, and there is none",
                hint="install one (https://ffmpeg.org/download.html), or leave --vmaf out",
            )
        self.size = size
        # Files, not pipes, for what it says: nobody has to read them while it runs.
        self._folder = tempfile.TemporaryDirectory(prefix="vsr-vmaf-")
        self._words = (Path(self._folder.name) / "words").open("w+b")
        both = f"{2 * size.width}x{size.height}"
        half = f"crop={size.width}:{size.height}"
        graph = (
            f"split[a][b];[a]{half}:{size.width}:0[main];[b]{half}:0:0[reference];"
            "[main][reference]libvmaf=log_fmt=json:log_path=log"
        )
        command = [
            ffmpeg, "-hide_banner", "-loglevel", "error", "-f", "rawvideo",
            "-pix_fmt", "yuv444p", "-s", both, "-r", "25", "-i", "pipe:0",
            "-lavfi", graph, "-f", "null", "-",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._words,
            cwd=self._folder.name,  # a path inside a filter would have to be escaped
        )  # fmt: skip
        self._frames = 0

    def __enter__(self) -> Vmaf:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(OSError):  # it was killed with bytes in its pipe
                self._process.stdin.close()
        self._words.close()
        self._folder.cleanup()

    def add(self, reference: Tensor, candidate: Tensor) -> None:
        """One more pair of (3, h, w) RGB pictures 0..1."""
        side_by_side = torch.cat([reference, candidate], dim=-1)[None]
        try:
            for plane in from_rgb(side_by_side, _SPEC):
                self._input.write(plane.numpy().tobytes())
        except OSError as error:
            self._fail(error)
        self._frames += 1

    def finish(self) -> list[float]:
        """A score, 0..100, for each pair."""
        try:
            self._input.close()
        except OSError as error:
            self._fail(error)
        if self._process.wait() != 0:
            self._fail(None)
        try:
            log = json.loads((Path(self._folder.name) / "log").read_text(encoding="utf-8"))
            scores = [float(frame["metrics"]["vmaf"]) for frame in log["frames"]]
        except (OSError, ValueError, KeyError) as error:
            self._fail(error)
        return scores + [math.nan] * (self._frames - len(scores))

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def _fail(self, error: Exception | None) -> NoReturn:
        self._process.wait()
        self._words.seek(0)
        lines = self._words.read().decode("utf-8", "replace").strip().splitlines()
        said = lines[-1] if lines else f"exit code {self._process.returncode}"
        raise MissingExtra(
            f"the external ffmpeg could not measure VMAF: {said}", hint="leave it out: --no-vmaf"
        ) from error

"""What a command may do with a damaged file, and what is a finding."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from fuzz.case import Outcome

# Codes that a bad file may lead to: done, an option that does not fit it, the file itself, its
# weights, memory. 1 and 9 are in the table of exit codes too, but would be bugs here.
ALLOWED = {0, 2, 3, 4, 5}


def judge(outcome: Outcome, folder: Path, before: set[str], target: str | None) -> list[str]:
    """What is wrong with an outcome; ``target`` is what the command may have made in ``folder``."""
    wrong: list[str] = []
    if outcome.code is None:
        wrong.append("no end within the time limit")
    elif outcome.code < 0:
        wrong.append(f"killed by signal {-outcome.code}")
    elif outcome.code not in ALLOWED:
        wrong.append(f"exit code {outcome.code}")
    if "Traceback (most recent call last)" in outcome.stderr:
        wrong.append("traceback: " + outcome.stderr.strip().splitlines()[-1][:200])
    errors = re.findall(r"^error: (.*)$", outcome.stderr, re.MULTILINE)
    if outcome.code and outcome.code > 0 and len(errors) != 1:
        wrong.append(f"{len(errors)} lines of error")
    there = {path.name for path in folder.iterdir()} - before
    if outcome.code == 0 and target is not None and target not in there:
        wrong.append("no target")
    debris = there - ({target} if outcome.code == 0 and target else set())
    if debris and outcome.code is not None and outcome.code >= 0:
        wrong.append(f"debris: {', '.join(sorted(debris))}")
    return wrong


def check_video(target: Path, report: str) -> None:
    """Decode all of a target; raise where it is not what the report says."""
    said = json.loads(report.splitlines()[-1])["report"]
    count, last = 0, Fraction(-1 << 40)
    with av.open(str(target), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        default = [s for s in container.streams.video if s.disposition & 1]
        stream = default[0] if default else stream
        for frame in container.decode(stream):
            assert frame.pts is not None, "a frame without a time"
            time = frame.pts * (frame.time_base or Fraction(1))
            # Matroska keeps milliseconds: a source that claims 5000 frames a second shares them.
            assert time > last or (time == last and target.suffix == ".mkv"), f"{time} after {last}"
            size = f"{said['target_size']['width']}x{said['target_size']['height']}"
            assert f"{frame.width}x{frame.height}" == size, f"{frame} is not {size}"
            count, last = count + 1, time
    assert count == said["frames"], f"{count} frames decoded, {said['frames']} reported"


def check_picture(target: Path, report: str) -> None:
    """Decode a picture, or every picture of a folder; raise where one is not what was reported."""
    said = json.loads(report.splitlines()[-1])["report"]
    paths = sorted(target.iterdir()) if target.is_dir() else [target]
    for path in paths:
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        assert pixels is not None, f"{path.name} cannot be read"
    assert len(paths) == said["frames"], f"{len(paths)} pictures, {said['frames']} reported"

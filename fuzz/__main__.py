"""``python -m fuzz``: many damaged files through the commands, each in its own process.

Every case follows from its kind and number alone, so ``--case video:17`` runs one again. Exits
with 1 when there are findings; ``--keep`` names a folder for their files.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import torch

from fuzz import seeds
from fuzz.case import Outcome, command, forked
from fuzz.judge import check_picture, check_video, judge
from fuzz.mutate import mutate
from vsr import api

SAMPLES = Path(__file__).parent.parent / "samples"
FAST = ("--quiet", "--json", "--preset", "ultrafast", "--codec", "h264", "--end", "0.5")


@dataclass(frozen=True, slots=True)
class Seeds:
    """The sound files by name, and the bad weights that need no damage."""

    videos: dict[str, bytes]
    pictures: dict[str, bytes]
    weights: dict[str, bytes]
    hostile: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Case:
    """One damaged file: what it is, and its bytes."""

    kind: str
    number: int
    name: str
    said: str
    data: bytes


def make_case(kind: str, number: int, seed: int, made: Seeds) -> Case:
    """The case of a number: always the same for the same seed."""
    random = Random(f"{seed} {kind} {number}")
    if kind == "weights" and number < len(made.hostile):
        name = list(made.hostile)[number]
        return Case(kind, number, "hostile.safetensors", name, made.hostile[name])
    files = {"video": made.videos, "picture": made.pictures, "weights": made.weights}[kind]
    name = sorted(files)[number % len(files)]
    data, said = mutate(files[name], random)
    return Case(kind, number, name, said, data)


def run_case(case: Case, made: Seeds, place: Path, limit: float) -> tuple[list[str], list[Outcome]]:
    """The case's commands in a fresh folder; what was wrong, and what each did."""
    folder = place / f"{case.kind}{case.number}"
    folder.mkdir()
    bad = folder / case.name
    bad.write_bytes(case.data)
    (folder / "good.mkv").write_bytes(made.videos["ffv1.mkv"])
    wrong: list[str] = []
    outcomes: list[Outcome] = []
    for arguments, target, check in _commands(case, folder, made):
        before = {path.name for path in folder.iterdir()}
        outcome = command(arguments, folder, limit)
        if outcome.code is None:  # a hang, or a machine that is busy? a hang has no end at all
            for path in set(folder.iterdir()) - {folder / name for name in before}:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            outcome = command(arguments, folder, 10 * limit)
        found = judge(outcome, folder, before, target)
        if outcome.code == 0 and target is not None and not found:
            checked = forked(partial(check, folder / target, outcome.stdout), folder, limit)
            if checked.code != 0:
                found.append(f"bad target: {checked.stderr.strip().splitlines()[-1:]}")
        wrong += [f"{arguments[0]}: {problem}" for problem in found]
        outcomes.append(outcome)
    shutil.rmtree(folder)
    return wrong, outcomes


def _commands(
    case: Case, folder: Path, made: Seeds
) -> list[tuple[list[str], str | None, Callable[[Path, str], None]]]:
    bad, model = case.name, ("nearest", "bicubic")[case.number // 7 % 2]
    if case.kind == "video":
        target = ("out.mkv", "out.mp4", "out.mov")[case.number // 3 % 3]
        small = () if case.name in seeds.VIDEOS else ("--height", "144")
        upscale = ["upscale", bad, target, "--model", model, *FAST, *small]
        return [(["probe", bad], None, check_video), (upscale, target, check_video)]
    if case.kind == "weights":
        upscale = ["upscale", "good.mkv", "out.mkv", "--model", bad, *FAST[:-2], "--end", "0.05"]
        about = ["models", "info", bad, "--json"]
        return [(about, None, check_video), (upscale, "out.mkv", check_video)]
    (folder / "many").mkdir()
    for name, data in (("1" + bad, made.pictures[bad]), ("2" + bad, case.data)):
        (folder / "many" / name).write_bytes(data)
    alone = ["upscale", bad, "out" + Path(bad).suffix, "--model", model, "--quiet", "--json"]
    many = ["upscale", "many", "larger", "--model", model, "--quiet", "--json"]
    film = ["upscale", "many", "out.mkv", "--model", model, *FAST[:-2]]
    return [
        (alone, alone[2], check_picture),
        (many, "larger", check_picture) if case.number % 2 else (film, "out.mkv", check_video),
    ]


def work(numbers: list[tuple[str, int]], made: Seeds, asked: argparse.Namespace, log: Path) -> None:
    """Run cases one after another, a line of JSON each."""
    with tempfile.TemporaryDirectory() as place, log.open("w", encoding="utf-8") as file:
        for kind, number in numbers:
            case = make_case(kind, number, asked.seed, made)
            wrong, outcomes = run_case(case, made, Path(place), asked.limit)
            codes = [outcome.code for outcome in outcomes]
            row = {"case": f"{kind}:{number}", "name": case.name, "said": case.said}
            seconds = round(sum(outcome.seconds for outcome in outcomes), 2)
            row |= {"codes": codes, "seconds": seconds, "wrong": wrong}
            file.write(json.dumps(row) + "\n")
            file.flush()
            if wrong:
                print(f"{kind}:{number} {case.name} ({case.said}): {'; '.join(wrong)}", flush=True)
            if wrong and asked.keep is not None:
                (asked.keep / f"{kind}{number}_{case.name}").write_bytes(case.data)
            if asked.case:
                print("\n".join(f"{outcome}" for outcome in outcomes))


def main() -> int:
    """Parse, make the seeds, share the cases out among processes, and sum up."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--videos", type=int, default=2000)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--weights", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", help="one case again: video:17, picture:3, weights:8")
    parser.add_argument("--limit", type=float, default=30, help="seconds a command may take")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="a folder for the files of findings")
    asked = parser.parse_args()
    begun = time.monotonic()
    torch.set_num_threads(1)  # a child of a process with threads may hang: this one has none
    media = os.environ.get("VSR_MEDIA")
    more = Path(media) / "media" / "tricky" if media else None
    hostile = seeds.hostile_weights()
    made = Seeds(
        seeds.videos(more, SAMPLES),
        seeds.pictures(),
        seeds.weights(SAMPLES.parent / "weights"),
        hostile,
    )
    api.load("bicubic")  # imports what every run needs
    if asked.keep is not None:
        asked.keep.mkdir(parents=True, exist_ok=True)
    counts = {"video": asked.videos, "picture": asked.pictures, "weights": asked.weights}
    cases = [(kind, number) for kind, count in counts.items() for number in range(count)]
    if asked.case:
        kind, _, number = asked.case.partition(":")
        cases, asked.jobs = [(kind, int(number))], 1
    return _shared_out(cases, made, asked, begun)


def _shared_out(
    cases: list[tuple[str, int]], made: Seeds, asked: argparse.Namespace, begun: float
) -> int:
    with tempfile.TemporaryDirectory() as logs:
        workers: list[int] = []
        for part in range(asked.jobs):
            worker = os.fork()
            if not worker:
                try:
                    work(cases[part :: asked.jobs], made, asked, Path(logs) / f"{part}.jsonl")
                    os._exit(0)
                except BaseException:  # a child must not go on as if it were the parent
                    traceback.print_exc()
                    os._exit(1)
            workers.append(worker)
        failed = [worker for worker in workers if os.waitpid(worker, 0)[1]]
        lines = [path.read_text(encoding="utf-8") for path in sorted(Path(logs).iterdir())]
    rows = [json.loads(line) for text in lines for line in text.splitlines()]
    codes = Counter(str(code) for row in rows for code in row["codes"])
    findings = sum(bool(row["wrong"]) for row in rows)
    print(
        f"{len(rows)} of {len(cases)} cases, {sum(codes.values())} commands in "
        f"{time.monotonic() - begun:.0f} s; exit codes "
        + ", ".join(f"{code}: {count}" for code, count in sorted(codes.items()))
        + f"; slowest {max((row['seconds'] for row in rows), default=0)} s; {findings} findings"
    )
    return 1 if findings or failed or len(rows) < len(cases) else 0


if __name__ == "__main__":
    sys.exit(main())

"""Trainings one after another, gone on with wherever the last one stopped: ``make train``.

Each entry of ``queue.toml`` is a `vsr train` of its own folder, which keeps its own checkpoints: a
run that is stopped, or killed, is gone on with the next time. After every entry, and at the end,
``progress.csv`` has PSNR, perceptual distance and flicker of all of them against the hours trained,
and ``sheets/`` the latest contact sheet of each.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from filelock import FileLock, Timeout

from vsr.errors import OptionsError, VsrError
from vsr.system import replace_file
from vsr.training.training_log import read

HERE = Path(__file__).parent
COLUMNS: tuple[str, ...] = (
    "entry",
    "hours",
    "step",
    "psnr",
    "ssim",
    "perceptual",
    "flicker",
    "kept",
)
DONE = "queue.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """One training: its name, the words of its command, and the model that it ends in, if any."""

    name: str
    words: tuple[str, ...]
    ships: str | None = None

    @property
    def start(self) -> str | None:
        """What ``--init`` names."""
        place = self.words.index("--init") + 1 if "--init" in self.words else None
        return None if place is None else self.words[place]


def entries_in(path: Path) -> list[Entry]:
    """The entries of a queue, in order. Raises :class:`OptionsError` where one cannot be."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise OptionsError(f"{path} is no queue: {error}") from error
    found: list[Entry] = []
    for name, row in table.items():
        words = shlex.split(str(row.get("command", "")))
        entry = Entry(name, tuple(words), row.get("ships"))
        if not words:
            raise OptionsError(f"the entry {name} of {path} has no command")
        if entry.start is not None and entry.start not in [other.name for other in found]:
            raise OptionsError(
                f"the entry {name} begins from {entry.start}, which is not before it"
            )
        found.append(entry)
    return found


def arguments(entry: Entry, out: Path, places: dict[str, Path | None]) -> list[str]:
    """What `vsr train` is given for an entry; ``places`` are those of the words in capitals."""
    made: list[str] = []
    for before, word in zip(("", *entry.words), entry.words, strict=False):
        if word in places:
            place = places[word]
            if place is None:
                raise OptionsError(f"{entry.name} needs {word}", hint=f"give --{word.lower()} PATH")
            made.append(str(place))
        elif before == "--init":
            made.append(str(out / word / "best.safetensors"))
        else:
            made.append(word)
    vgg = places["VGG"]
    judge = ["--vgg", str(vgg)] if vgg is not None else []
    return [*made, *judge, "--out", str(out / entry.name)]


def is_done(entry: Entry, out: Path) -> bool:
    """Whether an entry was finished, by this very command."""
    return _noted(out).get(entry.name) == _key(entry)


def progress(entries: Sequence[Entry], out: Path) -> list[dict[str, object]]:
    """A row for each time that an entry was measured: hours of training, and figures."""
    rows: list[dict[str, object]] = []
    for entry in entries:
        for line in read(out / entry.name):
            if "metrics" not in line:
                continue
            metrics: dict[str, float] = line["metrics"]
            row: dict[str, object] = dict.fromkeys(COLUMNS, "")
            row |= {"entry": entry.name, "step": line["step"], "kept": int(bool(line["best"]))}
            if "seconds" in line:
                row["hours"] = round(line["seconds"] / 3600, 3)
            row |= {name: round(value, 4) for name, value in metrics.items() if name in COLUMNS}
            rows.append(row)
    return rows


def report(entries: Sequence[Entry], out: Path) -> None:
    """Write ``progress.csv`` and ``sheets/NAME.png`` of what there is."""
    part = out / "progress.csv.part"
    with part.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(progress(entries, out))
    replace_file(part, out / "progress.csv")
    (out / "sheets").mkdir(exist_ok=True)
    for entry in entries:
        sheets = sorted((out / entry.name / "sheets").glob("*.png"))
        if sheets:
            shutil.copyfile(sheets[-1], out / "sheets" / f"{entry.name}.png")


def run(
    entries: Sequence[Entry],
    out: Path,
    places: dict[str, Path | None],
    *,
    minutes: float | None = None,
    more: Sequence[str] = (),
) -> int:
    """Train what is left, until it is done or the minutes are over; the last exit code.

    ``more`` is given to every `vsr train`: a device, or shorter runs to try the queue.
    """
    ends = math.inf if minutes is None else time.monotonic() + 60 * minutes
    for entry in entries:
        if is_done(entry, out):
            print(f"{entry.name}: done")
            continue
        left = (ends - time.monotonic()) / 60
        if left <= 0:
            break
        words = [*arguments(entry, out, places), *more, "--json"]
        if left < math.inf:
            words += ["--pause-minutes", f"{max(left, 0.001):.3f}"]
        print(f"{entry.name}: vsr train {shlex.join(words)}", flush=True)
        made = subprocess.run(
            [sys.executable, "-m", "vsr", "train", *words], stdout=subprocess.PIPE, text=True
        )
        report(entries, out)
        if made.returncode:
            return made.returncode
        told = cast("dict[str, Any]", json.loads(made.stdout))
        print(f"{entry.name}: step {told['step']}, best {told['metrics']}", flush=True)
        if not told["finished"]:
            break
        _note(entry, out)
    report(entries, out)
    return 0


def _noted(out: Path) -> dict[str, str]:
    path = out / DONE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _note(entry: Entry, out: Path) -> None:
    part = out / f"{DONE}.part"
    part.write_text(json.dumps({**_noted(out), entry.name: _key(entry)}), encoding="utf-8")
    replace_file(part, out / DONE)


def _key(entry: Entry) -> str:
    return hashlib.sha256(shlex.join(entry.words).encode()).hexdigest()[:16]


def main(given: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tools.queue", description=__doc__)
    parser.add_argument("--queue", type=Path, default=HERE / "queue.toml", help="What to train.")
    parser.add_argument("--out", type=Path, default=Path("trainings"), help="Where it is kept.")
    for name in ("pictures", "sequences", "vgg"):
        parser.add_argument(f"--{name}", type=Path, help=f"What {name.upper()} stands for.")
    parser.add_argument("--only", action="append", metavar="NAME", help="These alone; repeatable.")
    parser.add_argument("--minutes", type=float, help="Pause after so many minutes.")
    parser.add_argument("--report", action="store_true", help="Only write what is known by now.")
    parser.add_argument("more", nargs="*", help="After --, for every vsr train: -- --device cuda")
    options = parser.parse_args(given)
    try:
        entries = entries_in(options.queue)
        unknown = set(options.only or ()) - {entry.name for entry in entries}
        if unknown:
            raise OptionsError(f"the queue has no entry {', '.join(sorted(unknown))}")
        chosen = [entry for entry in entries if not options.only or entry.name in options.only]
        options.out.mkdir(parents=True, exist_ok=True)
        if options.report:
            report(entries, options.out)
            return 0
        places = {name.upper(): getattr(options, name) for name in ("pictures", "sequences", "vgg")}
        with FileLock(options.out / "lock", timeout=0):
            return run(chosen, options.out, places, minutes=options.minutes, more=options.more)
    except Timeout:
        print(f"error: another queue is at work in {options.out}", file=sys.stderr)
    except VsrError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main())

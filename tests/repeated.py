"""Run the suite many times over with four processes to a core, and list what failed in any run.

What passes alone, and fails where nothing has the processor to itself, waits for the clock.
``make repeat`` runs it; words behind the options go to pytest, such as the files to run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

from vsr.system import processors

OVERSUBSCRIPTION = 4
ENDED_BY_TESTS = (0, 1)  # pytest's exit codes; others are about pytest, or a crash of it


def failures_in(report: Path) -> list[str]:
    """The names of the tests that failed, or had an error before or behind them."""
    return [
        f"{case.get('classname')}::{case.get('name')}"
        for case in ElementTree.parse(report).iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    ]


def run(workers: int, words: list[str], report: Path) -> list[str]:
    """The tests that failed in one run. What pytest prints is shown where it did not end well."""
    command = [sys.executable, "-m", "pytest", "--quiet", "--dist", "worksteal"]
    command += ["--numprocesses", str(workers), f"--junitxml={report}", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-20_000:], done.stderr[-5_000:], sep="\n", flush=True)
    if done.returncode not in ENDED_BY_TESTS or not report.exists():
        return [f"pytest itself: exit code {done.returncode}"]
    return failures_in(report)


def main() -> int:
    """Print a line for each run, and at the end each test that failed and how often."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="how many runs (default 20)")
    parser.add_argument("--workers", type=int, default=OVERSUBSCRIPTION * processors())
    asked, words = parser.parse_known_args()
    failed: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, asked.times + 1):
            begun = time.monotonic()
            names = run(asked.workers, words, Path(folder) / f"{number}.xml")
            failed.update(names)
            minutes = (time.monotonic() - begun) / 60
            told = ", ".join(names) or "no failure"
            print(f"run {number} of {asked.times}, {minutes:.1f} min: {told}", flush=True)
    for name, times in failed.most_common():
        print(f"failed in {times} of {asked.times}: {name}")
    print(f"{asked.times} runs with {asked.workers} processes, {failed.total()} failures")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())

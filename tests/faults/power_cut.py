"""The law of power cuts: whatever of the unsynced is lost, a target is old or new, and whole.

A run's changes are recorded in order, and replayed up to each of them: a file's bytes are kept from
its last sync on, a name from the last sync of its folder on, and of what came later nothing, only
the names, only the bytes, or any of both. ``python -m tests.faults.power_cut`` runs it.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults import sweep
from tests.fork_server import ForkServer

ANY = 8  # draws at each place
KEPT: dict[str, Callable[[random.Random, str], bool]] = {
    "nothing": lambda _, __: False,
    "names": lambda _, kind: kind == "name",
    "bytes": lambda _, kind: kind == "bytes",
    "all": lambda _, __: True,
    **{f"any {n}": lambda dice, _: dice.random() < 0.5 for n in range(ANY)},
}
"""What stays of what was not synced."""


@dataclass(frozen=True)
class Change:
    """One recorded call that changed the disk, or synced it."""

    op: str
    inode: int
    offset: int
    data: bytes
    path: str
    other: str


def recorded(server: ForkServer, source: Path, folder: Path) -> list[Change]:
    """The changes that a run makes in ``folder``, where ``out.mp4`` held another video."""
    target, log = folder / "out.mp4", folder.parent / "log"
    target.write_bytes(sweep.OLD)
    server.run(
        [sys.executable, "-c", sweep.RUN, str(source), str(target)],
        env={**server.env, "FAULT_UNDER": str(folder), "FAULT_LOG": str(log)},
        check=True,
        timeout=600,
    )
    return list(_parsed(log.read_bytes()))


def _parsed(log: bytes) -> Iterator[Change]:
    """The changes, with a number of its own for each file: systems use inodes again."""
    at, fresh = 0, itertools.count(1)
    numbers: dict[int, int] = {}
    names: dict[str, int] = {}
    while at < len(log):
        end = log.index(b"\n", at)
        op, inode, offset, size, path, other = log[at:end].decode().split(" ")
        at = end + 1 + int(size)
        gone = other if op == "rename" else path if op == "unlink" else None
        if gone in names:
            numbers.pop(names.pop(gone), None)
        if op == "rename" and path in names:
            names[other] = names.pop(path)
        if op in ("open", "empty"):
            names[path] = int(inode)
        number = numbers.setdefault(int(inode), next(fresh))
        yield Change(op, number, int(offset), log[end + 1 : at], path, other)


def left(changes: list[Change], target: Path, before: bytes, kept: str, seed: int) -> bytes | None:
    """What the target holds after a power cut behind these changes; ``None`` where it is gone."""
    dice, keeps = random.Random(seed), KEPT[kept]
    synced_bytes = {c.inode: place for place, c in enumerate(changes) if c.op == "sync"}
    synced_names = {c.path: place for place, c in enumerate(changes) if c.op == "sync"}
    files: dict[int, bytearray] = {0: bytearray(before)}
    names: dict[str, int] = {str(target): 0}
    for place, change in enumerate(changes):
        is_synced = place < synced_bytes.get(change.inode, -1)
        if change.op in ("write", "cut", "empty") and (is_synced or keeps(dice, "bytes")):
            _write(files.setdefault(change.inode, bytearray()), change)
        folder = os.path.dirname(change.other if change.op == "rename" else change.path)
        is_synced = place < synced_names.get(folder, -1)
        if change.op in ("open", "empty", "rename", "unlink") and (
            is_synced or keeps(dice, "name")
        ):
            _name(names, change, changes[:place])
    inode = names.get(str(target))
    return None if inode is None else bytes(files.get(inode, b""))


def _write(file: bytearray, change: Change) -> None:
    if change.op != "write":
        del file[change.offset :]
        return
    file.extend(bytes(max(0, change.offset - len(file))))
    file[change.offset : change.offset + len(change.data)] = change.data


def _name(names: dict[str, int], change: Change, before: list[Change]) -> None:
    if change.op == "rename":
        names.pop(change.path, None)
        names[change.other] = _inode_of(change.path, before)
    elif change.op == "unlink":
        names.pop(change.path, None)
    else:
        names[change.path] = change.inode


def _inode_of(path: str, before: list[Change]) -> int:
    """The file that a name led to when it was renamed, whether or not that name was kept."""
    for change in reversed(before):
        if change.op == "rename" and change.other == path:
            return _inode_of(change.path, before[: before.index(change)])
        if change.op in ("open", "empty") and change.path == path:
            return change.inode
    raise AssertionError(path)


def broken(changes: list[Change], target: Path, before: bytes, after: bytes) -> list[str]:
    """The states in which the target is neither old nor new."""
    return [
        f"after {count} of {len(changes)} changes ({changes[count - 1].op}), kept: {kept}"
        for count in range(1, len(changes) + 1)
        for kept in KEPT
        if left(changes[:count], target, before, kept, count) not in (before, after)
    ]


def main() -> int:
    """Print what broke the law, and the counts."""
    with tempfile.TemporaryDirectory() as name:
        server = sweep.compiled(Path(name))
        if server is None:
            print("error: there is no C compiler")
            return 2
        folder = Path(name) / "made"
        folder.mkdir()
        with server:
            changes = recorded(server, sweep.film(Path(name) / "in.mp4"), folder)
        target = folder / "out.mp4"
        bad = broken(changes, target, sweep.OLD, target.read_bytes())
        print("\n".join(bad) or "no state is broken")
        print(f"{len(changes)} changes, {len(changes) * len(KEPT)} states, {len(bad)} broken")
        return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())

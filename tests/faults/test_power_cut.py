"""Every state that a power cut can leave of a short run, from its recorded order of changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import sweep
from tests.faults.power_cut import Change, broken, left, recorded


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Change], Path]]:
    """The changes of a run, and its target."""
    folder = tmp_path_factory.mktemp("power")
    server = sweep.compiled(folder)
    if server is None:
        pytest.skip("there is no C compiler")
    (folder / "made").mkdir()
    with server:
        changes = recorded(server, sweep.film(folder / "in.mp4"), folder / "made")
        yield changes, folder / "made" / "out.mp4"


def test_a_power_cut_leaves_the_old_target_or_the_new_one(made: tuple[list[Change], Path]) -> None:
    changes, target = made
    new = target.read_bytes()
    assert left(changes, target, sweep.OLD, "all", 0) == new, "a change was not recorded"
    assert left(changes, target, sweep.OLD, "nothing", 0) == new, "it is not on the disk at the end"
    assert broken(changes, target, sweep.OLD, new) == []


@pytest.mark.parametrize("unsynced", ["file", "folder"])
def test_what_a_run_must_sync_is_missed_where_it_does_not(
    made: tuple[list[Change], Path], unsynced: str
) -> None:
    """The check can fail: without a sync of the file the target would be neither; of the folder,
    the old one would be left by a run that has ended.
    """
    changes, target = made
    new = target.read_bytes()
    if unsynced == "file":
        careless = [c for c in changes if c.op != "sync" or "joined" not in c.path]
        assert broken(careless, target, sweep.OLD, new)
    else:
        careless = [c for c in changes if c.op != "sync" or c.path != str(target.parent)]
        assert left(careless, target, sweep.OLD, "nothing", 0) == sweep.OLD

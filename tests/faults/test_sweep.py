"""A sample of the fault sweep; ``make faults`` runs all of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import sweep
from tests.fork_server import ForkServer


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ForkServer, Path, bytes]]:
    """The server, a film, and what a calm run makes of it."""
    folder = tmp_path_factory.mktemp("faults")
    server = sweep.compiled(folder)
    if server is None:
        pytest.skip("there is no C compiler")
    source = sweep.film(folder / "in.mp4")
    with server:
        yield server, source, sweep.calm_run(server, source)


@pytest.mark.parametrize("call", ["read", "write", "rename", "fsync", "open", "unlink"])
def test_a_call_that_fails_once_or_for_good_loses_nothing(
    call: str, film: tuple[ForkServer, Path, bytes]
) -> None:
    server, source, calm = film
    _, count = sweep.run(server, source, call, 0, forever=False, calm=calm)
    assert count > 2
    for nth, forever in ((count // 2, False), (2 * count // 3, True)):
        outcome, _ = sweep.run(server, source, call, nth, forever=forever, calm=calm)
        assert outcome.lawful, outcome


def test_one_passing_read_error_does_not_end_the_film(film: tuple[ForkServer, Path, bytes]) -> None:
    """One EIO had made 350 of 750 frames, and exit 0."""
    server, source, calm = film
    _, count = sweep.run(server, source, "read", 0, forever=False, calm=calm)
    for nth in (count // 3, count // 2, count - 3):
        outcome, _ = sweep.run(server, source, "read", nth, forever=False, calm=calm)
        assert outcome.code == 0, outcome.said
        assert outcome.equal


def test_a_finished_file_that_cannot_be_given_its_name_lies_beside(
    film: tuple[ForkServer, Path, bytes],
) -> None:
    server, source, calm = film
    _, count = sweep.run(server, source, "rename", 0, forever=False, calm=calm)
    outcome, _ = sweep.run(server, source, "rename", count, forever=False, calm=calm)
    assert outcome.code == 3
    assert outcome.target == sweep.OLD
    assert outcome.equal  # beside
    assert "it is complete and lies at" in outcome.said
    assert outcome.segments == 3


@pytest.mark.parametrize(
    "share",
    [0, *(pytest.param(share, marks=pytest.mark.extended) for share in (0.1, 0.3, 0.6, 0.9)), 1],
)
def test_a_read_that_never_comes_back_is_an_error(
    share: float, film: tuple[ForkServer, Path, bytes]
) -> None:
    """The first byte; the file's description; frames; what the join reads, and what checks it."""
    server, source, calm = film
    _, count = sweep.run(server, source, "read", 0, forever=False, calm=calm)
    outcome = sweep.stall(server, source, max(1, round(share * count)), calm)
    assert outcome.lawful, outcome
    assert outcome.code == 3, outcome.said
    assert "does not answer" in outcome.said
    assert "--stall" in outcome.said
    assert outcome.segments >= (3 if share == 1 else 0)

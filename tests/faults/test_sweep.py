"""A sample of the fault sweep; ``make faults`` runs all of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.faults import sweep
from tests.fork_server import ForkServer
from tests.marks import usually


@dataclass(frozen=True)
class Film:
    """A film, and what a calm run makes of it."""

    server: ForkServer
    source: Path
    calm: bytes
    begun: Path
    """The work folder of an interrupted run."""

    @cache  # noqa: B019  # as long as the module's tests run
    def count(self, call: str) -> int:
        """How often a calm run makes a call."""
        return sweep.run(self.server, self.source, call, 0, forever=False, calm=self.calm)[1]

    def run(self, call: str, nth: int, *, forever: bool = False) -> sweep.Outcome:
        """What becomes of a run whose nth call of a kind fails, or all from there on."""
        return sweep.run(self.server, self.source, call, nth, forever=forever, calm=self.calm)[0]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Film]:
    folder = tmp_path_factory.mktemp("faults")
    server = sweep.compiled(folder)
    if server is None:
        pytest.skip("there is no C compiler")
    source = sweep.film(folder / "in.mp4")
    with server:
        begun = sweep.interrupted(server, source, folder)
        yield Film(server, source, sweep.calm_run(server, source), begun)


@pytest.mark.parametrize(
    "call",
    usually(["write", "rename", "fsync"], ["read", "write", "rename", "fsync", "open", "unlink"]),
)
def test_a_call_that_fails_once_or_for_good_loses_nothing(call: str, film: Film) -> None:
    count = film.count(call)
    assert count > 2
    for nth, forever in ((count // 2, False), (2 * count // 3, True)):
        outcome = film.run(call, nth, forever=forever)
        assert outcome.lawful, outcome


@pytest.mark.parametrize(
    "call", usually(["read", "write"], ["read", "write", "rename", "fsync", "open"])
)
def test_a_call_that_fails_when_a_run_goes_on_loses_no_segment(call: str, film: Film) -> None:
    """One read error had deleted a segment that was whole, and a full disk all of them."""
    faults = film.server, film.source, call
    count = sweep.run(*faults, 0, forever=False, calm=film.calm, begun=film.begun)[1]
    for nth, forever in ((1, False), (1, True), (count // 2, False)):
        outcome, _ = sweep.run(*faults, nth, forever=forever, calm=film.calm, begun=film.begun)
        assert outcome.begun == 2
        assert outcome.lawful, outcome


def test_one_passing_read_error_does_not_end_the_film(film: Film) -> None:
    """One EIO had made 350 of 750 frames, and exit 0."""
    count = film.count("read")
    for nth in (count // 3, count // 2, count - 3):
        outcome = film.run("read", nth)
        assert outcome.code == 0, outcome.said
        assert outcome.equal


def test_a_finished_file_that_cannot_be_given_its_name_lies_beside(film: Film) -> None:
    outcome = film.run("rename", film.count("rename"))
    assert outcome.code == 3
    assert outcome.target == sweep.OLD
    assert outcome.equal  # beside
    assert "it is complete and lies at" in outcome.said
    assert outcome.segments == 3


@pytest.mark.parametrize("share", usually([1], [0, 0.1, 0.3, 0.6, 0.9, 1]))
def test_a_read_that_never_comes_back_is_an_error(share: float, film: Film) -> None:
    """The first byte; the file's description; frames; what the join reads, and what checks it."""
    nth = max(1, round(share * film.count("read")))
    outcome = sweep.stall(film.server, film.source, nth, film.calm)
    assert outcome.lawful, outcome
    assert outcome.code == 3, outcome.said
    assert "does not answer" in outcome.said
    assert "--stall" in outcome.said
    assert outcome.segments >= (3 if share == 1 else 0)

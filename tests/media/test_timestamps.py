"""Times only rise; right ones pass untouched."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vsr.media.read.timestamps import Clock


def ordered(times: Sequence[int | None], nominal: int = 10) -> tuple[list[int], int]:
    clock: Clock[int] = Clock(nominal)
    pairs = list(clock.order((place, time) for place, time in enumerate(times)))
    assert [frame for frame, _ in pairs] == list(range(len(times)))  # frames keep their order
    return [time for _, time in pairs], clock.repaired


@given(st.lists(st.integers(-(10**9), 10**9), unique=True))
def test_rising_times_pass_untouched(times: list[int]) -> None:
    assert ordered(sorted(times)) == (sorted(times), 0)


@given(st.lists(st.one_of(st.none(), st.integers(0, 300)), max_size=60))
def test_any_times_come_out_rising(times: list[int | None]) -> None:
    result, _ = ordered(times)
    assert all(first < second for first, second in pairwise(result))


def test_times_swapped_by_b_frames_are_sorted_back() -> None:
    assert ordered([2, 3, 5, 4, 6, 9, 7, 8]) == ([2, 3, 4, 5, 6, 7, 8, 9], 5)


def test_missing_and_repeated_times_follow_the_one_before() -> None:
    assert ordered([None, 10, None, 30], 10) == ([0, 10, 20, 30], 2)
    assert ordered([0, 10, 10, 40], 10) == ([0, 10, 20, 40], 1)

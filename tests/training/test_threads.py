"""One thread or all: whichever is faster now, without trying the slow one often."""

from __future__ import annotations

from collections.abc import Callable

from vsr.training.threads import ThreadChoice


def run(choice: ThreadChoice, steps: int, seconds: Callable[[int], float]) -> list[int]:
    used: list[int] = []
    for _ in range(steps):
        used.append(choice.threads)
        choice.record_time(seconds(choice.threads))
    return used


def free(threads: int) -> float:
    return 0.030 if threads == 1 else 0.020


def busy(threads: int) -> float:
    return 0.040 if threads == 1 else 0.400


def test_all_cores_are_used_where_they_are_free() -> None:
    used = run(ThreadChoice(2), 2000, free)
    assert used[:20] == [1] * 20
    assert sum(count == 2 for count in used) > 1800


def test_one_is_used_where_they_are_not_and_trials_are_few_and_short() -> None:
    used = run(ThreadChoice(2), 5000, busy)
    assert sum(count == 2 for count in used) < 12
    lost = sum(busy(2) - busy(1) for count in used if count == 2)
    assert lost < 0.03 * 5000 * busy(1)


def test_it_changes_its_mind_quickly_both_ways() -> None:
    choice = ThreadChoice(4)
    run(choice, 1000, free)
    assert choice.current == 4
    used = run(choice, 100, busy)
    assert used.count(4) < 20  # a slowdown is noticed, not waited for
    assert choice.current == 1
    run(choice, 3300, free)
    assert choice.current == 4


def test_one_core_has_nothing_to_choose() -> None:
    assert set(run(ThreadChoice(1), 300, free)) == {1}

"""The three stages: in order, bounded, and ended by any failure with that very exception."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from vsr.pipeline import Pipeline


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("vsr-")]


def test_order_is_kept_and_nothing_is_lost() -> None:
    seen: list[int] = []
    waits = Pipeline(range(200), lambda item: item * 2, seen.append).run()
    assert seen == [item * 2 for item in range(200)]
    assert 0 <= waits.read_seconds <= waits.total_seconds
    assert not running()


def test_the_source_never_runs_ahead_of_the_sink_by_more_than_the_depth() -> None:
    made = 0
    done = 0
    ahead = 0

    def source() -> Iterator[int]:
        nonlocal made, ahead
        for item in range(50):
            made += 1
            ahead = max(ahead, made - done)
            yield item

    def sink(item: int) -> None:
        nonlocal done
        done = item + 1

    Pipeline(source(), lambda item: item, sink, depth=2).run()
    assert ahead <= 2 + 2 + 3  # two queues of two, and one in each stage's hands


@pytest.mark.parametrize("stage", ["read", "work", "write"])
def test_a_failure_reaches_the_caller_as_the_same_object(stage: str) -> None:
    failure = ValueError(stage)

    def fail_at(here: str, item: int) -> int:
        if here == stage and item == 7:
            raise failure
        return item

    def source() -> Iterator[int]:
        for item in range(1000):
            yield fail_at("read", item)

    def sink(item: int) -> None:
        fail_at("write", item)

    pipeline = Pipeline(source(), lambda item: fail_at("work", item), sink)
    with pytest.raises(ValueError, match=stage) as caught:
        pipeline.run()
    assert caught.value is failure
    assert not running()


def test_an_interrupt_of_the_work_stops_the_threads() -> None:
    def work(item: int) -> int:
        raise KeyboardInterrupt(item)

    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        Pipeline(iter(range(1000)), work, seen.append).run()
    assert seen == []
    assert not running()


def test_an_empty_source_is_no_failure() -> None:
    seen: list[int] = []
    Pipeline(iter(seen), lambda item: item, seen.append).run()

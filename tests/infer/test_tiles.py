"""Tile plans: every pixel once, one shape, enough overlap. For any size."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsr.errors import OptionsError
from vsr.geometry import Size
from vsr.infer.tiles import batches, least_tile, plan


@settings(max_examples=300, deadline=None)
@given(
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    overlap=st.integers(0, 45),
    extra=st.integers(0, 400),
    multiple=st.sampled_from((1, 2, 4, 7, 64)),
)
def test_kept_parts_cover_the_picture_exactly_once(
    width: int, height: int, overlap: int, extra: int, multiple: int
) -> None:
    side = least_tile(overlap, multiple) + extra
    tiles = plan(Size(width, height), Size(side, side), overlap, multiple)
    count = np.zeros((height, width), np.uint8)
    for tile in tiles.tiles:
        window, kept = tile.window, tile.kept
        assert (window.width, window.height) == (tiles.window.width, tiles.window.height)
        assert window.x % multiple == window.y % multiple == 0
        assert window.x >= 0
        assert window.y >= 0
        assert window.right <= width
        assert window.bottom <= height
        # An inner edge is covered by the overlap, an outer edge is the picture's own.
        assert kept.x - window.x >= overlap or window.x == kept.x == 0
        assert kept.y - window.y >= overlap or window.y == kept.y == 0
        assert window.right - kept.right >= overlap or window.right == kept.right == width
        assert window.bottom - kept.bottom >= overlap or window.bottom == kept.bottom == height
        count[kept.y : kept.bottom, kept.x : kept.right] += 1
    assert (count == 1).all()


def test_a_tile_that_keeps_too_little_is_refused_with_what_would_do() -> None:
    with pytest.raises(OptionsError) as caught:
        plan(Size(500, 500), Size(90, 90), 40)
    assert "at least 96" in caught.value.message
    assert "--tile 256" in (caught.value.hint or "")
    assert len(plan(Size(90, 90), Size(90, 90), 40).tiles) == 1  # one tile needs no overlap


@pytest.mark.parametrize("multiple", [1, 4])
def test_windows_are_no_larger_than_so_many_need_to_be(multiple: int) -> None:
    tiles = plan(Size(1920, 1080), Size(810, 810), 23, multiple)
    assert len(tiles.tiles) == 6
    width, height = tiles.window.width, tiles.window.height
    assert 0 <= width - (1920 + 2 * 2 * 23) / 3 < 16 * multiple
    assert 0 <= height - (1080 + 2 * 23) / 2 < 16 * multiple
    assert width % 16 == 0


@settings(max_examples=200, deadline=None)
@given(
    wanted=st.lists(st.sampled_from("abc"), min_size=1, max_size=9),
    frames=st.integers(1, 7),
    batch=st.integers(1, 20),
)
def test_every_tile_of_every_frame_runs_once_beside_such_as_it(
    wanted: list[str], frames: int, batch: int
) -> None:
    plan_frames = list(batches(wanted, frames, batch))
    jobs = [
        [(tile, frame) for tile, some in group for frame in range(some.start, some.stop)]
        for group in plan_frames
    ]
    assert list(chain(*jobs)) == [(t, f) for t in range(len(wanted)) for f in range(frames)]
    assert all(1 <= len(group) <= batch for group in jobs)
    assert all(len({wanted[tile] for tile, _ in group}) == 1 for group in plan_frames)
    if len(set(wanted)) == 1:  # no turn is smaller than it could be
        assert len(plan_frames) == -(-len(wanted) * frames // batch)

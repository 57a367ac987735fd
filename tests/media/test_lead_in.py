"""What a network with a memory sees before a segment, however frames come in clips."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pytest
import torch

from vsr.color import ColorSpec
from vsr.media.clip import Clip
from vsr.media.read.lead_in import LeadIn

SPEC = ColorSpec(layout="gray", shift=(0, 0))
Shown = list[tuple[bool, list[int]]]  # of each clip: whether it is a lead-in, and its frames


def clips(first: int, last: int, length: int) -> Iterator[Clip]:
    """Frames of one shade each, which is their time, too."""
    for begin in range(first, last, length):
        times = tuple(range(begin, min(begin + length, last)))
        planes = torch.stack([torch.full((20, 24), time, dtype=torch.uint8) for time in times])
        yield Clip((planes,), SPEC, times, (1,) * len(times), Fraction(1, 25))


def seen(first: int, last: int, length: int, *, segment: int = 12, given: int = 0) -> Shown:
    made = LeadIn(
        clips(first, last, length), lead_frames=5, segment_frames=segment, given=given, threads=1
    )
    shown: Shown = []
    for clip in made:
        assert clip.planes[0][:, 0, 0].tolist() == list(clip.pts)
        assert clip.motion is not None
        assert len(clip.motion.vectors) == len(clip.pts)
        if shown and shown[-1][0] == clip.lead_in:
            shown[-1][1].extend(clip.pts)
        else:
            shown.append((clip.lead_in, list(clip.pts)))
    return shown


@pytest.mark.parametrize("length", [1, 2, 3, 4, 6, 12])
def test_the_first_segment_is_led_in_by_its_own_frames_backwards(length: int) -> None:
    assert seen(0, 24, length) == [
        (True, [4, 3, 2, 1]),
        (False, list(range(12))),
        (True, [7, 8, 9, 10, 11]),
        (False, list(range(12, 24))),
    ]


@pytest.mark.parametrize("length", [1, 3])
def test_it_is_led_in_by_no_frame_of_the_next_segment(length: int) -> None:
    assert seen(0, 6, length, segment=3)[0] == (True, [2, 1])


@pytest.mark.parametrize(("frames", "wanted"), [(1, []), (2, [1]), (3, [2, 1])])
def test_of_a_short_video_it_is_led_in_by_what_there_is(frames: int, wanted: list[int]) -> None:
    told = [(True, wanted)] if wanted else []
    assert seen(0, frames, 8) == [*told, (False, list(range(frames)))]
    assert seen(0, 0, 8) == []


def test_a_segment_that_is_led_in_by_the_file_is_not_by_its_own() -> None:
    assert seen(0, 12, 5, given=5) == [(True, list(range(5))), (False, list(range(5, 12)))]

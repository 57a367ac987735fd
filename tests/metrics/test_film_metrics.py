"""Flicker: nothing for what motion explains, something for what it does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.conftest import picture
from vsr.errors import OptionsError
from vsr.evaluation.meter import Meter
from vsr.evaluation.options import CompareOptions
from vsr.metrics.picture import MIN_SIDE, ms_ssim, sharpness
from vsr.metrics.temporal import MAX_SIDE, can_be_followed, motion, warping_error


def textured(shift: int = 0) -> Tensor:
    """A picture that moves to the left by ``shift`` pixels."""
    wide = picture(200, 120, 0.5)[:, shift : shift + 160]
    return torch.from_numpy(np.ascontiguousarray(wide)).permute(2, 0, 1).float() / 255


def test_motion_is_found_and_explains_what_it_moved() -> None:
    before, after = textured(0), textured(3)
    moved = motion(before, after)
    columns = moved.source[..., 0] - np.arange(160)
    assert np.median(columns) == pytest.approx(3, abs=0.05)
    assert moved.valid.mean() > 0.9
    still = motion(before, before)
    assert warping_error(before, after, moved) < 0.1 * warping_error(before, after, still)
    assert warping_error(before, before, still) == 0


def test_flicker_is_measured_along_the_references_motion() -> None:
    before, after = textured(0), textured(2)
    moved = motion(before, after)
    own = warping_error(before, after, moved)
    noise = [torch.randn(3, 120, 160, generator=torch.Generator().manual_seed(n)) for n in (1, 2)]
    flickering = warping_error(before + 0.05 * noise[0], after + 0.05 * noise[1], moved)
    # Gray noise of deviation s on two frames is sqrt(2) s apart; three channels weigh it down.
    assert flickering > own + 5
    brighter = warping_error(before * 0.9, after * 0.9 + 0.1, moved)
    assert brighter == pytest.approx(0.1 * 219, rel=0.1)


def test_nothing_that_can_be_told_is_no_error_and_no_nan() -> None:
    black = torch.zeros(3, 32, 32)
    moved = motion(black, black)
    assert warping_error(black, black, moved) == 0
    hidden = type(moved)(moved.source, np.zeros_like(moved.valid))
    assert warping_error(black, black + 1, hidden) == 0
    assert sharpness(black) == 0


def test_frames_too_large_for_motion_have_no_flicker_and_all_else() -> None:
    assert can_be_followed(16, MAX_SIDE)
    meter = Meter(CompareOptions(metrics=("psnr", "flicker")), with_reference=True)
    frame = torch.zeros(3, 16, MAX_SIDE + 1)
    meter.measure(frame, [frame], follows=False)
    _, (numbers,) = meter.measure(frame, [frame], follows=True)
    assert list(numbers) == ["psnr"]


def test_pictures_too_small_are_refused_with_their_size() -> None:
    small = torch.zeros(3, MIN_SIDE - 1, MIN_SIDE + 9)
    with pytest.raises(OptionsError, match=f"at least {MIN_SIDE} px a side, got {MIN_SIDE + 9}x"):
        ms_ssim(small, small, 0)
    with pytest.raises(OptionsError, match="3 px"):
        sharpness(torch.zeros(3, 2, 9))


def test_ms_ssim_of_odd_sizes_and_of_opposites() -> None:
    one = torch.from_numpy(picture(173, 165, 0.0)).permute(2, 0, 1).float() / 255
    assert ms_ssim(one, one, 0) == pytest.approx(1)
    assert ms_ssim(one, 1 - one, 0) == 0  # negative correlation counts as none

"""VMAF by a real ffmpeg: perfect for equal films, less for worse, and clear when there is none."""

from __future__ import annotations

import math
from collections.abc import Generator
from pathlib import Path

import imageio_ffmpeg
import pytest
import torch
from torch import Tensor

import vsr
from tests.conftest import MakeClip, picture
from vsr.errors import MissingExtra
from vsr.evaluation import vmaf
from vsr.evaluation.options import CompareOptions
from vsr.geometry import Size


@pytest.fixture
def ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """A folder with an ``ffmpeg`` that has libvmaf, put on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    monkeypatch.setenv("PATH", str(folder))
    vmaf.program.cache_clear()
    if vmaf.program() is None:
        pytest.skip("the ffmpeg of imageio-ffmpeg has no libvmaf here")
    yield folder
    vmaf.program.cache_clear()


def frame(shade: float) -> Tensor:
    return torch.from_numpy(picture(161, 121, shade)).permute(2, 0, 1).float() / 255


@pytest.mark.usefixtures("ffmpeg")
def test_scores_are_one_for_each_pair_and_fall_with_noise() -> None:
    noise = 0.1 * torch.randn(3, 121, 161, generator=torch.Generator().manual_seed(0))
    with vmaf.Vmaf(Size(161, 121)) as run:  # odd sides
        for place in range(3):
            run.add(frame(place), frame(place) if place < 2 else (frame(2) + noise).clamp(0, 1))
        scores = run.finish()
    assert len(scores) == 3
    assert min(scores[:2]) > 95
    assert scores[2] < 80


@pytest.mark.usefixtures("ffmpeg")
def test_it_is_measured_by_itself_where_there_is_one(make_clip: MakeClip) -> None:
    clip = make_clip(frames=3)
    found = vsr.compare(clip, [clip], CompareOptions())
    summary = found.tracks[0].summary("vmaf")
    assert summary is not None
    assert summary.mean > 95
    assert not any(math.isnan(value) for value in found.tracks[0].values["vmaf"])
    without = vsr.compare(clip, [clip], CompareOptions(vmaf=False))
    assert "vmaf" not in without.metrics


def test_a_program_that_fails_or_is_missing_is_one_clear_error(
    tmp_path: Path, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=3)
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    vmaf.program.cache_clear()
    assert "vmaf" not in vsr.compare(clip, [clip], CompareOptions()).metrics
    with pytest.raises(MissingExtra, match="there is none"):
        vsr.compare(clip, [clip], CompareOptions(vmaf=True))
    fake = folder / "ffmpeg"
    fake.write_text(
        '#!/bin/sh\ncase "$*" in\n*-filters*) echo " .. libvmaf VV->V" ;;\n'
        "*) echo no model >&2; exit 3 ;;\nesac\n"
    )
    fake.chmod(0o755)
    vmaf.program.cache_clear()
    with pytest.raises(MissingExtra, match="could not measure VMAF: no model"):
        vsr.compare(clip, [clip], CompareOptions(vmaf=True))
    vmaf.program.cache_clear()

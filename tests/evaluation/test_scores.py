"""Scores of models: known answers, laws, and the figures that the index and the cards claim."""

from __future__ import annotations

import json
import math
import os
import sys
import types
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import vsr
from tests import fork_server
from tests.conftest import MakeClip, picture
from tests.marks import usually
from tests.training.test_losses import published
from vsr.errors import DataError, MissingExtra, OptionsError
from vsr.evaluation.scores import cell_steps, drift, scores, sets_in
from vsr.models.interpolation import Interpolation
from vsr.perceptual.vgg import from_state
from vsr.weights import index


@pytest.fixture
def bench() -> Path:
    place = os.environ.get("VSR_MEDIA")
    if not place:
        pytest.skip("VSR_MEDIA is not set: no test sets here")
    return Path(place) / "data" / "bench"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A set whose originals are its low pictures, each pixel four times as large."""
    for name in ("HR", "LR"):
        (tmp_path / "made" / name).mkdir(parents=True)
    for number in range(2):
        low = picture(24, 20, number)
        cv2.imwrite(str(tmp_path / "made" / "LR" / f"{number}.png"), low)
        high = low.repeat(4, axis=0).repeat(4, axis=1)
        cv2.imwrite(str(tmp_path / "made" / "HR" / f"{number}.png"), high)
    return tmp_path / "made"


def test_a_perfect_model_scores_perfectly(pairs: Path) -> None:
    nearest, bicubic = vsr.evaluate(["nearest", "bicubic"], [pairs])
    assert (nearest.model, nearest.data, nearest.pictures) == ("nearest", "made", 2)
    assert nearest.psnr == math.inf
    assert nearest.ssim == pytest.approx(1)
    assert nearest.drift == pytest.approx(0, abs=1e-3)
    assert nearest.perceptual is None
    assert nearest.milliseconds > 0
    assert bicubic.psnr < 60
    assert bicubic.ssim < 0.99


def test_folders_of_sets_and_of_originals(pairs: Path, tmp_path: Path) -> None:
    assert [data.name for data in sets_in([tmp_path], 4)] == ["made"]
    originals = sets_in([pairs / "HR"], 4)
    pair = next(originals[0].pairs())
    assert (pair.low.shape, pair.high.shape) == ((1, 3, 20, 24), (1, 3, 80, 96))
    assert len(sets_in([pairs / "HR" / "0.png", pairs / "HR" / "1.png"], 4)) == 2


def test_numbered_frames_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in range(1, 13):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), picture(32, 32, number))
    (data,) = sets_in([tmp_path], 4)
    assert [pair.name for pair in data.pairs()] == [f"frame{number}.png" for number in range(1, 13)]


def test_frames_of_a_video_and_what_compression_costs(make_clip: MakeClip) -> None:
    clip = make_clip("film.mp4", size=(160, 128), frames=12)
    clean, coarse = (
        next(iter(vsr.evaluate(["bicubic"], [clip], frames=4, crf=crf))) for crf in (None, 40)
    )
    assert clean.pictures == coarse.pictures == 4
    assert coarse.psnr < clean.psnr - 0.5


@pytest.mark.parametrize(("frames", "seen"), [(3, 3), (9, 8), (12, 8)])
def test_of_a_short_video_as_many_frames_are_seen_as_there_are(
    make_clip: MakeClip, frames: int, seen: int
) -> None:
    for name in ("short.mkv", "short.mp4"):
        clip = make_clip(name, size=(32, 32), frames=frames)
        assert len(list(sets_in([clip], 4, frames=8)[0].pairs())) == seen


def test_a_video_that_is_cut_off_is_measured_where_it_has_frames(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    data = make_clip("in.mkv", frames=60, options={"g": "10"}).read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(data[: len(data) // 5])
    (score,) = vsr.evaluate(["nearest"], [cut], frames=4)
    assert score.frames[0].name == "cut:0"


def test_what_cannot_be_measured_is_one_sentence(pairs: Path, tmp_path: Path) -> None:
    for side in (3, 16):
        cv2.imwrite(str(tmp_path / "small.png"), picture(side, side, 0.5))
        with pytest.raises(
            DataError, match=rf"too small to be measured: {side}x{side} px"
        ) as caught:
            list(vsr.evaluate(["nearest"], [tmp_path / "small.png"]))
        assert "20 px" in (caught.value.hint or "")
    for crf in (-1.0, 51.5, math.nan):
        with pytest.raises(OptionsError, match="from 0 to 51"):
            list(vsr.evaluate(["nearest"], [pairs], crf=crf))


def test_drift_is_the_largest_change_of_a_mean() -> None:
    low = torch.full((1, 3, 8, 8), 0.5)
    made = Interpolation("nearest", 4)(low)
    made[:, 1] += 2 / 255
    assert drift(low, made) == pytest.approx(2, abs=1e-3)


def test_nothing_to_measure_with_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file or folder"):
        sets_in([tmp_path / "none"], 4)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="nothing to measure with"):
        sets_in([tmp_path / "empty"], 4)
    for name in ("HR", "LR"):
        (tmp_path / "lone" / name).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "lone" / "HR" / "a.png"), np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(DataError, match="both in HR and in LR"):
        list(scores(vsr.Engine(vsr.load("nearest")), sets_in([tmp_path / "lone"], 4)))
    for number in (1, 2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((32 * number, 32, 3), np.uint8))
    with pytest.raises(DataError, match="several sizes"):
        list(vsr.evaluate(["nearest"], [tmp_path], crf=28))


@pytest.mark.parametrize("name", usually(["video", "tiny", "compact-video"], index()))
def test_shipped_weights_reach_what_the_index_says(name: str, bench: Path) -> None:
    (score,) = vsr.evaluate([name], [bench / "Set5"])
    # The type of arithmetic differs by machine: bf16 here, fp32 there.
    assert score.psnr == pytest.approx(index()[name].psnr[0], abs=0.02)
    # Colours stay where they were, but for networks that learnt to please or to repair.
    assert score.drift < (3 if name in ("compact-video", "video") else 1)


def test_the_command_prints_a_table_or_json(pairs: Path) -> None:
    command = ("eval", "bicubic", "nearest", "--data", pairs)
    table = fork_server.vsr(*command, check=True).stdout
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == ["bicubic", "nearest"]
    run = fork_server.vsr(*command, "--json", check=True)
    assert [json.loads(line)["data"] for line in run.stdout.splitlines()] == ["made", "made"]


def test_the_command_prints_no_table_where_there_is_no_data() -> None:
    run = fork_server.vsr("eval", "nearest", "--data", "nofolder")
    assert run.returncode == 6
    assert "no file or folder nofolder" in run.stderr
    assert not run.stdout, "its head came before the error"


def test_films_have_flicker_by_frame_and_pictures_none(make_clip: MakeClip, pairs: Path) -> None:
    clip = make_clip("film.mp4", size=(160, 128), frames=9)
    film, still = (next(iter(vsr.evaluate(["nearest"], [place]))) for place in (clip, pairs))
    assert film.flicker is not None
    assert len(film.frames) == film.pictures
    assert film.frames[0].flicker is None
    assert all(frame.flicker is not None for frame in film.frames[1:])
    known = [frame.flicker for frame in film.frames[1:] if frame.flicker is not None]
    assert film.flicker == pytest.approx(sum(known) / len(known))
    assert film.psnr == pytest.approx(sum(frame.psnr for frame in film.frames) / film.pictures)
    assert still.flicker is None
    assert still.sharpness == pytest.approx(1)  # it is the original


def test_blocks_of_the_cells_that_pixels_became_are_told() -> None:
    smooth = torch.linspace(0, 1, 64).expand(3, 64, 64)
    blocks = smooth[:, ::4, ::4].repeat_interleave(4, 1).repeat_interleave(4, 2)
    assert cell_steps(smooth, 4) == pytest.approx(1, abs=0.1)
    assert cell_steps(blocks, 4) > 20
    assert cell_steps(blocks, 1) == 1


def test_lpips_is_an_extra_that_is_asked_for(pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its library is not among the tests': what is given to it, and what is made of its answer."""
    seen: list[tuple[int, ...]] = []

    class Judge(torch.nn.Module):
        def __init__(self, net_type: str, normalize: bool) -> None:
            super().__init__()
            assert (net_type, normalize) == ("alex", True)  # of pictures 0..1

        def forward(self, made: torch.Tensor, original: torch.Tensor) -> torch.Tensor:
            assert 0 <= made.min() <= made.max() <= 1
            seen.append(tuple(made.shape))
            return (made - original).abs().mean()

    library = types.ModuleType("torchmetrics.image.lpip")
    vars(library)["LearnedPerceptualImagePatchSimilarity"] = Judge
    monkeypatch.setitem(sys.modules, "torchmetrics.image.lpip", library)
    nearest, bicubic = vsr.evaluate(["nearest", "bicubic"], [pairs], lpips=True)
    assert nearest.lpips == pytest.approx(0, abs=1e-6)
    assert bicubic.lpips is not None
    assert bicubic.lpips > 0
    assert seen[0] == (1, 3, 80, 96)


def test_without_its_extra_lpips_says_what_to_install(
    pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics.image.lpip", None)
    with pytest.raises(MissingExtra, match="LPIPS needs the packages"):
        list(vsr.evaluate(["nearest"], [pairs], lpips=True))


def test_a_judge_that_taught_is_marked(pairs: Path) -> None:
    vgg = from_state(published(), "a test")
    engine = vsr.Engine(vsr.load("nearest"))
    engine.upscaler = replace(engine.upscaler, card={"content loss": f"VGG19 ({vgg.layout})"})
    (score,) = scores(engine, sets_in([pairs], 4), vgg)
    assert score.taught
    engine.upscaler = replace(engine.upscaler, card={"content loss": "VGG19 (another)"})
    (score,) = scores(engine, sets_in([pairs], 4), vgg)
    assert not score.taught

"""Each model on the input as it is, and on the input cleaned, side by side."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import vsr
from tests.cli.test_cli import vsr as run
from tests.jobs.test_compare_page import data_of
from tests.media.test_chroma_shift import coloured, scene
from vsr.evaluation.options import CompareOptions
from vsr.evaluation.result import Comparison

FILMS = ("nearest", "nearest, vhs 0.7")
ASKED = CompareOptions(clean="vhs:0.7", device="cpu", shown=4, frames=3)


def tape(path: Path, across: int = 0, down: int = 0) -> Path:
    random = np.random.default_rng(3)
    noisy = [np.clip(p + random.normal(0, 8, p.shape), 0, 255).astype(np.uint8) for p in scene(6)]
    return coloured(path, noisy, "yuv420p", across, down)


def shown(found: Comparison, film: int) -> np.ndarray:
    data = np.frombuffer(found.shown[0].pictures[film], np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert picture is not None
    return picture[64:-64, 64:-64].astype(float)  # an edge is repeated where chroma was moved


@pytest.mark.extended
def test_a_page_shows_both(tmp_path: Path) -> None:
    source, page = tape(tmp_path / "tape.mkv"), tmp_path / "look.html"
    asked = ("--models", "nearest", "--clean", "vhs:0.7", "--frames", "3", "--device", "cpu")
    made = run("compare", *asked, str(source), "--html", str(page), folder=tmp_path)
    assert made.returncode == 0, made.stderr
    assert tuple(data_of(page)["films"]) == FILMS


def test_both_are_shown_and_the_cleaned_is_softer(tmp_path: Path) -> None:
    found = vsr.compare(tape(tmp_path / "tape.mkv"), (), ASKED, models=("nearest",))
    assert found.films == FILMS
    sharpness = [np.mean(track.values["sharpness"]) for track in found.tracks]
    assert sharpness[1] < 0.9 * sharpness[0]
    before, after = (np.diff(shown(found, film)[::4, ::4], axis=1).std() for film in (0, 1))
    assert after < 0.95 * before


@pytest.mark.extended
def test_the_shift_of_chroma_is_undone_in_what_is_shown(tmp_path: Path) -> None:
    plain, moved = (
        vsr.compare(tape(tmp_path / f"{by[0]}.mkv", *by), (), ASKED, models=("nearest",))
        for by in ((0, 0), (3, 1))
    )
    assert not moved.notes  # what was moved back is not garbled
    off = [np.abs(shown(plain, film) - shown(moved, film)).mean() for film in (0, 1)]
    assert off[0] > 2
    assert off[1] < 0.1 * off[0]


def test_with_the_input_as_the_truth_both_are_measured_against_it(tmp_path: Path) -> None:
    source = tape(tmp_path / "tape.mkv", 3, 1)
    asked = CompareOptions(
        clean="vhs:0.7", device="cpu", shown=4, frames=3, shrink=True, crf=38.0,
        metrics=("psnr", "sharpness"),
    )  # fmt: skip
    found = vsr.compare(source, (), asked, models=("nearest",))
    assert found.films == ("tape.mkv", *FILMS)
    psnr = [np.mean(track.values["psnr"]) for track in found.tracks]
    assert all(np.isfinite(psnr))
    assert psnr[0] != pytest.approx(psnr[1], abs=0.01)
    # The truth's chroma lies off as well: moving the input's would cost more than this.
    assert psnr[1] > psnr[0] - 1

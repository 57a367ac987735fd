"""What is measured is what it is called: the same work, every way, and clips as described."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
import torch

import vsr
from tests import fork_server
from tests.conftest import MakeClip
from vsr.bench.clips import KINDS, generate
from vsr.bench.clock import medians
from vsr.bench.encoders import bench_encoders
from vsr.bench.model import in_tiles
from vsr.bench.pipeline import shares
from vsr.bench.train import bench_train
from vsr.bench.usual import TextbookSRResNet, by_network, textbook, upscale_as_usual
from vsr.geometry import Box, Size
from vsr.infer.tiles import plan
from vsr.models.compact import Compact
from vsr.models.srresnet import SRResNet
from vsr.options import EngineOptions

pytestmark = pytest.mark.extended


def run(*arguments: str) -> list[dict[str, object]]:
    """The rows that a bench command prints."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = fork_server.vsr("bench", *arguments, "--json", env=env)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def changed(before: np.ndarray, after: np.ndarray) -> float:
    """The share of cells of 8x8 px in which anything differs."""
    height, width = (side // 8 * 8 for side in before.shape[:2])
    differs = (before[:height, :width] != after[:height, :width]).any(2)
    return float(differs.reshape(height // 8, 8, width // 8, 8).any((1, 3)).mean())


def test_the_clips_move_as_they_are_said_to() -> None:
    size = Size(320, 180)
    shares = {
        kind: np.mean([changed(*pair) for pair in itertools.pairwise(frames)])
        for kind in KINDS
        for frames in [list(KINDS[kind](size, 24))]
    }
    assert shares["moving"] > 0.99
    assert 0 < shares["terminal"] < 0.05
    assert 0 < shares["slides"] < 0.05


def test_the_usual_way_makes_the_same_film(tmp_path: Path) -> None:
    source, ours, usual = (tmp_path / f"{name}.mkv" for name in ("low", "ours", "usual"))
    generate("moving", source, Size(64, 48), 5)
    vsr.upscale(source, ours, vsr.UpscaleOptions(model="tiny", preset="veryfast", dtype="fp32"))
    enlarge = by_network(vsr.load("tiny").module, torch.device("cpu"))
    assert upscale_as_usual(source, usual, enlarge, "veryfast") == 5
    for one, other in zip(pictures(ours), pictures(usual), strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).mean() < 2  # luma: chroma filters differ


def test_the_textbook_network_is_the_same_function() -> None:
    torch.manual_seed(0)
    network = SRResNet(features=8, blocks=1).eval()
    plain = textbook(network)
    assert isinstance(plain, TextbookSRResNet)
    pixels = torch.rand(1, 3, 20, 17)
    with torch.no_grad():
        torch.testing.assert_close(plain(pixels), network(pixels), atol=1e-5, rtol=0)
    assert textbook(Compact(features=8, layers=1)) is None


def test_a_median_counts_rounds_after_the_first() -> None:
    turns: list[str] = []
    seconds = medians({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, 3)
    assert turns == ["a", "b"] * 4
    assert set(seconds) == {"a", "b"}


def test_a_model_is_measured_by_command() -> None:
    (row,) = run("model", "tiny", "--size", "48x32", "--batch", "2", "--repeats", "1")
    # 89,040 parameters, nearly all of them weights used once a pixel, twice 2 sums a use.
    operations = float(row["tflops"]) / float(row["frames_per_second"]) * 1e12  # pyright: ignore[reportArgumentType]
    assert operations == pytest.approx(2 * 88_000 * 48 * 32, rel=0.05)  # pyright: ignore[reportUnknownMemberType]
    assert 0 < float(row["share"]) < 1.5  # pyright: ignore[reportArgumentType]
    assert row["tile"] == {"width": 48, "height": 32}


def test_tiles_are_measured_by_command() -> None:
    rows = run(
        "model", "tiny", "--size", "160x96", "--tile", "64", "--tile", "96", "--repeats", "1"
    )
    sizes = [row["tile"] for row in rows]
    assert all(isinstance(size, dict) for size in sizes)
    assert sizes[0] != sizes[1]


def test_tiles_are_run_as_the_engine_runs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = vsr.Engine(vsr.load("tiny"), EngineOptions(device="cpu"))
    asked: list[tuple[torch.Size, Box | None]] = []

    def note(windows: torch.Tensor, wanted: Box | None = None) -> None:
        asked.append((windows.shape, wanted))

    monkeypatch.setattr(engine, "network", note)
    tiling = plan(Size(160, 96), Size(96, 96), engine.upscaler.halo)
    in_tiles(engine, torch.zeros(2, 3, 96, 160), tiling)
    width = tiling.window.width
    left, right = tiling.tiles
    assert [shape for shape, _ in asked] == [(2, 3, 96, width)] * 2
    assert [wanted for _, wanted in asked] == [
        left.kept,
        Box(width - right.kept.width, 0, right.kept.width, 96),
    ]


def test_shares_are_of_parts_that_hold_no_other() -> None:
    seconds = {"decode": 3.0, "motion": 2.0, "network": 10.0, "enlarge": 14.0, "encode": 5.0}
    assert shares(seconds) == pytest.approx(
        {
            "decode": 1 / 22, "motion": 2 / 22, "network": 10 / 22, "colour": 4 / 22,
            "encode": 5 / 22,
        }
    )  # fmt: skip
    del seconds["motion"]
    assert "motion" not in shares(seconds)
    assert sum(shares(seconds).values()) == pytest.approx(1)
    assert shares({"network": 1.0}) == {}


def test_motion_has_its_share_where_the_network_has_a_memory(make_clip: MakeClip) -> None:
    rows = [("--only", row) for row in ("decode", "motion", "enlarge", "encode")]
    flags = [flag for pair in rows for flag in pair]
    clip = make_clip(frames=3)
    (row,) = run("pipeline", str(clip), "--model", "video", "--repeats", "1", *flags)
    found = row["shares"]
    assert isinstance(found, dict)
    parts = cast("dict[str, float]", found)
    assert set(parts) == {"decode", "motion", "network", "colour", "encode"}
    assert 0 < parts["motion"] < parts["network"] < 1


def test_the_pipeline_is_measured_by_command(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mkv"
    generate("terminal", clip, Size(64, 48), 6)
    (row,) = run("pipeline", str(clip), "--model", "bicubic", "--repeats", "1")
    assert row["frames"] == 6
    stages = ("decode", "network", "enlarge", "encode", "encoder off", "pipeline", "reused")
    rates = row["frames_per_second"]
    assert isinstance(rates, dict)
    assert all(rates[stage] > 0 for stage in stages)  # pyright: ignore[reportUnknownArgumentType]
    assert int(row["host_peak"]) > 50e6  # pyright: ignore[reportArgumentType]
    assert clip.exists()
    (row,) = run("pipeline", str(clip), "--only", "encoder off", "--model", "bicubic")
    assert list(row["frames_per_second"]) == ["network", "encoder off"]  # pyright: ignore[reportArgumentType]
    assert row["host_peak"] is None


def test_peers_and_sizes_are_measured_by_command() -> None:
    rows = run("peers", "--model", "tiny", "--size", "48x32", "--frames", "3", "--repeats", "1")
    assert rows[0]["way"] == "vsr upscale, tiny"
    assert rows[0]["times"] == 1
    assert len(rows) >= 5
    sizes = run(
        "sizes", "--model", "bicubic", "--size", "48x32", "--size", "96x64", "--frames", "2"
    )
    assert [row["frames"] for row in sizes] == [2, 2]


def test_what_cannot_be_measured_is_one_clear_error() -> None:
    for arguments in (
        ["model", "no-such-model"],
        ["model", "tiny", "--size", "big"],
        ["pipeline", "no-such-clip.mp4"],
        ["pipeline", "--only", "no-such-row"],
        ["model", "compact", "--size", "320x180", "--tile", "20"],
    ):
        done = fork_server.vsr("bench", *arguments)
        assert done.returncode in (1, 2, 3, 4), arguments
        assert done.stderr.startswith("error: "), done.stderr
        assert "Traceback" not in done.stderr


def test_a_recipe_is_timed_without_being_measured_or_saved() -> None:
    (row,) = bench_train(["psnr"], [], device="cpu", seconds=0.01, workers=0, vgg="none")
    assert row.recipe == "psnr"
    assert row.steps >= 1
    assert row.steps_per_second > 0
    assert 0 < row.waiting < 1  # without threads every pair is waited for
    assert row.device_peak is None


def test_encoders_are_timed_and_those_that_are_not_here_are_told() -> None:
    rows = bench_encoders(
        Size(128, 96), [("h264", "ultrafast"), ("av1", "12"), ("av1_nvenc", None)], frames=4
    )
    assert [(row.codec, row.preset) for row in rows[:2]] == [("h264", "ultrafast"), ("av1", "12")]
    for row in rows[:2]:
        assert not row.refused
        assert row.megapixels_per_second == pytest.approx(row.frames_per_second * 128 * 96 / 1e6)
        assert row.bytes_per_frame > 0
    assert rows[2].refused or torch.cuda.is_available()

"""JSON, CSV, the table and the contact sheet say what was measured; targets are checked first."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from array import array
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import picture
from vsr.errors import MediaError, OptionsError
from vsr.evaluation.result import Comparison, Shown, Track, labels
from vsr.evaluation.session import WorstFrames, decoded, encoded
from vsr.geometry import Size
from vsr.report.data import table, to_csv, to_json, verdict
from vsr.report.front import ReportTargets
from vsr.report.sheet import CELL, busiest, to_sheet

NAN = math.nan


def made(frames: int = 3) -> Comparison:
    """Two films with known numbers; the second is better and flickers less."""
    one = {"psnr": array("d", [30.0, 20.0, 25.0]), "flicker": array("d", [NAN, 2.0, -1.0])}
    two = {"psnr": array("d", [31.0, 29.0, 30.0]), "flicker": array("d", [NAN, 0.5, 0.0])}
    own = {"flicker": array("d", [NAN, 1.0, 3.0])}
    shown = [
        Shown(place, 0.0, tuple(png(200, 150, place + shift) for shift in (0.0, 0.1, 0.2)))
        for place in range(frames)
    ]
    return Comparison(
        reference=Track("truth.mkv", "truth.mkv", own),
        tracks=(Track("a, b.mkv", "x/a, b.mkv", one), Track("c.mkv", "x/c.mkv", two, shift=1)),
        size=Size(200, 150),
        times=array("d", [0.0, 0.04, 0.08]),
        shown=tuple(shown),
        notes=("one thing",),
        settings={"paired by": "time"},
    )


def png(width: int, height: int, shade: float) -> bytes:
    stored, data = cv2.imencode(".png", picture(width, height, shade))
    assert stored
    return data.tobytes()


def test_json_is_strict_and_holds_means_worsts_and_every_frame() -> None:
    text = json.dumps(to_json(made()), allow_nan=False)
    found = json.loads(text)
    first, second = found["films"]
    assert first["mean"] == {"psnr": 25.0, "flicker": 0.5}
    assert first["worst"]["psnr"] == {"value": 20.0, "frame": 1, "seconds": 0.04}
    assert first["worst"]["flicker"]["value"] == 2.0
    assert second["shift_frames"] == 1
    assert found["best"] == {"psnr": "c.mkv"}  # flicker is not ranked
    assert found["reference_own"]["mean"] == {"flicker": 2.0}
    assert found["per_frame"]["a, b.mkv"]["flicker"] == [None, 2.0, -1.0]
    assert found["times"] == [0.0, 0.04, 0.08]


def test_csv_has_a_line_for_each_frame_of_each_film() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(made()))))
    assert len(rows) == 6
    assert rows[1] == {
        "film": "a, b.mkv", "frame": "1", "seconds": "0.040000", "picture": "",
        "psnr": "20.000000", "flicker": "2.000000",
    }  # fmt: skip
    assert rows[0]["flicker"] == ""


@pytest.mark.parametrize(
    ("name", "cell"),
    [("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@SUM(A1)", "'@SUM(A1)"), ("\t=1", "'\t=1"),
     ("a\n=1", r"a\n=1"), ("\r=1", r"\r=1"), ("plain", "plain")],
)  # fmt: skip
def test_no_name_is_a_formula_in_a_spreadsheet(name: str, cell: str) -> None:
    comparison = made()
    track = replace(comparison.tracks[0], name=name)
    told = replace(comparison, tracks=(track,), names=(name,) * 3)
    rows = list(csv.DictReader(io.StringIO(to_csv(told))))
    assert [(row["film"], row["picture"]) for row in rows] == [(cell, cell)] * 3
    assert rows[2]["flicker"] == "-1.000000"  # a number is a number


def test_the_table_marks_the_best_and_shows_the_references_own() -> None:
    header, *rows = table(made())
    assert header == ["film", "", "PSNR, dB", "flicker, levels"]
    assert rows == [
        ["a, b.mkv", "mean", "25.00", "0.50"],
        ["", "worst", "20.00", "2.00"],
        ["c.mkv", "mean", "30.00*", "0.25"],
        ["", "worst", "29.00", "0.50"],
        ["truth.mkv", "itself", "-", "2.00"],
    ]
    assert verdict(made()) == "closest to the reference: c.mkv by PSNR"


def test_the_sheet_shows_the_busiest_region_of_each_film() -> None:
    sheet = to_sheet(made(1))
    flat = np.full((150, 200, 3), 90, np.uint8)
    flat[70:130, 120:180] = np.random.default_rng(0).integers(0, 255, (60, 60, 3))
    box = busiest(flat, 64)
    assert 114 <= box.x <= 122
    assert 64 <= box.y <= 72
    # The overview, two films and the truth, side by side, cells as wide as a region repeated.
    assert sheet.shape[1] >= 4 * CELL
    region = busiest(decoded(made(1).shown[0].pictures[0]))
    crop = (
        decoded(made(1).shown[0].pictures[0])[region.y : region.bottom, region.x : region.right]
        .repeat(2, 0)
        .repeat(2, 1)
    )
    assert (sheet[10 : 10 + crop.shape[0], -crop.shape[1] :] == crop).all()  # the truth is last
    whole = to_sheet(made(2), whole=True)
    assert whole.shape[0] > 2 * 150
    with pytest.raises(OptionsError, match="no frame was kept"):
        to_sheet(made(0))


def test_the_worst_of_each_stretch_is_kept_and_no_more() -> None:
    import torch

    worst = WorstFrames(3, 30)
    scores = [10, 3, 8, 9, 9, 9, 9, 9, 9, 9, 7, 7, 1, 7, 7, 7, 7, 7, 7, 7, *[5] * 10]
    asked = 0

    def pictures() -> list[torch.Tensor]:
        nonlocal asked
        asked += 1
        return [torch.zeros(3, 4, 4)]

    for place, score in enumerate(scores):
        worst.offer(place, score, pictures)
    assert [shown.place for shown in worst.worst_first()] == [12, 1, 20]
    assert asked == 5  # a picture is only encoded when it is kept
    unknown = WorstFrames(2, None)
    for place in range(1000):
        unknown.offer(place, -place, pictures)
    assert [shown.place for shown in unknown.worst_first()] == [999, 749]
    level = torch.full((3, 5, 7), 100.4 / 255)
    assert (decoded(encoded(level)) == 100).all()


def test_targets_are_checked_before_the_work(tmp_path: Path) -> None:
    there = tmp_path / "there.html"
    there.write_text("precious")
    os.mkfifo(tmp_path / "pipe")
    bad: list[tuple[ReportTargets, str]] = [
        (ReportTargets(csv=tmp_path / "pipe", overwrite=True), "a device, a pipe"),
        (ReportTargets(html=there), "exists already"),
        (ReportTargets(html=tmp_path), "is a folder"),
        (ReportTargets(sheet=tmp_path / "sheet.jpg"), "is a png"),
        (ReportTargets(html=tmp_path / "a", csv=tmp_path / "a"), "cannot be one file"),
    ]
    for targets, said in bad:
        with pytest.raises(OptionsError, match=said):
            targets.check()
    with pytest.raises(MediaError, match="no folder"):
        ReportTargets(csv=tmp_path / "none" / "x.csv").check()
    good = ReportTargets(there, tmp_path / "s.png", tmp_path / "t.csv", overwrite=True)
    good.check()
    good.write(made())
    assert there.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert cv2.imread(str(tmp_path / "s.png")) is not None
    assert not list(tmp_path.glob("*.part"))


def test_labels_are_short_and_no_two_alike() -> None:
    assert labels([Path("x/a.mkv"), Path("y/b.mkv")]) == ["a.mkv", "b.mkv"]
    assert labels([Path("x/a.mkv"), Path("y/a.mkv")]) == ["x/a.mkv", "y/a.mkv"]
    assert labels([Path("a.mkv"), Path("a.mkv"), Path("b")]) == ["a.mkv", "a.mkv (2)", "b"]

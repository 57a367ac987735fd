"""``vsr compare`` as a person meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.cli.test_cli import vsr
from tests.conftest import MakeClip
from vsr.cli.app import app

BAD = {
    "one path": (["in.mp4"], 2, "give a reference"),
    "models and a candidate": (["--models", "bicubic", "in.mp4", "in.mp4"], 2, "one input"),
    "no such model": (["--models", "best", "in.mp4"], 4, "no model 'best'"),
    "missing file": (["in.mp4", "none.mp4"], 3, "no file none.mp4"),
    "not a video": (["in.mp4", "text.mp4"], 3, "not a video"),
    "another size": (["in.mp4", "small.mp4"], 2, "is 32x32, the reference 64x48"),
    "no such alignment": (["in.mp4", "in.mp4", "--align", "luck"], 2, "no alignment 'luck'"),
    "bad crop": (["in.mp4", "in.mp4", "--crop", "1,2,3"], 2, "not a crop"),
    "no such metric": (["in.mp4", "in.mp4", "--metrics", "beauty"], 2, "no metric 'beauty'"),
    "metric without a network": (["in.mp4", "in.mp4", "--metrics", "perceptual"], 2, "a network"),
    "no such network": (["in.mp4", "in.mp4", "--vgg", "none.pth"], 4, "no VGG file"),
    "shrink without models": (["in.mp4", "in.mp4", "--shrink"], 2, "--shrink is for models"),
    "crf alone": (["--models", "bicubic", "in.mp4", "--crf", "23"], 2, "--crf is for"),
    "report there": (["in.mp4", "in.mp4", "--html", "text.mp4"], 2, "exists already"),
    "report nowhere": (["in.mp4", "in.mp4", "--csv", "no/x.csv"], 3, "no folder no"),
}


def test_every_bad_input_is_one_sentence_and_its_exit_code(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip()
    make_clip("small.mp4", size=(32, 32), frames=3)
    (tmp_path / "text.mp4").write_text("no frames here" * 99)
    wrong: list[str] = []
    for name, (arguments, code, said) in BAD.items():
        run = CliRunner().invoke(app, ["compare", *arguments, "--quiet"])
        lines = [line for line in run.stderr.splitlines() if line.startswith("error:")]
        if run.exit_code != code or len(lines) != 1 or said not in lines[0] or run.stdout:
            wrong.append(f"{name}: {run.exit_code} {run.stderr} {run.stdout}")
        assert "Traceback" not in run.stderr, name
    assert not wrong, "\n".join(wrong)
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4", "small.mp4", "text.mp4"}


def test_a_table_json_and_reports(make_clip: MakeClip, tmp_path: Path) -> None:
    make_clip(frames=4)
    run = vsr("compare", "in.mp4", "in.mp4", "--csv", "n.csv", "--no-vmaf", folder=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "100.00" in run.stdout
    assert "wrote n.csv" in run.stderr
    assert (tmp_path / "n.csv").read_text(encoding="utf-8").count("\n") == 5
    run = vsr(
        "compare", "--models", "nearest,bicubic", "in.mp4", "--shrink", "--json", "-q",
        "--html", "page.html", "--sheet", "sheet.png", "--device", "cpu", folder=tmp_path,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    found = json.loads(run.stdout)
    assert found["best"]["psnr"] == "bicubic"
    assert [film["name"] for film in found["films"]] == ["nearest", "bicubic"]
    assert (tmp_path / "page.html").stat().st_size > 30_000
    assert (tmp_path / "sheet.png").stat().st_size > 1000

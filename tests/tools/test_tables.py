"""Tables of figures: from what was measured, into the page and the cards, and no further."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tools import tables
from tools.tables import BEGIN, END, measured, put, table_of_clips, table_of_sets, write
from vsr.errors import OptionsError


def row(model: str, data: str, **changed: Any) -> dict[str, Any]:
    figures = {"psnr": 31.0, "ssim": 0.9, "perceptual": 0.5, "sharpness": 0.4, "blockiness": 1.0}
    return {"model": model, "weights": "", "data": data, **figures, "flicker": 0.1, **changed}


ROWS = [
    row("bicubic", "Set5", psnr=28.43),
    row("bicubic", "clips, CRF 23", flicker=-0.5),
    row("compact", "Set5", psnr=31.32),
    row("compact", "clips, CRF 23"),
]


def test_a_line_a_model_beside_what_others_published() -> None:
    sets = table_of_sets(ROWS).splitlines()
    assert sets[2] == "| bicubic | 28.43 / 0.900 / 0.500 / 0.40 |"
    assert sets[-1] == "| SRGAN of the paper | 29.40 |"
    clips = table_of_clips(ROWS).splitlines()
    assert clips[2].startswith("| CRF 23 | bicubic | 31.00 | 0.500 | -0.50 |")
    columns = {line.count("|") for line in sets}
    assert len(columns) == 1


def test_pages_change_between_their_marks_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "folder", lambda: tmp_path)
    card, page = tmp_path / "compact.md", tmp_path / "page" / "models.md"
    page.parent.mkdir()
    card.write_text("# compact\n\nKnown failures: none.\n")
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(ROWS, page)
    assert page.read_text().startswith(f"before\n{BEGIN}\n| model |")
    assert page.read_text().endswith(f"{END}\nafter\n")
    assert "SRGAN of the paper" in page.read_text()
    made = card.read_text()
    assert made.startswith("# compact\n\nKnown failures: none.\n\n" + BEGIN)
    assert "of the paper" not in made
    write(ROWS, page)
    assert card.read_text() == made  # again: nothing is added
    other = page.parent / "other.md"
    other.write_text("no place")
    assert not put(other, "x")
    with pytest.raises(OptionsError, match="no place for figures"):
        write(ROWS, other)


def test_a_page_that_is_not_there_is_one_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tables.main(["--page", str(tmp_path / "none.md")]) == 2
    assert "there is no page" in capsys.readouterr().err


def test_what_is_known_is_not_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "index", dict)
    asked: list[object] = []

    def evaluate(models: object, data: object, **more: object) -> list[object]:
        asked.append((models, data, more))
        raise AssertionError("measured")

    monkeypatch.setattr(tables.api, "evaluate", evaluate)
    assert list(measured(Path("x"), "vgg", ROWS[:1], ["Set5"])) == ROWS[:1]
    with pytest.raises(AssertionError, match="measured"):
        list(measured(Path("x"), "vgg", [], ["Set5"]))
    assert len(asked) == 1

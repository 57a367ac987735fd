"""The queue of trainings: goes on where it stopped, in order, and tells figures against hours."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.training.conftest import drawn
from tools.queue import Entry, arguments, entries_in, is_done, main, progress, run
from vsr.errors import OptionsError
from vsr.media.extract.sheet import write_png
from vsr.training.recipes import PRESETS, RECIPES
from vsr.weights import index

NET = "--net features=8,layers=2 --batch 2 --patch 12 --validate-every 3 --workers 0"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        write_png(folder / f"{number}.png", drawn(number, 120, 120))
    return folder


@pytest.mark.extended
def test_it_stops_and_goes_on_and_the_second_begins_from_the_first(
    pictures: Path, tmp_path: Path
) -> None:
    queue, out = tmp_path / "queue.toml", tmp_path / "out"
    queue.write_text(
        f'[first]\ncommand = "PICTURES --recipe compact --steps 6 {NET}"\n'
        f'[second]\ncommand = "PICTURES --recipe compact --init first --steps 3 {NET}"\n'
        'ships = "compact"\n'
    )
    entries = entries_in(queue)
    places = {"PICTURES": pictures, "SEQUENCES": None, "VGG": None}
    out.mkdir()
    more = ["--device", "cpu"]
    assert run(entries, out, places, minutes=0.0005, more=more) == 0
    assert not is_done(entries[0], out)
    assert (out / "first" / "checkpoint.pt").exists()  # begun, and kept
    assert run(entries, out, places, more=more) == 0
    assert all(is_done(entry, out) for entry in entries)
    with (out / "progress.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["entry"] for row in rows} == {"first", "second"}
    hours = [float(row["hours"]) for row in rows if row["entry"] == "first"]
    assert hours == sorted(hours)
    assert hours[-1] > 0
    assert float(rows[-1]["psnr"]) > 5
    assert sorted(path.name for path in (out / "sheets").iterdir()) == ["first.png", "second.png"]
    card = (out / "second" / "best.md").read_text(encoding="utf-8")
    assert "best.safetensors" in card  # started from
    before = (out / "first" / "log.jsonl").stat().st_mtime_ns
    assert run(entries, out, places, more=more) == 0
    assert (out / "first" / "log.jsonl").stat().st_mtime_ns == before
    changed = Entry("first", (*entries[0].words, "--seed", "1"))
    assert not is_done(changed, out)  # another command is another training
    assert progress(entries, tmp_path / "nowhere") == []


def test_the_queue_that_is_shipped_leads_to_what_is_shipped() -> None:
    entries = entries_in(Path(__file__).parents[2] / "tools" / "queue.toml")
    known = {**RECIPES, **PRESETS}
    for entry in entries:
        assert entry.words[entry.words.index("--recipe") + 1] in known
    assert set(index()) <= {entry.ships for entry in entries}


def test_what_cannot_be_is_one_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queue = tmp_path / "queue.toml"
    queue.write_text('[late]\ncommand = "PICTURES --init early"\n[early]\ncommand = "PICTURES"\n')
    with pytest.raises(OptionsError, match="begins from early, which is not before it"):
        entries_in(queue)
    with pytest.raises(OptionsError, match="one needs PICTURES"):
        arguments(Entry("one", ("PICTURES",)), tmp_path, {"PICTURES": None, "VGG": None})
    assert main(["--out", str(tmp_path / "out"), "--only", "nobody"]) == 2
    assert "the queue has no entry nobody" in capsys.readouterr().err

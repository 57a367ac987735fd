"""The shape of the code: imports go down only, files stay small, nothing prints but the CLI."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "vsr"
FLOORS = [
    {
        "version",
        "runtime",
        "system",
        "errors",
        "unexpected",
        "events",
        "event_rows",
        "units",
        "geometry",
        "device_names",
        "chroma",
        "color",
        "motion",
        "metrics",
    },
    {"models", "pipeline", "options", "restoration", "option_fields", "batch_options"},
    {"media", "infer", "weights"},
    {"choice", "perceptual", "pairs", "degrade"},
    {"training", "evaluation"},
    {"jobs"},
    {"api", "report", "doctor"},
    {"bench"},
    {"cli"},
    {"__main__"},
]
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
APART = [{"media", "infer", "weights"}, {"training", "evaluation"}]
"""Neighbours that do not know each other."""
FILES = sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """The rooms that a file imports, wherever in the file the import stands."""
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "vsr":
            rooms |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vsr."):
            rooms.add((node.module or "").split(".")[1])
        elif isinstance(node, ast.Import):
            rooms |= {a.name.split(".")[1] for a in node.names if a.name.startswith("vsr.")}
    return rooms


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return  # the lazy front door names the rooms it opens to
    for imported in imports_of(path) - {room}:
        assert FLOOR[imported] <= FLOOR[room], f"{path} looks up to {imported}"
        assert not any({room, imported} <= neighbours for neighbours in APART), (
            f"{path}: {room} must not know {imported}"
        )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_small_and_say_what_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(text)), f"{path} does not open with a sentence"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_field_of_a_public_dataclass_says_what_it_is(path: Path) -> None:
    """Under the field, or in the sentence of an option."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
            continue
        if not any("dataclass" in ast.unparse(each) for each in node.decorator_list):
            continue
        for line, below in zip_longest(node.body, node.body[1:]):
            if not isinstance(line, ast.AnnAssign) or ast.unparse(line.target).startswith("_"):
                continue
            told = line.value is not None and ast.unparse(line.value).startswith("option(")
            told |= isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            assert told, f"{node.name}.{ast.unparse(line.target)} in {path} has no docstring"


def test_the_page_on_architecture_draws_these_floors() -> None:
    page = (ROOT.parent / "docs" / "concepts" / "architecture.md").read_text(encoding="utf-8")
    drawn = page.split("```text\n")[1].split("```")[0].splitlines()
    assert [set(line.split(" · ")) for line in reversed(drawn)] == FLOORS


def test_files_that_the_docs_name_exist() -> None:
    pages = [*(ROOT.parent / "docs").rglob("*.md"), *ROOT.parent.glob("*.md")]
    named = {
        (page.name, path)
        for page in pages
        if page.name != "CHANGELOG.md"
        for path in re.findall(r"`((?:vsr|tests)/[\w/.]*)`", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 50
    missing = {(page, path) for page, path in named if not (ROOT.parent / path).exists()}
    assert not missing


def test_options_are_free_of_torch_and_the_front_door_is_lazy() -> None:
    program = (
        "import sys, vsr, vsr.options, vsr.cli.app; "
        "heavy = {'torch', 'av', 'cv2', 'numpy'} & set(sys.modules); "
        "assert not heavy, heavy; "
        "vsr.Engine; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_name_of_the_front_door_exists() -> None:
    import vsr

    for name in vsr.__all__:
        assert getattr(vsr, name) is not None
    with pytest.raises(AttributeError):
        _ = vsr.nothing_of_that_name

"""A second extraction into a folder: the first one goes only once the second is complete."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.test_picture_targets import no_exchange
from tests.media.test_extract import film, scene
from vsr.errors import DataError, MediaError, VsrError
from vsr.jobs.extraction import extract
from vsr.media import atomic
from vsr.media.extract import extraction
from vsr.media.extract.extraction import INDEX, SHEET
from vsr.media.extract.selection import ExtractOptions


@pytest.fixture
def first(tmp_path: Path) -> ExtractOptions:
    """A folder with two pictures of an extraction, and with files of somebody."""
    video = film(tmp_path / "film.mp4", [scene(n // 4) for n in range(8)])
    options = ExtractOptions((video,), tmp_path / "frames")
    assert extract(options).frames == 2
    (options.out / "notes.txt").write_text("mine", encoding="utf-8")
    (options.out / "more").mkdir()
    (options.out / "more" / "mine.png").write_bytes(b"mine")
    (options.out / "link").symlink_to("nowhere")
    return replace(options, overwrite=True)


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("links", [True, False])
def test_it_is_replaced_as_a_whole_and_what_is_not_its_own_stays(
    first: ExtractOptions, monkeypatch: pytest.MonkeyPatch, exchanges: bool, links: bool
) -> None:
    if not exchanges:
        monkeypatch.setattr(atomic, "_exchanged", no_exchange)
    if not links:

        def unlinked(*_: object, **__: object) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "link", unlinked)
    report = extract(replace(first, most=1))
    assert report.frames == 1
    (picture,) = first.out.glob("film*.png")
    assert names(first.out) == sorted(["link", "more", "notes.txt", INDEX, SHEET, picture.name])
    assert (first.out / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert (first.out / "more" / "mine.png").read_bytes() == b"mine"
    assert (first.out / "link").readlink() == Path("nowhere")
    rows = map(json.loads, (first.out / INDEX).read_text(encoding="utf-8").splitlines())
    assert [row["file"] for row in rows if "file" in row] == [picture.name]
    assert report.sheet == first.out / SHEET
    assert names(first.out.parent) == ["film.mp4", "frames"]


@pytest.mark.parametrize("failing", ["source", "nothing to learn from", "picture", "name"])
def test_where_the_new_one_fails_the_old_one_stays(
    first: ExtractOptions, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Its pictures had been deleted before the new video was looked at."""
    before, options = contents(first.out), first
    kind: type[VsrError] = MediaError
    if failing == "source":
        (first.out.parent / "broken.mp4").write_bytes(b"no video")
        options = replace(first, videos=(first.out.parent / "broken.mp4",))
    elif failing == "nothing to learn from":
        dark = film(first.out.parent / "dark.mp4", [scene(0) // 64] * 5)
        options, kind = replace(first, videos=(dark,)), DataError
    elif failing == "picture":

        def full(*_: object) -> None:
            raise MediaError("cannot write: the disk is full")

        monkeypatch.setattr(extraction, "write_png", full)
    else:

        def busy(*_: object) -> bool:
            raise OSError(16, os.strerror(16))

        monkeypatch.setattr(atomic, "_exchanged", busy)
    with pytest.raises(kind):
        extract(options)
    assert contents(first.out) == before
    assert not list(first.out.parent.glob(".*"))


def test_a_folder_that_gets_nothing_is_not_left(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "empty").mkdir()
    for out in ("new/folder", "empty"):
        with pytest.raises(MediaError, match="is not a video"):
            extract(ExtractOptions((tmp_path / "broken.mp4",), tmp_path / out))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.mp4", "empty"]


def test_an_extraction_without_its_sheet_is_begun_again(
    first: ExtractOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, pixels: Any) -> None:
        if path.name == extraction.SHEET:
            raise MediaError("cannot write: the disk is full")
        write(path, pixels)

    write, options = extraction.write_png, replace(first, out=tmp_path / "other")
    monkeypatch.setattr(extraction, "write_png", full)
    with pytest.raises(MediaError, match="disk is full"):
        extract(options)
    monkeypatch.undo()
    assert extract(options).frames


def test_a_link_to_the_folder_stays_one(first: ExtractOptions, tmp_path: Path) -> None:
    link = tmp_path / "here"
    link.symlink_to(first.out, target_is_directory=True)
    assert extract(replace(first, out=link, most=1)).frames == 1
    assert link.is_symlink()
    assert len(list(first.out.glob("film*.png"))) == 1

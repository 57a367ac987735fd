"""What a run finished, and what others made meanwhile, is not lost."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import vsr
from tests.conftest import MakeClip, times_of
from vsr.errors import OptionsError, Stopped, StorageError
from vsr.events import Event, SegmentDone
from vsr.jobs.video import journal as journals
from vsr.media import files
from vsr.media.read import index

FRAMES = 40
Hook = Callable[[Event], object]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsr.jobs.video.plan.SEGMENT_SECONDS", Fraction(8, 25))
    monkeypatch.setattr(files, "WAITS", (0.0, 0.0))


@pytest.fixture
def begun(make_clip: MakeClip, tmp_path: Path) -> tuple[Path, Path]:
    """A source and a target of which three of five segments are finished."""
    source, target = make_clip(frames=FRAMES), tmp_path / "out.mkv"
    count = [0]

    def third() -> bool:
        count[0] += 1
        return count[0] == 3

    with pytest.raises(Stopped):
        vsr.upscale(source, target, options(), should_stop=third)
    assert len(segments(target)) == 3
    return source, target


def options(**more: Any) -> vsr.UpscaleOptions:
    return vsr.UpscaleOptions(model="nearest", device="cpu", codec="ffv1", **more)


def still(**more: Any) -> vsr.UpscaleOptions:
    return vsr.UpscaleOptions(model="nearest", device="cpu", **more)


def folder(target: Path) -> Path:
    return target.with_name(f".{target.name}.vsr")


def segments(target: Path) -> list[Path]:
    return sorted(folder(target).glob("*.nut"))


def again(source: Path, target: Path, hook: Hook = lambda _: None, **more: Any) -> list[bool]:
    """Run it to its end: of each segment, whether it was there."""
    done: list[bool] = []

    def heard(event: Event) -> None:
        hook(event)
        if isinstance(event, SegmentDone):
            done.append(event.resumed)

    assert vsr.upscale(source, target, options(**more), heard).frames == FRAMES
    assert len(times_of(target)) == FRAMES
    return done


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(143), OSError(errno.ENOSPC, "No space left")]
)
def test_what_ends_a_run_while_it_looks_at_segments_leaves_them(
    begun: tuple[Path, Path], error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They had all been removed: a run that has not looked yet had finished none."""

    def fails(*_: object) -> None:
        raise error

    before = segments(begun[1])
    with monkeypatch.context() as patch:
        patch.setattr(journals, "put" if isinstance(error, OSError) else "sha256_of", fails)
        with pytest.raises(StorageError if isinstance(error, OSError) else type(error)):
            vsr.upscale(*begun, options())
    assert segments(begun[1]) == before
    assert again(*begun) == [True, True, True, False, False]


@pytest.mark.parametrize("name", ["sha256_of", "_text"])
@pytest.mark.parametrize("passing", [True, False])
def test_what_cannot_be_read_now_is_not_taken_for_harmed(
    begun: tuple[Path, Path], name: str, passing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = getattr(journals, name), [0]

    def faulty(path: Path) -> str:
        calls[0] += 1
        if not passing or calls[0] == 2:
            raise OSError(errno.EIO, "Input/output error")
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(journals, name, faulty)
        if passing:
            assert again(*begun) == [True, True, True, False, False]
            return
        with pytest.raises(StorageError, match=r"cannot read .*Input/output error"):
            vsr.upscale(*begun, options())
    assert again(*begun) == [True, True, True, False, False]


def test_a_source_that_cannot_be_read_for_a_moment_costs_no_segment_behind_a_gap(
    begun: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    segments(begun[1])[1].unlink()
    real, calls = index.timed, [0]

    def faulty(packets: Any) -> Any:
        for place, packet in enumerate(real(packets)):
            calls[0] += 1
            if place == 20 and calls[0] < 25:
                raise index_error()
            yield packet

    monkeypatch.setattr(index, "timed", faulty)
    assert sorted(again(*begun)) == [False, False, False, True, True]
    assert calls[0] > FRAMES


def index_error() -> OSError:
    from av.error import OSError as Fault

    return Fault(errno.EIO, "Input/output error")


@pytest.mark.parametrize("line", range(4))
def test_a_flipped_bit_of_the_journal_changes_no_frame(begun: tuple[Path, Path], line: int) -> None:
    """`"index": 0` became 1, and a verified target lacked the first frames."""
    source, target = begun
    path = folder(target) / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for at in (5, len(lines[line]) // 2, lines[line].find(b'"index": ') + 9):
        harmed = bytearray(lines[line])
        harmed[at] ^= 1
        path.write_bytes(b"".join([*lines[:line], bytes(harmed), *lines[line + 1 :]]))
        rows = journals.read_rows(path)
        assert len(rows) == 3
    before = segments(target)
    if line == 0:
        with pytest.raises(OptionsError, match="does not say whose segments") as refused:
            vsr.upscale(source, target, options())
        assert "--restart" in str(refused.value.hint)
        assert segments(target) == before
        assert again(source, target, restart=True) == [False] * 5
    else:
        assert sorted(again(source, target)) == [False] * 3 + [True] * 2


def test_a_journal_of_the_version_before_is_refused_and_kept(begun: tuple[Path, Path]) -> None:
    path = folder(begun[1]) / "journal.jsonl"
    head, *rows = journals.read_rows(path)
    old = [{**head, "version": 2}, *rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in old))
    with pytest.raises(OptionsError, match="of other versions has 3 finished segments"):
        vsr.upscale(*begun, options())
    assert len(segments(begun[1])) == 3
    assert again(*begun, restart=True) == [False] * 5


@pytest.mark.parametrize("cut", [True, False])
def test_a_segment_that_changes_under_way_is_found_before_it_is_joined(
    make_clip: MakeClip, tmp_path: Path, cut: bool
) -> None:
    source, target = make_clip(frames=FRAMES), tmp_path / "out.mkv"

    def harm(event: Event) -> None:
        if isinstance(event, SegmentDone) and event.index == 2:
            first = segments(target)[0]
            data = bytearray(first.read_bytes())
            data[len(data) // 2] ^= 1
            first.write_bytes(data[:-99] if cut else data)

    with pytest.raises(StorageError, match="is not what was written") as caught:
        again(source, target, harm)
    assert "5 finished segments are kept" in str(caught.value.hint)
    assert not target.exists()
    assert sorted(again(source, target)) == [False] + [True] * 4


def test_a_target_that_another_made_meanwhile_stays(begun: tuple[Path, Path]) -> None:
    source, target = begun

    def made(event: Event) -> None:
        if isinstance(event, SegmentDone) and not event.resumed:
            target.write_text("precious")

    with pytest.raises(StorageError, match="was made by another") as caught:
        again(source, target, made)
    beside = target.with_stem("out.finished-1")
    assert str(beside) in str(caught.value.hint)
    assert target.read_text() == "precious"
    assert len(times_of(beside)) == FRAMES
    assert again(source, target, overwrite=True)


def test_a_folder_that_all_may_write_is_gone_on_with_where_files_have_no_modes(
    begun: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(begun[1]).chmod(0o777)
    with pytest.raises(StorageError, match="not a work folder"):
        again(*begun)

    def of_the_mount(_: object) -> bool:  # as on FAT
        return False

    monkeypatch.setattr("vsr.system.is_private", of_the_mount)
    assert again(*begun) == [True, True, True, False, False]


def pictures(place: Path) -> Path:
    place.mkdir()
    for number in range(3):
        cv2.imwrite(str(place / f"{number}.png"), np.full((8, 8, 3), 9 * number, np.uint8))
    return place


def test_what_a_killed_run_left_of_a_picture_goes_and_nothing_else(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in") / "0.png"
    for name in (".o.png.0123abcd.part", ".o.png.mine.part", "o.png.part"):
        (tmp_path / name).touch()
    folder(tmp_path / "o.png").mkdir(mode=0o700)
    vsr.upscale(source, tmp_path / "o.png", still())
    left = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert left == [".o.png.mine.part", "o.png", "o.png.part"]


@pytest.mark.parametrize("name", ["notes.txt", "new.png"])
@pytest.mark.parametrize("there", [True, False])
def test_what_others_put_into_a_folder_of_pictures_meanwhile_stays(
    tmp_path: Path, name: str, there: bool
) -> None:
    source, target = pictures(tmp_path / "in"), tmp_path / "out"
    if there:
        pictures(target)

    def put(_: Event) -> None:
        target.mkdir(exist_ok=True)
        (target / name).write_text("precious")

    with pytest.raises(StorageError, match="changed while this run worked"):
        vsr.upscale(source, target, still(overwrite=there), put)
    assert (target / name).read_text() == "precious"
    assert len(list((tmp_path / "out.finished-1").iterdir())) == 3
    assert not folder(target).exists()


def test_what_file_managers_put_into_folders_is_neither_a_picture_nor_in_the_way(
    tmp_path: Path,
) -> None:
    """macOS writes ``._NAME`` beside every file, where a file system is not its own."""
    source, target = pictures(tmp_path / "in"), pictures(tmp_path / "out")
    for place in (source, target):
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png"):
            (place / name).write_bytes(b"no picture")

    def looked_at(_: Event) -> None:
        (source / ".directory").touch()
        (target / ".directory").touch()

    report = vsr.upscale(source, target, still(overwrite=True), looked_at)
    assert report.frames == 3
    assert sorted(path.name for path in target.iterdir()) == ["0.png", "1.png", "2.png"]
    films = pictures(tmp_path / "films")
    (films / "._film.mp4").write_bytes(b"no film")
    assert vsr.upscale(films, tmp_path / "frames", still()).frames == 3


def test_a_folder_named_as_a_picture_and_a_link_are_no_pictures(tmp_path: Path) -> None:
    source, target = pictures(tmp_path / "in"), tmp_path / "out"
    (target / "album.png").mkdir(parents=True)
    (target / "album.png" / "diary.txt").write_text("precious")
    asked = still(overwrite=True)
    with pytest.raises(OptionsError, match="holds more than pictures"):
        vsr.upscale(source, target, asked)
    assert (target / "album.png" / "diary.txt").read_text() == "precious"
    link = tmp_path / "link"
    link.symlink_to(pictures(tmp_path / "other"), target_is_directory=True)
    with pytest.raises(OptionsError, match="is a link"):
        vsr.upscale(source, link, asked)
    assert link.is_symlink()


def test_a_link_that_leads_nowhere_is_refused_before_any_work(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    """It had been taken for a target that another made, once all was done."""
    source, target = make_clip(frames=3), tmp_path / "out.mkv"
    target.symlink_to(tmp_path / "nowhere.mkv")
    with pytest.raises(OptionsError, match="exists already"):
        vsr.upscale(source, target, options())
    assert not folder(target).exists()
    assert vsr.upscale(source, target, options(overwrite=True)).frames == 3
    assert not target.is_symlink()


def test_many_pictures_do_not_look_through_their_folder_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked(path: Path) -> list[Path]:
        raise AssertionError(path)

    monkeypatch.setattr("vsr.jobs.work_folder.parts_left", looked)
    vsr.upscale(pictures(tmp_path / "in") / "0.png", tmp_path / "o.png", still())


def test_a_pipe_in_place_of_a_journal_is_not_waited_for(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    target = tmp_path / "out.mkv"
    folder(target).mkdir(mode=0o700)
    os.mkfifo(folder(target) / "journal.jsonl")
    with pytest.raises(StorageError, match="not a work folder"):
        vsr.upscale(make_clip(frames=3), target, options())

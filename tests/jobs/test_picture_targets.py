"""Targets of pictures: what had the name before goes only once the new one has it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import vsr
from tests.conftest import MakeClip
from tests.jobs.test_run import debris, options
from vsr.errors import MediaError, OptionsError, StorageError
from vsr.jobs import work_folder
from vsr.jobs.video import journal
from vsr.jobs.work_folder import held, locked
from vsr.media import atomic
from vsr.system import Lock


@pytest.fixture
def frames(make_clip: MakeClip, tmp_path: Path) -> Path:
    """A folder of three pictures."""
    folder = tmp_path / "frames"
    vsr.upscale(make_clip(frames=3), folder, options(height=48))
    return folder


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A target that holds a picture of another day."""
    folder = tmp_path / "large"
    folder.mkdir()
    (folder / "old.png").write_bytes(b"of another day")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def no_exchange(*_: object) -> bool:
    return False


NEW = ["000001.png", "000002.png", "000003.png"]


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_is_replaced_as_a_whole(
    frames: Path, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool
) -> None:
    if not exchanges:
        monkeypatch.setattr(atomic, "_exchanged", no_exchange)
    vsr.upscale(frames, old, options(overwrite=True))
    assert names(old) == NEW
    assert not debris(tmp_path)


def test_a_report_adds_up_the_pictures_of_a_folder(
    make_clip: MakeClip, frames: Path, tmp_path: Path
) -> None:
    """A folder was reported with 0 bytes."""
    for source, target in (
        (frames, "large"),
        (make_clip(frames=2), "apart"),
        (frames / NEW[0], "a.png"),
    ):
        report = vsr.upscale(source, tmp_path / target, options(height=96))
        files = [tmp_path / target] if target == "a.png" else [*(tmp_path / target).iterdir()]
        assert report.bytes == sum(path.stat().st_size for path in files)


@pytest.mark.parametrize("failing", range(1, 3))
def test_a_rename_that_fails_leaves_the_old_folder_as_it_was(
    frames: Path, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    """The old one had been removed first: the new one then had no name, and was removed, too."""
    monkeypatch.setattr(atomic, "_exchanged", no_exchange)
    rename, calls = os.rename, 0

    def fails(source: Any, target: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        rename(source, target)

    monkeypatch.setattr(os, "rename", fails)
    with pytest.raises(
        StorageError, match=r"cannot write .*large: Device or resource busy"
    ) as busy:
        vsr.upscale(frames, old, options(overwrite=True))
    assert busy.value.hint == f"the finished pictures lie in {tmp_path / 'large.finished-1'}"
    assert (old / "old.png").read_bytes() == b"of another day"
    assert names(tmp_path / "large.finished-1") == NEW
    assert not debris(tmp_path)


def test_where_no_rename_works_any_more_the_old_folder_is_kept_for_the_next_run(
    frames: Path, old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "_exchanged", no_exchange)
    rename, calls = os.rename, 0

    def fails(source: Any, target: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, target)

    monkeypatch.setattr(os, "rename", fails)
    with pytest.raises(MediaError, match="cannot write"):
        vsr.upscale(frames, old, options(overwrite=True))
    monkeypatch.undo()
    assert names(tmp_path / ".large.vsr" / "pictures.old") == ["old.png"]
    vsr.upscale(frames, old, options(overwrite=True))
    assert names(old) == NEW
    assert not debris(tmp_path)


def test_a_second_run_on_a_target_of_pictures_is_refused_and_told_who_has_it(
    frames: Path, old: Path, tmp_path: Path
) -> None:
    """Two runs had filled one folder beside the target, and one removed it under the other."""
    still = tmp_path / "still.png"
    for source, target in ((frames, old), (frames / "000001.png", still)):
        with held(target):
            said = rf"another run is writing .*{target.name}: process {os.getpid()} on .+, for "
            with pytest.raises(OptionsError, match=said):
                vsr.upscale(source, target, options(overwrite=True))
    assert names(old) == ["old.png"]
    assert not debris(tmp_path)


@pytest.mark.parametrize("name", ["still.png", "large", "apart", "film.mp4"])
def test_a_target_that_another_run_made_before_it_gave_the_lock_away_stays(
    make_clip: MakeClip, frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A film was made all over, and then lay beside; pictures were replaced."""
    target = tmp_path / name
    file = target if target.suffix else target / "1.png"
    source = {"still.png": frames / NEW[0], "large": frames}.get(name) or make_clip(frames=2)

    def given_late(path: Path) -> Lock:
        lock = locked(path)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"another's")
        return lock

    monkeypatch.setattr(work_folder, "locked", given_late)
    monkeypatch.setattr(journal, "locked", given_late)
    with pytest.raises(StorageError, match="was made by another in the meantime"):
        vsr.upscale(source, target, options())
    assert file.read_bytes() == b"another's"
    assert not debris(tmp_path)
    assert not list(tmp_path.glob("*finished*"))
    assert vsr.upscale(source, target, options(overwrite=True)).frames


def test_an_exchange_that_fails_leaves_the_old_folder_as_it_was(
    frames: Path, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(atomic, "_exchanged", fails)
    with pytest.raises(MediaError, match="cannot write"):
        vsr.upscale(frames, old, options(overwrite=True))
    assert names(old) == ["old.png"]


def test_a_disk_that_is_mounted_is_no_folder_to_replace(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_mount(path: Path) -> bool:
        return path.name == "volume"

    (tmp_path / "volume").mkdir()
    monkeypatch.setattr(os.path, "ismount", is_mount)
    with pytest.raises(OptionsError, match=r"volume is where a disk is mounted"):
        vsr.upscale(frames, tmp_path / "volume", options())
    assert vsr.upscale(frames, tmp_path / "volume" / "large", options()).frames == 3


def test_a_folder_that_a_killed_run_had_moved_aside_gets_its_name_again(
    frames: Path, old: Path, tmp_path: Path
) -> None:
    (tmp_path / ".large.vsr" / "pictures").mkdir(parents=True, mode=0o700)
    old.rename(tmp_path / ".large.vsr" / "pictures.old")
    (frames / "000002.png").write_bytes(b"no picture")
    with pytest.raises(MediaError):
        vsr.upscale(frames, old, options(overwrite=True))
    assert names(old) == ["old.png"]
    assert not debris(tmp_path)


def test_an_old_folder_that_cannot_be_removed_stays_beside_and_the_new_one_is_there(
    frames: Path, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = shutil.rmtree

    def fails(path: Any, ignore_errors: bool = False) -> None:
        if (Path(path) / "old.png").exists():
            assert ignore_errors
            return
        remove(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", fails)
    vsr.upscale(frames, old, options(overwrite=True))
    assert names(old) == NEW


def test_pictures_are_on_the_disk_before_their_folder_has_its_name(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    vsr.upscale(frames, tmp_path / "large", options())
    parts = [name[1:].split(".png.")[0] for name in synced if name.endswith(".part")]
    assert [f"{part}.png" for part in parts] == NEW
    vsr.upscale(frames / "000001.png", tmp_path / "still.png", options())
    assert any(name.startswith(".still.png.") for name in synced)

"""Finding, measuring and decoding pictures; the cache and its bound."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vsr.errors import DataError
from vsr.geometry import Size
from vsr.media.read.rgb import files_in, read_rgb, size_of
from vsr.media.suffixes import TRAINING_PICTURE_SUFFIXES
from vsr.training.data import pictures
from vsr.training.data.pictures import Cache, scan


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "tiff"])
def test_sizes_come_from_headers_or_from_decoding(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    cv2.imwrite(str(path), np.full((30, 50, 3), 90, np.uint8))
    assert size_of(path) == Size(50, 30)
    assert np.abs(read_rgb(path).astype(int) - 90).max() <= 2


def test_sixteen_bits_are_rounded_to_eight(tmp_path: Path) -> None:
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16, 1).repeat(3, 2) * 257
    cv2.imwrite(str(tmp_path / "deep.png"), levels)
    assert (read_rgb(tmp_path / "deep.png")[..., 0] == np.arange(256).reshape(16, 16)).all()


def test_red_comes_first_and_gray_and_alpha_become_rgb(tmp_path: Path) -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 2] = 200  # OpenCV writes blue, green, red
    cv2.imwrite(str(tmp_path / "red.png"), red)
    assert read_rgb(tmp_path / "red.png")[0, 0].tolist() == [200, 0, 0]
    cv2.imwrite(str(tmp_path / "gray.png"), red[..., 2])
    assert read_rgb(tmp_path / "gray.png")[0, 0].tolist() == [200, 200, 200]
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([red, red[..., 2]]))
    assert read_rgb(tmp_path / "alpha.png").shape == (8, 8, 3)


def test_bursts_small_and_broken_pictures_are_sorted_out(tmp_path: Path) -> None:
    for name in ("film.png", "film+1.png", "film+2.png", "alone+1.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((40, 40, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((39, 90, 3), np.uint8))
    (tmp_path / "broken.png").write_bytes(b"no png")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    found, left_out = scan(files_in([tmp_path], TRAINING_PICTURE_SUFFIXES), 40)
    assert [picture.path.name for picture in found] == ["alone+1.png", "film.png"]
    assert [path.name for path in found[1].next] == ["film+1.png", "film+2.png"]
    assert {item.path.name for item in left_out} == {"small.png", "broken.png", "empty.jpg"}
    assert "90x39 is smaller than a crop of 40 px" in {item.reason for item in left_out}


def test_places_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file or folder"):
        files_in([tmp_path / "nothing"], TRAINING_PICTURE_SUFFIXES)


def test_a_truncated_picture_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:40])
    assert size_of(path) == Size(60, 60)  # the header is whole
    with pytest.raises(DataError, match=r"cut\.png"):
        read_rgb(path)


def test_the_cache_stays_within_its_bound_and_decodes_once(
    frames: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(frames.iterdir())
    one = read_rgb(paths[0]).nbytes
    cache = Cache(3 * one)
    for path in paths[:3] * 4:
        cache.get(path)
    assert (cache.decoded, cache.bytes) == (3, 3 * one)
    cache.get(paths[3])
    assert cache.bytes == 3 * one
    cache.get(paths[0])  # it was the least recently used, and had to go
    assert cache.decoded == 5

    def fail(path: Path) -> object:
        raise AssertionError(path)

    monkeypatch.setattr(pictures, "read_rgb", fail)
    with pytest.raises(ValueError, match="read-only"):
        cache.get(paths[0])[0, 0] = 0


def test_a_cache_of_nothing_still_gives_pictures(frames: Path) -> None:
    cache = Cache(0)
    assert cache.get(sorted(frames.iterdir())[0]).shape == (128, 144, 3)
    assert cache.bytes == 0

"""Pairs: aligned, reproducible, the same for any number of workers and processes."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.conftest import MakeClip
from tests.training.conftest import drawn
from vsr.degrade.catalog import CHAINS
from vsr.degrade.resize import bicubic
from vsr.errors import DataError
from vsr.events import Warned
from vsr.media.read.rgb import files_in
from vsr.media.suffixes import TRAINING_PICTURE_SUFFIXES
from vsr.training.data.gather import gather
from vsr.training.data.loader import Loader
from vsr.training.data.patches import PatchSource, Sampling, turned
from vsr.training.data.pictures import Cache, scan
from vsr.training.events import TrainingEvent
from vsr.training.options import TrainOptions
from vsr.training.ranks import Ranks
from vsr.training.recipes import resolve

CLEAN = Sampling(12, 4, 3, (1.0, 2.0), CHAINS["clean"], seed=5)
SHRINK = CHAINS["clean"][:1]
VIDEO = replace(CLEAN, chain=CHAINS["video"], reuse=4, slack=4)
REAL = replace(CLEAN, chain=CHAINS["real"], reuse=4, slack=4, sharp=True)


def source(frames: Path, sampling: Sampling = CLEAN, limit: int = 1 << 24) -> PatchSource:
    pictures, _ = scan(files_in([frames], TRAINING_PICTURE_SUFFIXES), 48)
    return PatchSource(pictures, sampling, Cache(limit))


def test_pairs_have_the_shapes_and_low_is_the_shrunk_high(frames: Path) -> None:
    (batch,) = source(frames, replace(CLEAN, chain=SHRINK)).group(0)
    assert batch.low.shape == (3, 3, 12, 12)
    assert batch.high.shape == (3, 3, 48, 48)
    assert batch.low.dtype == batch.high.dtype == torch.uint8
    again = bicubic(np.ascontiguousarray(batch.high.permute(0, 2, 3, 1).numpy()), 12, 12)
    np.testing.assert_array_equal(again, batch.low.permute(0, 2, 3, 1).numpy())


def test_every_step_is_different_and_every_run_the_same(frames: Path) -> None:
    first, second = source(frames), source(frames)
    for number in range(4):
        one, two = first.group(number)[0], second.group(number)[0]
        assert torch.equal(one.high, two.high)
        assert torch.equal(one.low, two.low)
    assert not torch.equal(first.group(0)[0].high, first.group(1)[0].high)
    other = source(frames, replace(CLEAN, seed=6)).group(0)[0]
    assert not torch.equal(first.group(0)[0].high, other.high)


def test_two_processes_see_together_what_one_sees_with_the_doubled_batch(frames: Path) -> None:
    whole = source(frames, replace(CLEAN, batch=6)).group(3)[0]
    parts = [
        source(frames, replace(CLEAN, offset=3 * rank, stride=6)).group(3)[0] for rank in (0, 1)
    ]
    assert torch.equal(whole.high, torch.cat([part.high for part in parts]))


@pytest.mark.parametrize("sampling", [CLEAN, VIDEO, REAL], ids=["clean", "video", "real"])
def test_workers_and_resuming_change_nothing(frames: Path, sampling: Sampling) -> None:
    made: list[list[torch.Tensor]] = []
    for workers, start in ((0, 0), (1, 0), (3, 0), (2, 3)):
        with Loader(source(frames, sampling), start=start, workers=workers) as loader:
            made.append([batch.high for batch in itertools.islice(loader, 7 - start)])
            assert loader.waited_seconds > 0
    for other in made[1:3]:
        assert all(torch.equal(one, two) for one, two in zip(made[0], other, strict=True))
    assert all(torch.equal(one, two) for one, two in zip(made[0][3:], made[3], strict=True))


def test_turns_are_the_eight_symmetries() -> None:
    picture = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    assert len({turned(picture, number).tobytes() for number in range(8)}) == 8


def test_video_pairs_are_aligned_and_damaged(frames: Path) -> None:
    groups = [source(frames, VIDEO).group(number) for number in range(3)]
    assert all(len(group) == 4 for group in groups)
    for batch in itertools.chain(*groups):
        assert batch.low.shape == (3, 3, 12, 12)
        assert batch.high.shape == (3, 3, 48, 48)
        clean = bicubic(np.ascontiguousarray(batch.high.permute(0, 2, 3, 1).numpy()), 12, 12)
        low = batch.low.permute(0, 2, 3, 1).numpy().astype(int)
        for mine, theirs in zip(low, clean.astype(int), strict=True):
            # Damaged, but the same place: nearer than any of the same patch turned around.
            off = [np.abs(mine - np.rot90(theirs, quarter)).mean() for quarter in range(4)]
            assert int(np.argmin(off)) == 0


def test_sharpened_targets_keep_the_plain_ones_beside_them(frames: Path) -> None:
    for batch in source(frames, REAL).group(0):
        assert batch.real is not None
        assert batch.high.shape == batch.real.shape == (3, 3, 48, 48)
        high, real = batch.high.float(), batch.real.float()
        steeper = [float(part.diff(dim=3).abs().mean()) for part in (high, real)]
        assert steeper[0] > steeper[1]
        assert float((high - real).abs().mean()) < 16  # the same place
    assert source(frames, VIDEO).group(0)[0].real is None


def test_low_is_made_of_the_sharpened_picture(frames: Path) -> None:
    shrunk = replace(REAL, chain=SHRINK, reuse=1, slack=0)
    (batch,) = source(frames, shrunk).group(0)
    low = batch.low.permute(0, 2, 3, 1).numpy().astype(int)
    assert batch.real is not None
    off: list[float] = []
    for target in (batch.high, batch.real):
        again = bicubic(np.ascontiguousarray(target.permute(0, 2, 3, 1).numpy()), 12, 12)
        off.append(float(np.abs(again - low)[:, 2:-2, 2:-2].mean()))
    assert off[0] < 0.3 < 1 < off[1]  # rounding alone, away from where the patch was cut


def test_real_consecutive_frames_are_used_where_they_are(tmp_path: Path) -> None:
    for number, name in enumerate(("a.png", "a+1.png", "a+2.png", "a+3.png", "a+4.png")):
        cv2.imwrite(str(tmp_path / name), np.full((128, 128, 3), 40 * number + 20, np.uint8))
    film = source(tmp_path, VIDEO)
    assert len(film.pictures) == 1
    levels = {
        int(high.float().mean()) for number in range(6) for high in film.group(number)[0].high
    }
    assert levels <= {20, 60, 100, 140, 180}
    assert len(levels) > 2


def test_pictures_that_do_not_fit_the_cache_are_visited_in_turns(frames: Path) -> None:
    one = 144 * 128 * 3
    small = source(frames, replace(CLEAN, shrink=(1.0, 1.0)), limit=4 * one)
    seen = 0
    for number in range(80):
        small.group(number)
        seen += CLEAN.batch
    assert small.cache.bytes <= 4 * one
    # Each visit of a shard of two pictures serves many crops: far fewer decodes than samples.
    assert small.cache.decoded <= seen / 8


def test_unreadable_pictures_are_left_out_counted_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    for name in ("good.png", "cut.png"):
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (64, 64, 3), np.uint8))
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:60])
    half = source(tmp_path)
    for number in range(5):
        assert half.group(number)[0].high.shape == (3, 3, 48, 48)
    assert [Path(path).name for path in half.damaged] == ["cut.png"]
    assert sum("cut.png" in record.message for record in caplog.records) == 1
    (tmp_path / "good.png").unlink()
    with pytest.raises(DataError, match="in a row could not be read"):
        source(tmp_path).group(0)


def test_a_picture_of_exactly_one_patch_is_enough_for_both_chains(tmp_path: Path) -> None:
    cv2.imwrite(
        str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 256, (48, 50, 3), np.uint8)
    )
    for sampling in (CLEAN, VIDEO, REAL):
        assert source(tmp_path, sampling).group(0)[0].high.shape == (3, 3, 48, 48)


@pytest.mark.parametrize("recipe", ["tiny", "video-tiny"])
def test_neither_what_is_measured_on_nor_what_a_run_draws_is_learnt(
    tmp_path: Path, recipe: str
) -> None:
    (tmp_path / "out" / "sheets").mkdir(parents=True)
    (tmp_path / "val").mkdir()
    for name in ("a.png", "b.png", "val/c.png", "out/loss.png", "out/sheets/0000000.png"):
        cv2.imwrite(str(tmp_path / name), drawn(1, 96, 96))
    with contextlib.chdir(tmp_path):  # absolute, and relative to here: the same places
        options = TrainOptions((tmp_path,), Path("out"), recipe=recipe, patch=12, val=Path("val"))
        told: list[TrainingEvent] = []
        found = gather(resolve(options), options, Ranks(), told.append)
    assert [one.path.name for one in found.pictures] == ["a.png", "b.png"]


def test_frames_are_of_the_videos_that_were_given(make_clip: MakeClip, tmp_path: Path) -> None:
    one, two = (
        make_clip(f"{name}.mp4", frames=4).replace(tmp_path / f"{name}.mp4") for name in "ab"
    )
    (tmp_path / "out").mkdir()
    told: list[TrainingEvent] = []

    def names(*videos: Path) -> list[str]:
        options = TrainOptions(videos, tmp_path / "out", recipe="tiny", patch=8)
        gather(resolve(options), options, Ranks(), told.append)
        return sorted(path.name for path in (tmp_path / "out" / "frames").glob("[ab]-*.png"))

    (first,) = names(one)
    kept = (tmp_path / "out" / "frames" / first).stat()
    assert names(one) == [first]
    assert (tmp_path / "out" / "frames" / first).stat() == kept  # it was not done again
    assert [name[0] for name in names(two)] == ["b"]
    (tmp_path / "c.mp4").write_bytes(b"no film at all")
    told.clear()
    assert [name[0] for name in names(two, tmp_path / "c.mp4")] == ["b"]
    assert any(isinstance(event, Warned) and "c.mp4" in event.message for event in told)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["frames"]

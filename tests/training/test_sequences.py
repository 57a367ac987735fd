"""Sequences: aligned in space and time, reproducible, of films and of pictures made to move."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from tests.training.conftest import drawn
from vsr.degrade.catalog import CHAINS
from vsr.degrade.noise import Specks
from vsr.degrade.resize import bicubic
from vsr.errors import DataError
from vsr.events import Warned
from vsr.media.read.rgb import files_in
from vsr.media.suffixes import TRAINING_PICTURE_SUFFIXES
from vsr.models.recurrent import warped
from vsr.training.data.frame_sequences import films_of, hold_out, numbered, scene_of_picture
from vsr.training.data.gather import gather
from vsr.training.data.pictures import Cache, scan
from vsr.training.data.sequences import SequenceSampling, SequenceSource
from vsr.training.data.synthetic_motion import film
from vsr.training.events import TrainingEvent
from vsr.training.options import TrainOptions
from vsr.training.ranks import Ranks
from vsr.training.recipes import resolve

PLAN = SequenceSampling(
    patch=12,
    scale=4,
    batch=3,
    chain=CHAINS["clean"][:1],
    lengths=((0, 2), (5, 4)),
    seed=3,
    specks=Specks(chance=0),
)


def moving(count: int = 8, side: int = 160) -> np.ndarray:
    picture = np.concatenate([drawn(3, 200, 240)] * 2, 1)
    return np.stack([picture[n : n + side, 4 * n : 4 * n + side] for n in range(count)])


def video(path: Path, frames: np.ndarray) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "5"})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv444p"
        for pixels in frames:
            shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            container.mux(stream.encode(shown))
        container.mux(stream.encode(None))
    return path


def pictures(folder: Path) -> SequenceSource:
    found, _ = scan(files_in([folder], TRAINING_PICTURE_SUFFIXES), 48)
    return SequenceSource([], found, PLAN, Cache(1 << 26))


def test_samples_are_aligned_and_motion_leads_back() -> None:
    source = SequenceSource([moving()], [], PLAN, Cache(0))
    for step in (0, 5):
        (batch,) = source.group(step)
        count = PLAN.length(step)
        assert count == (2, 4)[step == 5]
        assert batch.low.shape == (3, count, 3, 12, 12)
        assert batch.high.shape == (3, count, 3, 48, 48)
        assert batch.motion is not None
        assert batch.motion.shape == (3, count, 2, 12, 12)
        high = batch.high.flatten(0, 1).permute(0, 2, 3, 1).numpy()
        low = batch.low.flatten(0, 1).permute(0, 2, 3, 1).numpy()
        # Away from the patch's edges it is the shrunk original.
        off = np.abs(bicubic(high, 12, 12).astype(int) - low)[:, 3:-3, 3:-3]
        assert off.max() <= 1
        moved = warped(batch.low[:, 0].float(), batch.motion[:, 1].float() / 16)
        still = (batch.low[:, 1] - batch.low[:, 0].float())[..., 3:-3, 3:-3].abs().mean()
        assert (batch.low[:, 1] - moved)[..., 3:-3, 3:-3].abs().mean() < 0.5 * still
    assert not batch.motion[:, 0].any()


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_short_films_go_there_and_back_without_a_jump(count: int) -> None:
    plan = replace(PLAN, lengths=((0, 9),), batch=8)
    shades = 40 + 20 * np.arange(count, dtype=np.uint8)
    frames = np.broadcast_to(shades[:, None, None, None], (count, 140, 140, 3))
    source = SequenceSource([frames], [], plan, Cache(0))
    (batch,) = source.group(0)
    steps = batch.high[:, :, 0, 0, 0].int().diff(dim=1).abs()
    assert steps.shape == (8, 8)
    assert (steps == (20 if count > 1 else 0)).all()


def test_every_run_is_the_same_and_every_step_different(frames: Path) -> None:
    pytest.importorskip("av")
    one, two = pictures(frames), pictures(frames)
    for step in (0, 1, 7):
        first, second = one.group(step)[0], two.group(step)[0]
        assert torch.equal(first.low, second.low)
        assert torch.equal(first.high, second.high)
    assert not torch.equal(one.group(0)[0].high, one.group(1)[0].high)


def test_pictures_are_made_to_move_smoothly() -> None:
    rng = np.random.default_rng(5)
    picture = drawn(1, 300, 300)
    moved = 0
    for _ in range(12):
        frames = film([picture, drawn(2, 200, 200)], 5, 96, rng)
        assert frames.shape == (5, 96, 96, 3)
        steps = [float(np.abs(frames[t].astype(int) - frames[t - 1]).mean()) for t in range(1, 5)]
        moved += min(steps) > 0
    assert moved >= 8  # some stand still


def test_films_come_from_videos_and_numbered_frames_and_photographs_do_not(tmp_path: Path) -> None:
    video(tmp_path / "walk_0.mp4", moving(6))
    video(tmp_path / "walk_1.mp4", moving(6))
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    for number, pixels in enumerate(moving(5)):
        cv2.imwrite(str(tmp_path / f"frame{number:03d}.png"), pixels)
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"photo{number}.png"), drawn(number, 160, 160))
    found, _ = scan(files_in([tmp_path], TRAINING_PICTURE_SUFFIXES), 48)
    runs, single = numbered(found)
    assert sorted(map(len, runs)) == [4, 5]
    assert not single
    videos = sorted(tmp_path.glob("*.mp4"))
    films, single, left_out = films_of(videos, found, 1 << 28)
    assert sorted(len(one.frames) for one in films) == [5, 6, 6]
    assert sorted(one.path.stem for one in single) == [f"photo{number}" for number in range(4)]
    assert [one.path.name for one in left_out] == ["broken.mp4"]
    kept, held = hold_out([replace(films[1], scene=str(n)) for n in range(30)], 0)
    assert len(kept) == 27
    assert len(held) == 3
    scenes = {one.scene for one in films}
    assert "walk" in scenes  # both parts of it


@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_of_a_scene_that_is_measured_on_is_learnt(tmp_path: Path, seed: int) -> None:
    # One frame more than a stretch holds, and one stretch more than there is room for.
    scenes, room = {"a": 16, "b": 16, "c": 31}, 160 * 160 * 3 * 40
    for name, count in scenes.items():
        (tmp_path / name).mkdir()
        for number, pixels in enumerate(moving(count)):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), pixels)
    told: list[TrainingEvent] = []
    options = TrainOptions(
        (tmp_path,), tmp_path / "out", recipe="video-tiny", patch=16, cache=room, seed=seed
    )
    found = gather(resolve(options), options, Ranks(), told.append)
    (held,) = scenes.keys() - {Path(one.scene).name for one in found.films}
    assert {one.path.parent.name for one in found.pictures} == scenes.keys() - {held}
    assert not told


def test_films_of_too_few_scenes_flatter_and_it_is_said(tmp_path: Path) -> None:
    for number, pixels in enumerate(moving(4)):
        cv2.imwrite(str(tmp_path / f"{number}.png"), pixels)
    told: list[TrainingEvent] = []
    options = TrainOptions((tmp_path,), tmp_path / "out", recipe="video-tiny", patch=16)
    gather(resolve(options), options, Ranks(), told.append)
    (warning,) = told
    assert isinstance(warning, Warned)
    assert "films of 1 scene are too few" in warning.message


def cut_off(path: Path) -> None:
    """As a copy that was interrupted: the header alone is whole."""
    path.write_bytes(path.read_bytes()[:200])


def test_damaged_pictures_and_videos_are_left_out_and_told(tmp_path: Path) -> None:
    for number, pixels in enumerate(moving(8)):
        cv2.imwrite(str(tmp_path / f"run{number}.png"), pixels)
        cv2.imwrite(str(tmp_path / f"alone{'abcdefgh'[number]}.png"), drawn(number, 160, 160))
    cut_off(tmp_path / "run3.png")
    cut_off(tmp_path / "aloneb.png")
    (tmp_path / "film.mp4").write_bytes(b"no film at all")
    told: list[TrainingEvent] = []
    options = TrainOptions((tmp_path,), tmp_path / "out", recipe="video-tiny", patch=12)
    found = gather(resolve(options), options, Ranks(), told.append)
    assert {one.path.name for one in found.left_out} >= {"run3.png", "film.mp4"}
    names = {one.path.name for one in found.pictures}
    assert "run2.png" in names  # what is left of its run is no film, and is made to move
    assert "run3.png" not in names
    said = [event.message for event in told if isinstance(event, Warned)]
    assert any("2 files are left out: run3.png, film.mp4" in text for text in said)
    source = SequenceSource([], found.pictures, PLAN, Cache(1 << 26))
    for step in range(12):
        source.group(step)
    held_out = "aloneb.png" not in names
    assert held_out or [Path(path).name for path in source.damaged] == ["aloneb.png"]


def test_sequences_are_measured_on_what_val_names(tmp_path: Path) -> None:
    for name in ("film", "photos", "pairs/HR", "pairs/LR", "none"):
        (tmp_path / name).mkdir(parents=True)
    for number, pixels in enumerate(moving(4)):
        cv2.imwrite(str(tmp_path / "film" / f"{number}.png"), pixels)
    for name in "ab":
        cv2.imwrite(str(tmp_path / "photos" / f"{name}.png"), drawn(5, 96, 96))
        cv2.imwrite(str(tmp_path / "pairs" / "HR" / f"{name}.png"), drawn(5, 96, 96))
        cv2.imwrite(str(tmp_path / "pairs" / "LR" / f"{name}.png"), drawn(5, 24, 24))

    told: list[TrainingEvent] = []

    def names(val: str) -> list[str]:
        options = TrainOptions(
            (tmp_path / "film",),
            tmp_path / "out",
            recipe="video-tiny",
            patch=12,
            val=tmp_path / val,
        )
        held = gather(resolve(options), options, Ranks(), told.append).held
        return [pair.name for pair in held]

    assert names("photos") == ["a", "a", "b", "b"]  # clean and spoilt
    assert names("pairs") == ["a.png", "b.png"]
    with pytest.raises(DataError, match="holds no films and no pictures"):
        names("none")
    cut_off(tmp_path / "photos" / "a.png")
    assert names("photos") == ["b", "b"]


def test_folders_of_one_scene_are_held_out_together(tmp_path: Path) -> None:
    one, two = (scene_of_picture(tmp_path / f"name_{n}" / f"frame{n}.png") for n in (3, 4))
    assert one == two
    assert one != scene_of_picture(tmp_path / "name_3" / "other0.png")
    assert scene_of_picture(Path("0.png")) == scene_of_picture(Path("1.png"))


def test_extracted_pictures_of_one_video_are_of_one_scene() -> None:
    """The first frame of a burst was learnt, and the others of it were measured on."""
    names = ("film-00001200", "film-00001200+1", "film-00001200-0x64", "film-00003000-8x16+2")
    assert len({scene_of_picture(Path("frames", f"{name}.png")) for name in names}) == 1
    assert scene_of_picture(Path("frames/other-00001200+1.png")) != scene_of_picture(
        Path("frames/film-00001200+1.png")
    )


def test_specks_are_pure_colours_in_the_same_places_of_all_frames() -> None:
    frames = moving(3, 64)
    before = frames.copy()
    painted = 0
    for seed in range(20):
        made = Specks(chance=1)(frames, np.random.default_rng(seed))
        np.testing.assert_array_equal(frames, before)
        differs = (made != frames).any(3)
        painted += bool(differs.any())
        assert set(np.unique(made[differs])) <= {0, 255}
    assert painted >= 18
    assert Specks(chance=0)(frames, np.random.default_rng(0)) is frames

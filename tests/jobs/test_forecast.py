"""What is said before a night: speed, bytes and room, measured on frames that are really made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import vsr
from tests.conftest import MakeClip
from tests.test_event_rows import check
from vsr import api
from vsr.batch_options import BatchOptions
from vsr.errors import MediaError
from vsr.event_rows import Progress, as_row
from vsr.events import Event, Planned, Warned
from vsr.jobs.estimate import forecast as forecasting
from vsr.jobs.estimate.trial_run import TrialResult

FAST: dict[str, Any] = {"model": "nearest", "preset": "ultrafast", "device": "cpu"}


def options(**changed: Any) -> vsr.UpscaleOptions:
    return vsr.UpscaleOptions(**{**FAST, **changed})


def test_a_dry_run_measures_twenty_frames_and_writes_nothing(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    source, target = make_clip(frames=200, sound=True), tmp_path / "out.mp4"
    told = api.dry_run(source, target, options())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]
    assert (told.frames, told.measured_frames) == (200, 20)
    assert set(told.stage_seconds or {}) == {"decode", "enlarge", "encode"}
    assert told.expected_seconds is not None
    assert told.frames_per_second is not None
    assert told.expected_seconds == pytest.approx(200 / told.frames_per_second)
    assert told.target_bytes is not None
    assert told.disk_bytes is not None
    check(as_row(Planned(told), Progress()))
    report = vsr.upscale(source, target, options())
    assert report.bytes / 2 < told.target_bytes < report.bytes * 2
    assert report.bytes < told.disk_bytes


def test_short_videos_folders_of_frames_and_pictures_are_foreseen_too(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    told = api.dry_run(make_clip(frames=7), tmp_path / "out.mkv", options())
    assert (told.frames, told.measured_frames) == (7, 7)
    frames = tmp_path / "frames"
    vsr.upscale(make_clip("long.mp4", frames=70), frames, options(height=48))
    told = api.dry_run(frames, tmp_path / "film.mp4", options())
    assert (told.frames, told.measured_frames) == (70, 20)
    told = api.dry_run(frames / "000001.png", tmp_path / "large.png", options())
    assert (told.frames, told.frames_per_second, told.disk_bytes) == (1, None, None)


def test_a_cut_and_a_preview_are_foreseen_at_their_length(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    source = make_clip(frames=100)
    whole = api.dry_run(source, tmp_path / "out.mp4", options())
    for changed in ({"start": 1.0, "end": 3.0}, {"preview": 2.0}):
        part = api.dry_run(source, tmp_path / "out.mp4", options(**changed))
        assert part.frames == 50
        assert (part.target_bytes or 0) < (whole.target_bytes or 0)


def test_a_run_that_would_fill_the_disk_is_refused_unless_forced(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(folder: Path) -> int:
        assert folder.is_dir()
        return 1000

    monkeypatch.setattr(forecasting, "free_bytes", small)
    source, target = make_clip(frames=30), tmp_path / "out.mp4"
    told = api.dry_run(source, target, options())
    with pytest.raises(MediaError, match="1 kB are free"):
        api.check_enough(told)
    with pytest.raises(MediaError, match="1 kB are free") as caught:
        vsr.upscale(source, target, options())
    assert "--force" in str(caught.value.hint)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]
    report = vsr.upscale_batch([source], tmp_path / "out", options())
    assert [outcome.exit_code for outcome in report.outcomes] == [3]
    assert vsr.upscale(source, target, options(force=True)).frames == 30
    assert options(force=True).as_json() == options().as_json()  # it resumes what was begun without


def test_a_run_with_room_enough_for_frames_as_they_are_measures_nothing(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(forecasting, "trial_run")
    vsr.upscale(make_clip(), tmp_path / "out.mp4", options())


def test_segments_each_have_a_keyframe_and_stages_add_up_on_one_processor() -> None:
    measured = TrialResult(20, 0.1, 0.5, 0.2, 1000.0, 10.0, shared_processor=True)
    assert measured.seconds == pytest.approx(0.8)
    assert measured.bytes_of(250, 125) == 2 * 1000 + 248 * 10
    assert measured.bytes_of(251, 125) == 3 * 1000 + 248 * 10
    assert TrialResult(20, 0.1, 0.5, 0.2, 1.0, 1.0, shared_processor=False).seconds == 0.5


def test_a_dry_batch_plans_each_file_and_makes_no_folder(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    make_clip("in/a.mp4", frames=30)
    make_clip("in/b.mp4", frames=40)
    (folder / "c.mkv").write_text("no frames")
    events: list[Event] = []
    out = tmp_path / "out"
    several = BatchOptions(watch=True)
    report = vsr.upscale_batch([folder], out, options(), several, events.append, dry=True)
    assert [outcome.state for outcome in report.outcomes] == ["planned", "planned", "failed"]
    assert sum(isinstance(event, Planned) for event in events) == 2
    assert not out.exists()

    def small(folder: Path) -> int:
        del folder
        return 1000

    monkeypatch.setattr(forecasting, "free_bytes", small)
    with pytest.raises(MediaError, match="are free"):
        vsr.upscale_batch([folder], out, options(), dry=True)


def test_a_preview_is_so_long_has_its_sound_and_says_where_it_is(
    samples: Path, tmp_path: Path
) -> None:
    events: list[Event] = []
    target = tmp_path / "out.mkv"
    report = vsr.upscale(
        samples / "harbour.mkv", target, options(height=180, preview=0.5), events.append
    )
    assert report.frames in (12, 13)
    made = vsr.probe(target)
    assert [stream.type for stream in made.streams][:2] == ["video", "audio"]
    assert any(isinstance(event, Warned) and "a preview" in event.message for event in events)

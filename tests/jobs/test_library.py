"""What a library takes: the play on paper obeys arithmetic, the plan counts real files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import vsr
from tests import fork_server
from tests.conftest import MakeClip
from tests.jobs.test_run import options
from vsr import api
from vsr.errors import OptionsError
from vsr.jobs.estimate.library import Conditions, VideoWork, plan_library, simulate

NEAREST = api.chooser(options(model="nearest"))

CALM = Conditions(start_seconds=2.0, spread=0.0, stragglers=0.0, one_queue=False)
QUEUE = Conditions(start_seconds=2.0, spread=0.0, stragglers=0.0, one_queue=True)
LONG = VideoWork(frames=1250, segment_frames=125, frame_seconds=0.1, serial_seconds=3.0)
SHORT = VideoWork(frames=50, segment_frames=125, frame_seconds=0.1, serial_seconds=1.0)


def test_where_nothing_varies_it_is_arithmetic() -> None:
    assert simulate([LONG], 1, CALM).seconds == pytest.approx(2 + 125 + 3)
    assert simulate([LONG], 5, CALM).seconds == pytest.approx(2 + 25 + 3)
    assert simulate([LONG], 4, CALM).seconds == pytest.approx(2 + 3 * 12.5 + 3)  # ten among four
    assert simulate([LONG, LONG], 5, CALM).seconds == pytest.approx(2 + 2 * (25 + 3))
    assert simulate([LONG], 5, CALM).utilisation == pytest.approx(125 / (5 * 30))


def test_short_files_need_one_queue_to_be_shared() -> None:
    one, many = ([simulate([SHORT] * 20, count, given).seconds for count in (1, 10)]
                 for given in (CALM, QUEUE))  # fmt: skip
    assert one[0] == one[1] == pytest.approx(2 + 20 * (5 + 1))
    assert many[0] == pytest.approx(2 + 20 * 5 + 1)
    assert many[1] == pytest.approx(2 + 5 + 20 * 1)  # what one process does alone is left


@pytest.mark.parametrize("queue", [False, True])
def test_no_number_of_workers_beats_what_cannot_be_shared(queue: bool) -> None:
    videos = [LONG, SHORT, SHORT, LONG] * 3
    given = Conditions(one_queue=queue)
    serial = sum(video.serial_seconds for video in videos)
    times = [simulate(videos, count, given) for count in (1, 3, 30, 1000)]
    for simulated in times:
        assert simulated.seconds > serial
        assert 0 < simulated.utilisation <= 1
    assert [simulated.seconds for simulated in times] == sorted(
        (simulated.seconds for simulated in times), reverse=True
    )


def test_a_real_folder_is_counted_and_priced(make_clip: MakeClip, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    shutil.move(make_clip(frames=40, sound=True), folder / "a.mp4")
    shutil.move(make_clip(frames=24), folder / "b.mp4")
    (folder / "torn.mp4").write_bytes(b"no video")
    before = sorted(path.name for path in folder.iterdir())
    made = plan_library(
        [folder],
        NEAREST,
        options(),
        vsr.BatchOptions(),
        (1, 2),
        3600.0,
    )
    assert (made.files, made.left_out, made.frames) == (2, 1, 64)
    assert made.hours * 3600 == pytest.approx(64 / 25)
    assert made.target_bytes > 0
    for row in made.scenarios:
        assert row.cost == pytest.approx(row.workers * row.seconds)
        assert 0 < row.utilisation <= 1
    assert sorted(path.name for path in folder.iterdir()) == before


def test_what_cannot_be_planned_is_one_error(tmp_path: Path, make_clip: MakeClip) -> None:
    with pytest.raises(OptionsError, match="nothing to do"):
        plan_library([tmp_path], NEAREST, options(), vsr.BatchOptions(), (1,))
    source = make_clip()
    for workers, price, match in (((0,), None, "workers"), ((1,), -1.0, "price")):
        with pytest.raises(OptionsError, match=match):
            plan_library(
                [source],
                NEAREST,
                options(),
                vsr.BatchOptions(),
                workers,
                price,
            )


def test_the_command_tells_it_in_json(make_clip: MakeClip) -> None:
    arguments = ["plan", str(make_clip()), "--workers", "3", "--model", "nearest", "--json"]
    done = fork_server.vsr(*arguments)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["files"] == 1
    assert [scenario["workers"] for scenario in row["scenarios"]] == [3]

"""What `--model auto` takes: by kind and state of the source, the same whoever asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest

import vsr
from tests.conftest import MakeClip, picture
from tests.marks import usually
from vsr import api
from vsr.batch_options import BatchOptions
from vsr.choice import LARGE_PIXELS, Choice, choose
from vsr.events import Event, Finished, Warned
from vsr.media.condition import Condition
from vsr.options import UpscaleOptions
from vsr.weights import index

CPU = UpscaleOptions(device="cpu", preset="ultrafast")


def condition(**changed: Any) -> Condition:
    usual: dict[str, Any] = {"step": 2.0, "share": None, "blockiness": 1.1, "crossing": 1.1}
    usual["noise"] = 1.0
    return Condition("h264", 12, 0, **{**usual, **changed})


@pytest.mark.parametrize(
    ("kind", "found", "model"),
    [
        ("video", condition(), "compact"),
        ("video", condition(step=12.0), "video"),
        ("video", condition(step=None, share=1.5), "compact"),
        ("video", condition(step=None, share=0.5), "video"),
        ("video", condition(blockiness=2.0), "video"),
        ("video", condition(noise=14.0), "video"),
        ("video", None, "video"),
        ("picture", condition(step=None), "compact"),
        ("picture", condition(step=4.0), "compact"),
        ("picture", condition(step=6.0), "compact-video"),
        ("picture", condition(step=None, blockiness=2.0), "compact-video"),
    ],
)
def test_the_table(kind: Any, found: Condition | None, model: str) -> None:
    choice = choose(kind, found)
    assert choice.model == model
    assert choice.why
    assert "--model NAME takes another" in str(choice)


def test_each_kind_of_source_has_one_default_and_auto_without_one_is_for_clean_pictures() -> None:
    told = {row["name"]: row.get("default_for", []) for row in api.list_models()}
    assert told["video"] == ["compressed videos"]
    assert told["compact"] == ["clean videos", "clean pictures"]
    assert told["tiny"] == ["large clean videos on a CPU"]
    assert told["video-tiny"] == ["large compressed videos on a CPU"]
    assert told["srgan"] == []
    assert vsr.load().name == "compact"


def test_large_and_clean_videos_get_the_quickest_on_a_cpu_alone() -> None:
    large = LARGE_PIXELS + 1
    assert choose("video", condition(), pixels=large, on_cpu=True).model == "tiny"
    assert choose("video", condition(), pixels=large, on_cpu=False).model == "compact"
    assert choose("picture", condition(), pixels=large, on_cpu=True).model == "compact"
    assert choose("video", None, pixels=large, on_cpu=True).model in index()


def test_natural_clips_agree_with_what_was_measured_on_them(media: Path) -> None:
    """`vsr compare --shrink` finds compact the nearest on all five; one of them is too coarse."""
    found = [
        api.model_of(CPU, path, "out.mkv").model for path in sorted((media / "clips").iterdir())
    ]
    assert len(found) == 5
    assert found.count("compact") >= 4


def test_files_of_both_kinds(make_clip: MakeClip, tmp_path: Path) -> None:
    clean = make_clip("clean.mkv", size=(96, 64), options={"crf": "6"})
    poor = make_clip("poor.mkv", size=(96, 64), options={"crf": "30"})
    cv2.imwrite(str(tmp_path / "fine.png"), picture(96, 64, 0.0))
    for source, target, model in (
        (clean, "out.mkv", "compact"),
        (poor, "out.mkv", "video"),
        (tmp_path / "fine.png", "out.png", "compact"),
    ):
        assert api.model_of(CPU, source, tmp_path / target).model == model
    named = UpscaleOptions(model="tiny", device="cpu")
    assert api.model_of(named, poor, "out.mkv") == Choice("tiny")


def test_a_run_says_what_it_chose_and_why(make_clip: MakeClip, tmp_path: Path) -> None:
    poor = make_clip("poor.mkv", size=(48, 32), frames=3, options={"crf": "30"})
    told: list[Event] = []
    vsr.upscale(poor, tmp_path / "large.mkv", CPU, told.append)
    lines = [event.message for event in told if isinstance(event, Warned)]
    assert (
        sum("model video: a video, compressed (h264, quantiser step" in line for line in lines) == 1
    )
    assert next(e for e in told if isinstance(e, Finished)).report.model == "video"


@pytest.mark.parametrize("devices", usually([None], [None, "cpu:2"]))
def test_each_file_of_a_folder_gets_its_own(
    make_clip: MakeClip, tmp_path: Path, devices: str | None
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, crf in (("a.mkv", "30"), ("b.mkv", "6"), ("c.mkv", "31")):
        clip = make_clip(name, size=(48, 32), frames=3, options={"crf": crf})
        clip.rename(folder / name)
    options = UpscaleOptions(
        device="auto" if devices else "cpu", devices=devices, preset="ultrafast"
    )
    told: list[Event] = []
    out = tmp_path / "out"
    report = api.upscale_batch([folder], out, options, BatchOptions(name="{stem}_{model}{suffix}"),
                               told.append)  # fmt: skip
    assert report.count("finished") == 3
    made = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    assert made == {"a_video.mkv", "b_compact.mkv", "c_video.mkv"}
    again = api.upscale_batch([folder], out, options, BatchOptions(name="{stem}_{model}{suffix}"))
    assert again.count("skipped") == 3


def test_a_comparison_says_what_auto_would_take(make_clip: MakeClip) -> None:
    source = make_clip(size=(128, 96), frames=3, options={"crf": "20"})
    for crf, name in ((None, "auto (compact)"), (23.0, "auto (video)")):
        options = vsr.CompareOptions(shrink=True, crf=crf, device="cpu", metrics=("psnr",))
        found = vsr.compare(source, options=options, models=["bicubic", "auto"])
        assert [track.name for track in found.tracks] == ["bicubic", name]

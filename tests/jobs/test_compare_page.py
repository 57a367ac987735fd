"""``upscale`` with a page of frames before and after, written without reading the source again."""

from __future__ import annotations

import base64
import json
import os
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import vsr
from tests.conftest import MakeClip, picture
from vsr.errors import OptionsError
from vsr.evaluation.frame_sampler import FrameSampler
from vsr.events import Event, Warned
from vsr.media.read.reader import Reader
from vsr.options import UpscaleOptions
from vsr.report.front import ReportTargets


def data_of(page: Path) -> Any:
    found = re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.S)
    assert found is not None
    return json.loads(found[1])


def options(page: Path, **more: Any) -> UpscaleOptions:
    return UpscaleOptions(model="lanczos", device="cpu", preset="ultrafast", compare=page, **more)


def test_some_frames_of_a_film_before_and_after(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=24)
    reads = 0
    original = Reader.__iter__

    def counted(self: Reader) -> Any:
        nonlocal reads
        reads += 1
        return original(self)

    monkeypatch.setattr(Reader, "__iter__", counted)
    report = vsr.upscale(clip, tmp_path / "out.mp4", options(tmp_path / "page.html"))
    assert reads == 1
    assert report.frames == 24
    found = data_of(tmp_path / "page.html")
    assert found["films"] == ["source pixels", "bicubic", "lanczos"]
    assert len(found["frames"]) == 8
    assert sorted(frame["time"] for frame in found["frames"]) == [3 * n + 1 for n in range(8)]
    assert (found["frames"][0]["width"], found["frames"][0]["height"]) == (256, 192)


def test_a_name_that_is_no_utf_8_is_shown_by_its_numbers(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    clip = make_clip(frames=2).rename(tmp_path / os.fsdecode(b"\xff.mp4"))
    vsr.upscale(clip, tmp_path / "out.mp4", options(page))
    assert "\\udcff.mp4" in page.read_text(encoding="utf-8")
    table = tmp_path / "table.csv"
    vsr.compare(clip, [clip], targets=ReportTargets(csv=table))
    assert "\\udcff.mp4" in table.read_text(encoding="utf-8")


def test_no_report_replaces_what_it_is_about(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, target = make_clip(frames=2), tmp_path / "out.mp4"
    before = clip.read_bytes()
    (tmp_path / "link.mp4").symlink_to(clip)
    for page in (clip, tmp_path / "link.mp4", target, tmp_path / "pytest/../out.mp4"):
        (tmp_path / "pytest").mkdir(exist_ok=True)
        with pytest.raises(OptionsError, match="is what the report is about"):
            vsr.upscale(clip, target, options(page, overwrite=True))
    with pytest.raises(OptionsError, match="is what the report is about"):
        vsr.compare(clip, [clip], targets=ReportTargets(csv=clip, overwrite=True))
    assert clip.read_bytes() == before
    assert not target.exists()
    frames = tmp_path / "frames"
    frames.mkdir()
    cv2.imwrite(str(frames / "1.png"), picture(20, 16, 1))
    with pytest.raises(OptionsError, match="is what the report is about"):
        vsr.compare(frames, [frames], targets=ReportTargets(sheet=frames / "1.png", overwrite=True))


def test_what_is_shown_is_what_was_made(tmp_path: Path) -> None:
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture(20, 16, number))
    for number in range(2):  # one picture at a time: a page each
        page, made = tmp_path / f"page{number}.html", tmp_path / f"made{number}.png"
        vsr.upscale(tmp_path / f"{number}.png", made, options(page))
        frame = data_of(page)["frames"][0]
        assert frame["label"] == "frame 0"
        shown = base64.b64decode(frame["pictures"][-1].split(",")[1])
        pixels = cv2.imdecode(np.frombuffer(shown, np.uint8), cv2.IMREAD_COLOR)
        assert (np.asarray(pixels) == np.asarray(cv2.imread(str(made)))).all()


def test_a_page_is_refused_before_the_work_and_missed_after_a_resume(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    clip, page = make_clip(frames=3), tmp_path / "page.html"
    page.write_text("precious")
    with pytest.raises(OptionsError, match="exists already"):
        vsr.upscale(clip, tmp_path / "out.mp4", options(page))
    assert not (tmp_path / "out.mp4").exists()
    assert FrameSampler("lanczos").is_empty
    with pytest.raises(OptionsError, match="for one source"):
        vsr.upscale_batch([clip], tmp_path / "many", options(tmp_path / "other.html"))
    events: list[Event] = []
    vsr.upscale(clip, tmp_path / "out.mp4", options(page, overwrite=True), events.append)
    assert not any(isinstance(event, Warned) for event in events)
    assert data_of(page)["films"][-1] == "lanczos"

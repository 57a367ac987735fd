"""A decoder on a graphics card that is not there costs a line, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
import torch

import vsr
from tests.conftest import MakeClip
from vsr.events import Event, Warned
from vsr.jobs.video import plan as planning
from vsr.jobs.video.segments import on_device
from vsr.media.read import hardware
from vsr.media.read.hardware import refusal
from vsr.options import UpscaleOptions
from vsr.weights import load


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card here")
def test_a_missing_card_is_told_in_a_line_and_the_film_is_the_same(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_clip()
    options = vsr.UpscaleOptions(model="bicubic", preset="ultrafast")
    vsr.upscale(source, tmp_path / "calm.mp4", options)

    def card(name: str) -> torch.device:
        del name
        return torch.device("cuda")

    monkeypatch.setattr(planning, "pick", card)  # the plan believes in a card
    told: list[Event] = []
    vsr.upscale(source, tmp_path / "out.mp4", options, told.append)
    lines = [event.message for event in told if isinstance(event, Warned)]
    assert [line for line in lines if line.startswith("decoded on the CPU: cuda:0 does not (")]
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "calm.mp4").read_bytes()
    off = vsr.UpscaleOptions(model="bicubic", preset="ultrafast", hwaccel="off", overwrite=True)
    told.clear()
    vsr.upscale(source, tmp_path / "out.mp4", off, told.append)
    assert not [event for event in told if isinstance(event, Warned)]


def test_a_device_that_has_no_decoder_is_refused(make_clip: MakeClip) -> None:
    assert "no decoder" in refusal(vsr.probe(make_clip()), "drm")


class Opened:
    """A file opened for a card, whose decoder says that it is accelerated, whatever it does."""

    def __init__(self, pix_fmt: str) -> None:
        self.streams = [SimpleNamespace(codec_context=SimpleNamespace(is_hwaccel=True))]
        self._frame = av.VideoFrame(64, 48, pix_fmt)

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def decode(self, stream: object) -> Any:
        del stream
        yield self._frame


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuvj420p", "nv12", "p010le"])
def test_what_fell_back_to_software_is_no_decoder(
    pix_fmt: str, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = vsr.probe(make_clip())

    def opened(*rest: object, **options: object) -> Opened:
        del rest, options
        return Opened(pix_fmt)

    monkeypatch.setattr(hardware, "open_file", opened)
    assert bool(refusal(info, "cuda:0")) == pix_fmt.startswith("yuv")


def test_readers_share_the_context_of_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    current: list[int] = []
    asked: list[dict[str, Any]] = []

    def accelerated(kind: str, index: str | None, **options: Any) -> None:
        asked.append({"kind": kind, "index": index, "there": list(current), **options})

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1, 1))
    monkeypatch.setattr(hardware, "HWAccel", accelerated)
    hardware.accelerator("cuda:1")
    assert [(one["kind"], one["index"], one["flags"]) for one in asked] == [("cuda", "1", 2)]
    assert asked[0]["there"] == [1]  # made this thread's own before


def test_every_worker_decodes_and_encodes_on_its_own_card(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opens(*rest: object) -> None:
        del rest

    monkeypatch.setattr(planning, "check_opens", opens)  # here is no such encoder
    options = UpscaleOptions(model="bicubic", codec="hevc_nvenc")
    plan = planning.make_plan(make_clip(), tmp_path / "out.mkv", options, load("bicubic"))
    plan = replace(plan, hwaccel="cuda:0")
    for name in ("cuda:0", "cuda:3"):
        mine = on_device(plan, torch.device(name))
        assert mine.hwaccel == name
        assert dict(mine.encoding.options)["gpu"] == name[-1]
    assert on_device(plan, torch.device("cuda")).hwaccel == "cuda:0"
    software = replace(plan, hwaccel=None)
    assert on_device(software, torch.device("cuda:3")).hwaccel is None
    assert on_device(plan, torch.device("cpu")) == plan
    asked = UpscaleOptions(
        model="bicubic", codec="hevc_nvenc", encoder_options=(("gpu", "2"),), overwrite=True
    )
    told = planning.make_plan(plan.info.path, tmp_path / "out.mkv", asked, load("bicubic"))
    assert dict(on_device(told, torch.device("cuda:3")).encoding.options)["gpu"] == "2"

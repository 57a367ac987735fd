"""A run goes on with the arithmetic that it began with, or not at all; GPUs as torch sees them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import vsr
from tests.conftest import MakeClip
from vsr.errors import OptionsError, Stopped
from vsr.events import Event, SegmentDone
from vsr.infer import device as devices
from vsr.infer.device import Placement
from vsr.infer.engine import Engine
from vsr.jobs.video import run as running
from vsr.jobs.video.journal import folder_of
from vsr.jobs.video.plan import make_plan
from vsr.jobs.video.run import run
from vsr.jobs.workers.devices import kind_of
from vsr.options import UpscaleOptions
from vsr.weights import load

CARD = "cuda fp16 on NVIDIA H200 (sm_90), CUDA 13.0, cuDNN 91002"


def test_the_kind_of_a_gpu_names_model_and_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    def name(device: object) -> str:
        del device
        return "NVIDIA H200"

    def capability(device: object) -> tuple[int, int]:
        del device
        return 9, 0

    monkeypatch.setattr(torch.cuda, "get_device_name", name)
    monkeypatch.setattr(torch.cuda, "get_device_capability", capability)
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    for index in ("cuda", "cuda:0", "cuda:5"):
        placement = Placement(torch.device(index), torch.float16, channels_last=True)
        assert kind_of(placement) == CARD
    assert kind_of(replace(placement, device=torch.device("cpu"))) == "cpu fp16"


class VideoWork:
    """A film of three segments, and what is free on the card that it is enlarged on."""

    def __init__(self, make_clip: MakeClip, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.source, self.target = make_clip(frames=260, size=(96, 64)), folder / "out.mp4"
        self.card, self._patch = CARD, monkeypatch

        def kind(placement: object) -> str:
            del placement
            return self.card

        monkeypatch.setattr(running, "kind_of", kind)

    def windows(self, free: int, *, stop: bool = False) -> tuple[list[int], int]:
        """Run, stopped after a segment or not; the sides of the last tiles, and the batch."""

        def budget(*rest: object, **options: object) -> int:
            del rest, options
            return free

        self._patch.setattr(devices, "budget", budget)
        options = UpscaleOptions(model="bicubic", device="cpu", preset="ultrafast", reuse="off")
        upscaler = load("bicubic")
        engine = Engine(upscaler, options.engine)
        plan = make_plan(self.source, self.target, options, upscaler)
        told: list[Event] = []

        def enough() -> bool:
            return stop and any(isinstance(event, SegmentDone) for event in told)

        if stop:
            with pytest.raises(Stopped):
                run(plan, engine, options, told.append, enough)
        else:
            run(plan, engine, options, told.append, enough)
        latest = engine._placed.sizes.latest  # pyright: ignore[reportPrivateUsage]  # nothing else tells
        assert latest is not None
        return [latest[0].window.width, latest[0].window.height], latest[1]


@pytest.mark.extended
def test_tiles_are_those_that_the_run_began_with(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = VideoWork(make_clip, tmp_path, monkeypatch)
    began, _ = film.windows(3_000_000, stop=True)
    head = json.loads((folder_of(film.target) / "journal.jsonl").read_text().split("\n")[0])
    assert head["torch"] == torch.__version__
    assert head["placement"] == CARD
    assert head["tiling"][0] == max(began)
    assert film.windows(1 << 30)[0] == began  # though memory had become free
    film.target.unlink()
    assert film.windows(1 << 30)[0] != began


def test_another_card_does_not_go_on(
    make_clip: MakeClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = VideoWork(make_clip, tmp_path, monkeypatch)
    film.windows(1 << 30, stop=True)
    film.card = CARD.replace("H200", "A100")
    with pytest.raises(OptionsError, match=r"H200.*A100"):
        film.windows(1 << 30)
    film.card = CARD
    film.windows(1 << 30)
    assert vsr.probe(film.target).frames == 260

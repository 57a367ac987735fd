"""A decoder on a graphics card that is not there costs a line, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import vsr
from tests.conftest import MakeClip
from vsr.events import Event, Warned
from vsr.jobs import plan as planning
from vsr.media.hardware import refusal


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

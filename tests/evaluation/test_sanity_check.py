"""The look before a long run: bad weights are named, good ones are not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.models import published
from vsr import UpscaleOptions, api, weights
from vsr.batch_options import BatchOptions
from vsr.evaluation import inspection
from vsr.evaluation.sanity_check import sanity_check
from vsr.events import Event, Warned
from vsr.infer.engine import Engine
from vsr.models.catalog import ARCHS
from vsr.options import EngineOptions

ONCE = EngineOptions(dtype="fp32", device="cpu")


def untrained(folder: Path) -> dict[str, Path]:
    """Networks that learnt nothing, of each kind, by their own first weights and by random ones."""
    torch.manual_seed(5)
    states = {
        "rrdb": ARCHS["rrdb"].module({"features": 16, "blocks": 1, "growth": 8}).state_dict(),
        "rrdb-x1": published.rrdb("old", ups=0),
        "rrdb-x2": published.rrdb("real-esrgan", unshuffle=2),
        "srvgg": published.srvgg(seed=7),
        "srresnet": ARCHS["srresnet"].module({"features": 16, "blocks": 1}).state_dict(),
    }
    paths = {name: folder / f"{name}.pth" for name in states}
    for name, state in states.items():
        torch.save(state, paths[name])
    return paths


def test_untrained_networks_lose_and_all_of_ours_pass(samples: Path, tmp_path: Path) -> None:
    source = samples / "harbour.mkv"
    for name, path in untrained(tmp_path).items():
        verdict = sanity_check(Engine(weights.load(path), ONCE), source)
        assert verdict is not None
        assert verdict.loses == (name != "srvgg"), f"{name}: {verdict}"
    for name in ("tiny", "srgan", "nearest"):
        verdict = sanity_check(Engine(weights.load(name), ONCE), source)
        assert verdict is not None
        assert not verdict.loses, f"{name}: {verdict}"


def warned(samples: Path, target: Path, options: UpscaleOptions) -> list[str]:
    events: list[Event] = []
    if target.suffix:
        api.upscale(samples / "chart.mp4", target, options, events.append)
    else:
        api.upscale_batch([samples / "chart.mp4"], target, options, BatchOptions(), events.append)
    return [event.message for event in events if isinstance(event, Warned)]


@pytest.mark.parametrize("target", ["out.mkv", "folder"])
def test_a_stranger_s_weights_are_looked_at_before_the_night_is_spent(
    target: str, samples: Path, tmp_path: Path
) -> None:
    path = untrained(tmp_path)["rrdb-x1"]
    out = tmp_path / target
    notes = warned(samples, out, UpscaleOptions(model=str(path), end=0.1, preset="ultrafast"))
    assert any("rrdb-x1 does worse than bicubic on this footage" in note for note in notes)


@pytest.mark.extended
def test_the_look_can_be_asked_for_and_left_out(samples: Path, tmp_path: Path) -> None:
    path, out = untrained(tmp_path)["rrdb-x1"], tmp_path / "out.mkv"
    options = UpscaleOptions(
        model=str(path), end=0.1, preset="ultrafast", overwrite=True, check_model=False
    )
    assert not any("worse" in note for note in warned(samples, out, options))
    ours = tmp_path / "ours.safetensors"
    weights.save_stored(ours, weights.read(path))
    assert not weights.load(ours).foreign
    for asked, told in ((None, False), (True, True)):
        options = UpscaleOptions(
            model=str(ours), end=0.1, preset="ultrafast", overwrite=True, check_model=asked
        )
        assert any("worse" in note for note in warned(samples, out, options)) == told


def test_pictures_too_small_to_judge_are_let_through(tmp_path: Path) -> None:
    import cv2
    import numpy as np

    cv2.imwrite(str(tmp_path / "in.png"), np.zeros((9, 30, 3), np.uint8))
    path = untrained(tmp_path)["rrdb"]
    api.upscale(tmp_path / "in.png", tmp_path / "out.png", UpscaleOptions(model=str(path)))
    assert (tmp_path / "out.png").exists()


def test_inspection_counts_what_the_formulae_say(samples: Path, tmp_path: Path) -> None:
    state = published.srvgg(layers=2, features=8)
    torch.save(state, tmp_path / "net.pth")
    found = inspection.inspect(str(tmp_path / "net.pth"), ONCE, samples / "harbour.mkv")
    assert found.hparams["layers"] == 2
    base = 48  # pixels are repeated by a convolution, too
    assert found.multiply_adds_per_pixel == 9 * (3 * 8 + 8 * 8 * 2 + 8 * 48) + base
    assert found.parameters == sum(value.numel() for value in state.values())
    assert found.receptive_field_px == 2 * 4 + 1
    # The enlarged picture in float32 once or twice, beside the features: no less, not much more.
    assert 48 * 4 <= found.bytes_per_megapixel / 1e6 <= 5 * 48 * 4
    assert found.milliseconds > 0
    assert found.verdict is not None
    assert found.verdict.crops == 3

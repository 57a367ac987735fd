"""Networks made of networks: blends, the denoising pair, and chains. And very deep ones, tiled."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.conftest import MakeClip
from tests.models import published
from vsr import UpscaleOptions, api, weights
from vsr.errors import OptionsError, WeightsError
from vsr.events import Event, Warned
from vsr.infer.engine import Engine
from vsr.models.adapters import chain
from vsr.models.arch import FADED_OVERLAP, MAX_EXACT_HALO, Upscaler
from vsr.options import EngineOptions
from vsr.weights.blend import blend


def saved(path: Path, state: published.State) -> Path:
    torch.save({"params": state}, path)
    return path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return (
        saved(tmp_path / "realesr-general-x4v3.pth", published.srvgg(seed=1)),
        saved(tmp_path / "realesr-general-wdn-x4v3.pth", published.srvgg(seed=2)),
    )


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_a_blend_is_the_paper_s_sum(alpha: float, pair: tuple[Path, Path], tmp_path: Path) -> None:
    made = blend(weights.read(pair[0]), weights.read(pair[1]), alpha)
    target = tmp_path / "mixed.safetensors"
    weights.save_stored(target, made)
    first, second = published.srvgg(seed=1), published.srvgg(seed=2)
    mixed = {key: (1 - alpha) * value + alpha * second[key] for key, value in first.items()}
    pixels = torch.rand(1, 3, 9, 8)
    network = weights.load(target)
    with torch.inference_mode():
        torch.testing.assert_close(network.module(pixels), published.run_srvgg(mixed, pixels))
    assert network.arch == "compact"
    assert f"{alpha:g} x realesr-general-wdn-x4v3" in network.card["about"]
    with pytest.raises(OptionsError, match="exists already"):
        weights.save_stored(target, made)


def test_what_is_of_other_shapes_is_not_blended(pair: tuple[Path, Path], tmp_path: Path) -> None:
    other = saved(tmp_path / "other.pth", published.srvgg(layers=2))
    with pytest.raises(WeightsError, match="cannot be blended"):
        blend(weights.read(pair[0]), weights.read(other), 0.5)
    with pytest.raises(OptionsError, match="alpha"):
        blend(weights.read(pair[0]), weights.read(pair[1]), 1.5)


@pytest.mark.parametrize("strength", [1.0, 0.0, 0.3])
@pytest.mark.parametrize("named", [0, 1])
def test_denoise_moves_between_the_published_twins(
    strength: float, named: int, pair: tuple[Path, Path]
) -> None:
    strong, weak = published.srvgg(seed=1), published.srvgg(seed=2)
    # dni_weight = [strength, 1 - strength] on (x4v3, wdn-x4v3), as Real-ESRGAN's script has it
    mixed = {key: strength * strong[key] + (1 - strength) * weak[key] for key in strong}
    network = weights.load(pair[named], denoise=strength)
    pixels = torch.rand(1, 3, 7, 8)
    with torch.inference_mode():
        torch.testing.assert_close(network.module(pixels), published.run_srvgg(mixed, pixels))


def test_denoise_says_what_it_needs(pair: tuple[Path, Path], tmp_path: Path) -> None:
    pair[1].unlink()
    with pytest.raises(WeightsError, match="there is no"):
        weights.load(pair[0], denoise=0.5)
    for other in ("compact", str(saved(tmp_path / "net.pth", published.srvgg()))):
        with pytest.raises(OptionsError, match="is for realesr-general"):
            weights.load(other, denoise=0.5)


def networks(tmp_path: Path) -> list[Upscaler]:
    """Factors 1 on cells of 4, 2 on cells of 2, and 3."""
    states = {
        "one": published.rrdb("real-esrgan", blocks=1, unshuffle=4, seed=1),
        "two": published.rrdb("real-esrgan", blocks=1, unshuffle=2, seed=2),
        "three": published.srvgg(scale=3, layers=1, seed=3),
    }
    return [weights.load(saved(tmp_path / f"{name}.pth", state)) for name, state in states.items()]


@pytest.mark.parametrize("order", [(0, 2), (2, 0), (2, 1)])
def test_a_chain_is_one_after_the_other_and_tiled_exactly(
    order: tuple[int, ...], tmp_path: Path
) -> None:
    parts = [networks(tmp_path)[place] for place in order]
    together = chain(parts)
    pixels = torch.rand(1, 3, 60, 205, generator=torch.Generator().manual_seed(2))
    options = EngineOptions(dtype="fp32", tile=4096)
    expected = pixels
    for part in parts:
        expected = Engine(part, options).upscale(expected.clamp(0, 1))
    whole = Engine(together, options).upscale(pixels)
    torch.testing.assert_close(whole, expected, rtol=0, atol=1e-5)
    tile = 2 * together.halo + 21
    assert tile < 205
    tiled = Engine(together, EngineOptions(dtype="fp32", tile=tile)).upscale(pixels)
    assert (tiled - whole).abs().max() < 1e-5


def test_a_video_goes_through_a_chain(make_clip: MakeClip, tmp_path: Path) -> None:
    networks(tmp_path)
    options = UpscaleOptions(
        model=str(tmp_path / "one.pth"), then=(str(tmp_path / "three.pth"), "nearest"),
        preset="ultrafast",
    )  # fmt: skip
    report = api.upscale(make_clip(frames=2), tmp_path / "out.mkv", options)
    assert (report.target_size.width, report.frames) == (64 * 12, 2)
    assert report.model == "one+three+nearest"


def test_a_network_of_factor_1_keeps_the_size(make_clip: MakeClip, tmp_path: Path) -> None:
    networks(tmp_path)
    source = make_clip(frames=2, size=(66, 50))  # no whole number of cells
    options = UpscaleOptions(model=str(tmp_path / "one.pth"), preset="ultrafast")
    report = api.upscale(source, tmp_path / "out.mkv", options)
    assert report.target_size == report.size


@pytest.mark.extended
def test_a_halo_beyond_reason_is_faded_and_told(make_clip: MakeClip, tmp_path: Path) -> None:
    """23 blocks see 349 px around each pixel: of a tile of 512 nothing would be kept."""
    path = saved(tmp_path / "deep.pth", published.rrdb("old", blocks=23, features=4, growth=2))
    network = weights.load(path)
    assert network.halo == 349 > MAX_EXACT_HALO
    pixels = torch.rand(1, 3, 24, 300, generator=torch.Generator().manual_seed(4))
    whole = Engine(network, EngineOptions(dtype="fp32", tile=4096)).upscale(pixels)
    tiled = Engine(network, EngineOptions(dtype="fp32", tile=2 * FADED_OVERLAP + 100)).upscale(
        pixels
    )
    # Weights at random see farther than trained ones; even so, about half a percent of the range.
    assert 0 < (tiled - whole).abs().max() < whole.abs().max() / 190
    events: list[Event] = []
    options = UpscaleOptions(model=str(path), preset="ultrafast", check_model=False)
    api.upscale(make_clip(frames=2), tmp_path / "out.mkv", options, events.append)
    notes = [event.message for event in events if isinstance(event, Warned)]
    assert any("349 px" in note and "--overlap 349" in note for note in notes)

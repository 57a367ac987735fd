"""Other projects' files by their keys: identified, and the sums of their papers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]  # no stubs
from torch import Tensor

from tests.marks import usually
from tests.models import published
from vsr import weights
from vsr.errors import WeightsError
from vsr.infer.engine import Engine
from vsr.options import EngineOptions

WRAPPED: dict[str, Callable[[published.State], dict[str, Any]]] = {
    "plain": lambda state: state,  # ESRGAN's own
    "params": lambda state: {"params": state},  # realesr-animevideov3
    "params_ema": lambda state: {  # RealESRGAN_x4plus: both, and the averaged ones are meant
        "params": {key: value * 0 for key, value in state.items()},
        "params_ema": state,
    },
    "a trainer's": lambda state: {
        "epoch": 3,
        "state_dict": {f"module.{key}": value for key, value in state.items()},
    },
}


def saved(path: Path, contents: Any, *, zipped: bool = True) -> Path:
    torch.save(contents, path, _use_new_zipfile_serialization=zipped)
    return path


def close(path: Path, pixels: Tensor, expected: Tensor, arch: str) -> weights.Stored:
    network = weights.load(path)
    assert (network.arch, network.foreign) == (arch, True)
    assert network.scale == expected.shape[-1] // pixels.shape[-1]
    with torch.inference_mode():
        torch.testing.assert_close(network.module(pixels), expected, rtol=1e-4, atol=1e-5)
    return weights.read(path)


@pytest.mark.parametrize("wrapping", WRAPPED)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "of 2018"])
def test_however_a_trainer_wrapped_it(wrapping: str, zipped: bool, tmp_path: Path) -> None:
    state = published.srvgg()
    path = saved(tmp_path / "net.pth", WRAPPED[wrapping](state), zipped=zipped)
    pixels = torch.rand(2, 3, 9, 7)
    stored = close(path, pixels, published.run_srvgg(state, pixels), "compact")
    assert stored.hparams["base"] == "nearest"
    assert stored.hparams["layers"] == 3


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_the_compact_files_at_every_scale(scale: int, tmp_path: Path) -> None:
    state = published.srvgg(scale=scale, layers=2)
    pixels = torch.rand(1, 3, 8, 6)
    path = saved(tmp_path / "net.pth", {"params": state})
    close(path, pixels, published.run_srvgg(state, pixels, scale), "compact")


@pytest.mark.parametrize("layout", published.NAMES)
@pytest.mark.parametrize("ups", [0, 1, 2, 3])
def test_esrgan_s_keys_old_and_new(layout: str, ups: int, tmp_path: Path) -> None:
    state = published.rrdb(layout, ups=ups)
    path = saved(tmp_path / "net.pth", state, zipped=layout != "old")
    pixels = torch.rand(1, 3, 9, 11)
    stored = close(path, pixels, published.run_rrdb(state, pixels, layout, ups=ups), "rrdb")
    assert stored.hparams["blocks"] == 2
    assert stored.hparams["growth"] == 4


@pytest.mark.parametrize("unshuffle", [2, 4])
def test_real_esrgan_s_networks_for_factors_2_and_1(unshuffle: int, tmp_path: Path) -> None:
    state = published.rrdb("real-esrgan", unshuffle=unshuffle)
    path = saved(tmp_path / "RealESRGAN_x2plus.pth", {"params_ema": state})
    pixels = torch.rand(1, 3, 16, 24)
    expected = published.run_rrdb(state, pixels, "real-esrgan", unshuffle=unshuffle)
    close(path, pixels, expected, "rrdb")
    network = weights.load(path)
    assert (network.scale, network.multiple_of) == (4 // unshuffle, unshuffle)
    for height, width in ((1, 1), (3, 2), (13, 10)):  # no whole number of cells
        with torch.inference_mode():
            large = network.module(torch.rand(1, 3, height, width))
        assert large.shape == (1, 3, height * network.scale, width * network.scale)


@pytest.mark.parametrize("size", [(187, 134), pytest.param((150, 221), marks=pytest.mark.extended)])
@pytest.mark.parametrize("unshuffle", usually([2], [1, 2, 4]))
def test_cells_of_pixels_are_tiled_exactly(
    unshuffle: int, size: tuple[int, int], tmp_path: Path
) -> None:
    state = published.rrdb("real-esrgan", blocks=1, unshuffle=unshuffle)
    network = weights.load(saved(tmp_path / "net.pth", state))
    pixels = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(1))
    whole = Engine(network, EngineOptions(dtype="fp32", tile=4096)).upscale(pixels)
    for extra in (16, 19):
        tile = 2 * network.halo + extra
        assert tile < max(size)
        tiled = Engine(network, EngineOptions(dtype="fp32", tile=tile)).upscale(pixels)
        assert (tiled - whole).abs().max() < 1e-5


def test_the_published_sizes_are_recognised_without_running_them() -> None:
    """RealESRGAN_x4plus and _anime_6B, general-x4v3 and animevideov3, at their full size."""
    from vsr.models.catalog import ARCHS
    from vsr.models.state_dict_keys import our_keys as ours

    for blocks in (23, 6):
        with torch.device("meta"):
            state = ours(published.rrdb("old", blocks=blocks, features=64, growth=32))
            found = ARCHS["rrdb"].detect(state)
            assert found is not None
            assert found == {**ARCHS["rrdb"].defaults, "blocks": blocks}
            ARCHS["rrdb"].module(found).load_state_dict(state, strict=True, assign=True)
    for layers in (32, 16):
        with torch.device("meta"):
            found = ARCHS["compact"].detect(published.srvgg(layers=layers, features=64))
        assert found == {**ARCHS["compact"].defaults, "layers": layers, "base": "nearest"}


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("kind", ["compact", "rrdb"])
def test_grey_and_rgba_networks_make_rgb(channels: int, kind: str, tmp_path: Path) -> None:
    if kind == "compact":
        state = published.srvgg(channels=channels)
    else:
        state = published.rrdb("real-esrgan", channels=channels)

    def straight(pixels: Tensor) -> Tensor:
        if kind == "compact":
            return published.run_srvgg(state, pixels)
        return published.run_rrdb(state, pixels, "real-esrgan")

    path = tmp_path / "net.safetensors"
    save_file(state, path)
    network = weights.load(path)
    engine = Engine(network, EngineOptions(dtype="fp32"))
    grey, color = torch.rand(1, 1, 21, 30), torch.rand(1, 4, 21, 30)
    if channels == 1:
        # What is grey comes out as the network makes it, in all three channels.
        made = engine.upscale(grey.expand(1, 3, -1, -1))
        torch.testing.assert_close(made, straight(grey).expand(1, 3, -1, -1), rtol=0, atol=1e-5)
        # And the colour is bicubic's: the differences between channels.
        bicubic = torch.nn.functional.interpolate(
            color[:, :3], scale_factor=4, mode="bicubic", antialias=True
        )
        made = engine.upscale(color[:, :3])
        torch.testing.assert_close(made - made[:, :1], bicubic - bicubic[:, :1], atol=1e-5, rtol=0)
    else:
        assert network.alpha
        torch.testing.assert_close(engine.upscale(color), straight(color), rtol=0, atol=1e-5)
        opaque = torch.cat([color[:, :3], torch.ones(1, 1, 21, 30)], 1)
        made = engine.upscale(color[:, :3])
        torch.testing.assert_close(made, straight(opaque)[:, :3], rtol=0, atol=1e-5)


def test_a_key_too_many_or_too_few_is_an_error(tmp_path: Path) -> None:
    state = published.rrdb("old")
    for name, changed in {
        "extra": {**state, "model.1.sub.0.RDB1.conv6.0.weight": torch.zeros(1)},
        "missing": {k: v for k, v in state.items() if k != "model.3.bias"},
        "shape": {**state, "model.8.weight": torch.zeros(8, 9, 3, 3)},
    }.items():
        with pytest.raises(WeightsError, match="does not fit rrdb"):
            weights.load(saved(tmp_path / f"{name}.pth", changed))

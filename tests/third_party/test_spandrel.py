"""Networks of spandrel at random weights through our engine: the same pixels, tiled and whole."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conftest import MakeClip
from vsr import UpscaleOptions, api, weights
from vsr.color import ColorSpec
from vsr.errors import WeightsError
from vsr.evaluation.inspection import inspect
from vsr.events import Event, Warned
from vsr.geometry import Size
from vsr.infer.engine import Engine
from vsr.options import EngineOptions

spandrel: Any = pytest.importorskip("spandrel", reason="the extra vsr[models] is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")  # of its networks' own, old code


@dataclass(frozen=True)
class Net:
    """A class of spandrel's, how to build a small one, and how far it looks, if that is known."""

    place: str
    arguments: dict[str, Any]
    halo: int | None
    name: str = ""


SWIN: dict[str, Any] = {"window_size": 8, "depths": [2], "embed_dim": 12, "num_heads": [2]}
ONE: dict[str, Any] = {"n_blocks": 1, "upscaling_factor": 2}
NETWORKS: dict[str, Net] = {
    # Convolutions: exact tiles.
    "SPAN": Net(
        "SPAN", {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 8, "upscale": 2}, 21
    ),
    "SwiftSRGAN": Net("SwiftSRGAN", {"num_channels": 8, "num_blocks": 1}, 10),
    "PLKSR": Net("PLKSR", {"dim": 16, **ONE}, 12),
    "MoSR": Net("MoSR", {"n_block": 2, "dim": 16}, 16),
    "DnCNN": Net("DnCNN", {"nc": 8, "nb": 4}, 4),  # grey
    "FDnCNN": Net(  # it makes a map of noise for one picture
        "DnCNN", {"in_nc": 4, "out_nc": 3, "nc": 16, "nb": 20, "act_mode": "R", "mode": "FDnCNN"},
        20, "DnCNN",
    ),
    "ESRGAN+": Net("ESRGAN", {"num_filters": 16, "num_blocks": 2, "plus": True}, 34, "ESRGAN"),
    # Windows of attention, means over the picture, strides: cross-faded.
    "SwinIR": Net(
        "SwinIR", {**SWIN, "mlp_ratio": 2, "upscale": 4, "upsampler": "nearest+conv"}, None
    ),
    "HAT": Net("HAT", {**SWIN, "mlp_ratio": 2, "upscale": 2, "squeeze_factor": 8}, None),
    "DAT": Net(
        "DAT",
        {
            "img_size": 32, "embed_dim": 16, "split_size": [4, 8], "depth": [2], "num_heads": [2],
            "expansion_factor": 2, "upscale": 2,
        },
        None,
    ),
    "RealPLKSR": Net("PLKSR", {"dim": 16, **ONE}, None),
    "SAFMN": Net("SAFMN", {"dim": 16, **ONE}, None),
    "RCAN": Net("RCAN", {"n_resgroups": 1, "n_resblocks": 1, "n_feats": 16}, None),
    "NAFNet": Net("NAFNet", {"enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]}, None),
    "Uformer": Net(  # squares alone
        "Uformer", {"embed_dim": 8, "depths": [1] * 9, "num_heads": [1] * 9}, None
    ),
    "SeemoRe": Net(  # goes by the numbers that it sees
        "SeemoRe", {"num_layers": 1, "embedding_dim": 12, "num_experts": 3}, None
    ),
    "MMRealSR": Net(  # has all of rrdb's keys, and more
        "MMRealSR",
        {
            "num_in_ch": 3, "num_out_ch": 3, "num_feat": 16, "num_block": 1, "num_grow_ch": 8,
            "num_feats": [8, 16, 16, 16],
        },
        None,
    ),
}  # fmt: skip


def written(name: str, folder: Path) -> Path:
    """A file of a network of spandrel's, at random weights, each batch norm with its statistics."""
    net = NETWORKS[name]
    torch.manual_seed(3)
    module = importlib.import_module(f"spandrel.architectures.{net.place}")
    path = folder / f"{name}.pth"
    torch.save({"params": getattr(module, net.name or name)(**net.arguments).state_dict()}, path)
    return path


def by_spandrel(path: Path, pixels: Tensor) -> Tensor:
    descriptor = spandrel.ModelLoader().load_from_file(path).eval()
    return torch.cat([descriptor(picture[None].clone()) for picture in pixels])


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NETWORKS)
def test_our_engine_makes_what_spandrel_makes(name: str, tmp_path: Path) -> None:
    path = written(name, tmp_path)
    network = weights.load(path)
    descriptor = spandrel.ModelLoader().load_from_file(path)
    assert (network.scale, network.foreign) == (descriptor.scale, True)
    assert network.prefers_one_tile == (descriptor.tiling.name != "SUPPORTED")
    assert network.multiple_of % descriptor.size_requirements.multiple_of == 0
    if not descriptor.supports_half:
        assert torch.float16 not in network.dtypes
    assert len(network.fingerprint) == 64
    pixels = noise(2, 3, 45, 70)
    whole = Engine(network, EngineOptions(dtype="fp32", tile=4096)).upscale(pixels)
    if descriptor.input_channels == 1:  # what it adds to lightness is added to each channel
        pixels = pixels[:, :1].expand(-1, 3, -1, -1)
        whole = Engine(network, EngineOptions(dtype="fp32", tile=4096)).upscale(pixels)[:, :1]
        pixels = pixels[:, :1]
    torch.testing.assert_close(whole, by_spandrel(path, pixels), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_tiles_are_exact_where_the_reach_is_bounded_and_faded_elsewhere(
    name: str, tmp_path: Path
) -> None:
    network = weights.load(written(name, tmp_path))
    expected = NETWORKS[name].halo
    assert (network.bounded, network.halo) == (expected is not None, expected or 48)
    tile = 2 * network.overlap(None, 0) + max(40, 2 * network.multiple_of)
    pixels = noise(1, 3, 40, tile + 60)
    whole = Engine(network, EngineOptions(dtype="fp32", tile=4096)).upscale(pixels)
    tiled = Engine(network, EngineOptions(dtype="fp32", tile=tile)).upscale(pixels)
    assert tiled.shape == whole.shape
    if network.bounded:
        assert (tiled - whole).abs().max() < 1e-5
        assert not network.note
    else:
        assert "cross-faded" in network.note
        assert (tiled - whole).abs().mean() < 1e-3  # noise at random weights; some see all of it


@pytest.mark.parametrize("name", NETWORKS)
def test_planes_take_each_precision_that_is_promised(name: str, tmp_path: Path) -> None:
    """Through colour, memory that is counted, and what a processor really has for a type."""
    network = weights.load(written(name, tmp_path))
    spec = ColorSpec(matrix=1)
    planes = tuple((noise(2, *size) * 219 + 16).byte() for size in ((48, 64), (24, 32), (24, 32)))
    size = Size(64, 48).scaled(network.scale)
    whole = Engine(network, EngineOptions(dtype="fp32")).enlarge(planes, spec, spec, size)
    for options, dtype in (
        (EngineOptions(dtype="bf16"), torch.bfloat16),
        (EngineOptions(dtype="fp16"), torch.float16),
    ):
        if dtype not in network.dtypes:
            continue
        made = Engine(network, options).enlarge(planes, spec, spec, size)
        # Bfloat16 keeps 8 bits of each number on the way.
        assert (made[0].int() - whole[0].int()).abs().float().mean() < 4


def test_a_video_through_attention_says_how_it_is_tiled(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    events: list[Event] = []
    options = UpscaleOptions(model=str(written("SwinIR", tmp_path)), preset="ultrafast")
    report = api.upscale(make_clip(frames=2), tmp_path / "out.mkv", options, events.append)
    assert (report.frames, report.target_size.width) == (2, 256)
    said = [event.message for event in events if isinstance(event, Warned)]
    assert any("cross-faded" in note and "better not tiled" in note for note in said)
    assert any("worse than bicubic" in note for note in said)  # it learnt nothing


@pytest.mark.parametrize("name", ["SPAN", "SeemoRe"])
def test_a_network_is_inspected(name: str, tmp_path: Path) -> None:
    found = inspect(str(written(name, tmp_path)))
    assert (found.arch, found.foreign) == (name, True)
    assert found.receptive_field_px == (43 if name == "SPAN" else None)
    assert min(found.parameters, found.multiply_adds_per_pixel, found.bytes_per_megapixel) > 0


def test_what_spandrel_does_not_know_or_cannot_fit_says_so(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3, 3)}, tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="holds no network that this version knows"):
        weights.load(tmp_path / "none.pth")
    path = written("SPAN", tmp_path)
    state = torch.load(path, weights_only=True)["params"]
    first = next(iter(state))
    damaged = {
        "narrow": {**state, first: state[first][:1]},
        "short": {key: value for key, value in state.items() if key != first},
        "long": {**state, "other.weight": torch.zeros(3)},
        "infinite": {**state, first: state[first] / 0},
    }
    for name, contents in damaged.items():
        torch.save(contents, tmp_path / f"{name}.pth")
        with pytest.raises(WeightsError, match=r"does not fit|holds no network|not finite"):
            weights.load(tmp_path / f"{name}.pth")


def test_networks_for_something_else_are_refused(tmp_path: Path) -> None:
    """LaMa fills holes: it takes a mask, too."""
    module = importlib.import_module("spandrel.architectures.LaMa")
    torch.save(module.LaMa().state_dict(), tmp_path / "lama.pth")
    with pytest.raises(WeightsError, match="does not make pictures of pictures alone"):
        weights.load(tmp_path / "lama.pth")


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    state = torch.load(written("SPAN", tmp_path), weights_only=True)["params"]
    torch.save({"params": state, "more": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(WeightsError, match=r"not a readable \.pth"):
        weights.load(tmp_path / "bomb.pth")
    assert not (tmp_path / "ran").exists()

"""Every architecture keeps the same contract; law 8: build, save, load gives the same back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]  # no stubs
from torch import nn

from vsr import weights
from vsr.errors import WeightsError
from vsr.models.arch import Arch, fuse_batchnorm, make_upscaler, measure
from vsr.models.catalog import ARCHS
from vsr.training.network.export import rounded
from vsr.training.network.layers import quicken

SMALL = {"features": 8, "blocks": 2, "layers": 4, "mapped": 4, "growth": 4}
TRAINED = [arch for arch in ARCHS.values() if arch.trained]


def small(arch: Arch) -> dict[str, int | float | str | bool]:
    return {key: SMALL.get(key, value) for key, value in arch.defaults.items()}


def lively(module: nn.Module) -> nn.Module:
    """Give batch norms statistics of their own, as training would."""
    torch.manual_seed(3)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.1)
    return module.eval()


@pytest.mark.parametrize("arch", ARCHS.values(), ids=lambda arch: arch.name)
def test_an_architecture_enlarges_by_its_scale_and_knows_its_halo(arch: Arch) -> None:
    module = lively(arch.module(small(arch)))
    scale, halo = measure(module)
    assert scale == 4
    pixels = torch.rand(1, 3, 11, 7)
    with torch.inference_mode():
        assert module(pixels).shape == (1, 3, 44, 28)
    # The true receptive field, by the gradient of one output pixel: never wider than the halo.
    side = 2 * halo + 9
    wide = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    output = module.double()(wide)
    output[..., 4 * (side // 2) + 1, 4 * (side // 2) + 1].sum().backward()
    assert wide.grad is not None
    touched = (wide.grad.abs().sum((0, 1)) > 0).nonzero() - side // 2
    assert int(touched.abs().max()) <= halo


@pytest.mark.parametrize("arch", TRAINED, ids=lambda arch: arch.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_build_save_load_gives_the_same_network(
    arch: Arch, dtype: torch.dtype, tmp_path: Path
) -> None:
    hparams = small(arch)
    module = lively(arch.module(hparams)).to(dtype).float()  # what half precision makes of it
    path = tmp_path / "net.safetensors"
    weights.save(path, module, arch=arch.name, hparams=hparams, card={"data": "x"}, dtype=dtype)
    loaded = weights.load(path)
    assert (loaded.arch, loaded.scale, loaded.card["data"]) == (arch.name, 4, "x")
    pixels = torch.rand(1, 3, 9, 9)
    with torch.inference_mode():
        # float32: folding a norm into its convolution only reorders a multiplication
        torch.testing.assert_close(loaded.module(pixels), module(pixels), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in loaded.module.modules())


@pytest.mark.parametrize("arch", TRAINED, ids=lambda arch: arch.name)
def test_a_file_without_metadata_is_recognised_by_its_keys(arch: Arch, tmp_path: Path) -> None:
    path = tmp_path / "bare.safetensors"
    hparams = small(arch)
    state = arch.module(hparams).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    loaded = weights.load(path)
    assert loaded.arch == arch.name
    found = arch.detect(state) or {}
    # The one thing that shapes do not show: files that say nothing are of the published kind.
    assert found.pop("base", "nearest") == "nearest"
    assert found == {key: hparams[key] for key in found}


@pytest.mark.parametrize("slopes", ["layer", "one"])
def test_compact_with_few_slopes_is_compact_with_equal_slopes(slopes: str, tmp_path: Path) -> None:
    one = ARCHS["compact"].module({"features": 8, "layers": 3, "slopes": slopes})
    many = ARCHS["compact"].module({"features": 8, "layers": 3})
    torch.manual_seed(4)
    state = one.state_dict()
    for key, value in state.items():
        if value.dim() == 1 and key.endswith("weight"):
            value.uniform_(-0.5, 0.9)
    many.load_state_dict(
        {key: value.expand(many.state_dict()[key].shape) for key, value in state.items()}
    )
    pixels = torch.rand(1, 3, 12, 9)
    assert torch.equal(one(pixels), many(pixels))
    path = tmp_path / "bare.safetensors"
    save_file({key: value.clone() for key, value in state.items()}, path)
    assert weights.load(path).parameters == sum(value.numel() for value in state.values())


def test_compact_with_one_slope_keeps_one_slope(tmp_path: Path) -> None:
    """Through training's changes, half precision and files, for layers to share a kernel."""
    hparams = {"features": 8, "layers": 3, "slopes": "one"}
    module = quicken(ARCHS["compact"].module(hparams))
    module(torch.rand(1, 3, 12, 9)).square().sum().backward()
    torch.optim.SGD(module.parameters(), 1e-3).step()
    for dtype in (torch.float16, torch.float32):
        path = tmp_path / f"{dtype}.safetensors"
        weights.save(path, rounded(module), arch="compact", hparams=hparams, dtype=dtype)
        loaded = weights.load(path).module
        slopes = [layer.weight for layer in loaded.modules() if isinstance(layer, nn.PReLU)]
        assert len(slopes) == 4
        assert len({id(slope) for slope in slopes}) == 1
        assert slopes[0].item() == rounded(module).get_parameter("body.1.weight").item() != 0.25


def test_compact_knows_its_slopes() -> None:
    with pytest.raises(WeightsError, match="cannot have slopes 'pixel'"):
        ARCHS["compact"].module({"slopes": "pixel"})


def test_folding_leaves_the_original_alone() -> None:
    module = lively(ARCHS["srresnet"].module({"features": 8, "blocks": 1}))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    fuse_batchnorm(module)
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def bad_files(folder: Path) -> dict[str, Path]:
    module = ARCHS["compact"].module({"features": 8, "layers": 1})
    state = {key: value.contiguous() for key, value in module.state_dict().items()}
    head = {"format": weights.FORMAT, "arch": "compact"}
    fit = {**head, "hparams": '{"features": 8, "layers": 1}'}
    files: dict[str, tuple[dict[str, torch.Tensor], dict[str, str]]] = {
        "missing": ({k: v for k, v in state.items() if k != "body.0.weight"}, fit),
        "extra": ({**state, "stray": torch.zeros(1)}, fit),
        "shape": (state, {**head, "hparams": '{"features": 16, "layers": 1}'}),
        "huge": (state, {**head, "hparams": '{"features": 99999999, "layers": 1}'}),
        "unknown": (state, {**head, "arch": "gigagan", "hparams": "{}"}),
        "json": (state, {**head, "hparams": "{"}),
        "hparam": (state, {**head, "hparams": '{"colour": 3}'}),
        "alien": ({"conv.weight": torch.zeros(3, 3)}, {}),
        "nan": ({**state, "body.0.bias": torch.full((8,), float("nan"))}, fit),
    }
    paths: dict[str, Path] = {}
    for name, (tensors, metadata) in files.items():
        paths[name] = folder / f"{name}.safetensors"
        save_file(tensors, paths[name], metadata)
    paths["cut"] = folder / "cut.safetensors"
    paths["cut"].write_bytes(paths["extra"].read_bytes()[:-40])
    paths["text"] = folder / "text.safetensors"
    paths["text"].write_text("these are no weights")
    paths["empty"] = folder / "empty.safetensors"
    paths["empty"].touch()
    return paths


def test_weights_that_do_not_fit_are_one_clear_error(tmp_path: Path) -> None:
    for name, path in bad_files(tmp_path).items():
        with pytest.raises(WeightsError) as caught:
            weights.load(path)
        assert str(path) in caught.value.message or name == "hparam"
    for name in ("no-such-model", "srcnn"):
        with pytest.raises(WeightsError, match=name):
            weights.load(name)


def test_make_upscaler_counts_parameters_and_tells_weights_apart() -> None:
    torch.manual_seed(0)
    first, second = (
        make_upscaler(
            ARCHS["compact"].module({"features": 8, "layers": 1}), name="a", arch="compact"
        )
        for _ in range(2)
    )
    assert first.parameters == 3 * 8 * 9 + 8 + 8 + 8 * 8 * 9 + 8 + 8 + 8 * 48 * 9 + 48
    assert first.fingerprint != second.fingerprint

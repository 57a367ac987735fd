"""VGG19's layouts: names, normalisation, padding, and files that hold something else."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from vsr.errors import WeightsError
from vsr.perceptual import vgg as module
from vsr.perceptual.vgg import conv_names, feature_index, from_state, load_vgg


def test_layers_are_numbered_as_torchvision_does() -> None:
    # features of torchvision's VGG19: a convolution and its relu each, a pool after every stage
    assert [feature_index(name) for name in conv_names()] == [
        0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34,
    ]  # fmt: skip


def test_the_published_layout_is_normalised_padded_with_zeros_and_pooled() -> None:
    torch.manual_seed(0)
    first, second, third = (
        nn.Conv2d(3, 4, 3, 1, 1),
        nn.Conv2d(4, 4, 3, 1, 1),
        nn.Conv2d(4, 6, 3, 1, 1),
    )
    state: dict[str, Tensor] = {}
    for index, layer in ((0, first), (2, second), (5, third)):
        state |= {f"features.{index}.{key}": value for key, value in layer.state_dict().items()}
    vgg = from_state(state, "a test")
    assert vgg.layout == "torchvision"
    assert vgg.layers == ("1_1", "1_2", "2_1")
    pixels = torch.rand(1, 3, 16, 16)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    with torch.no_grad():
        shallow = second(first((pixels - mean) / deviation).relu()).relu()
        deep = third(functional.max_pool2d(shallow, 2)).relu()
        found = vgg(pixels, ["2_1", "1_2"])
    torch.testing.assert_close(found[0], deep)
    torch.testing.assert_close(found[1], shallow)
    with torch.no_grad():
        (before,) = vgg(pixels, ["conv2_1"])
        torch.testing.assert_close(before, third(functional.max_pool2d(shallow, 2)))
        assert [one.shape for one in vgg(pixels, ["1_1", "conv1_1", "1_2"])] == [(1, 4, 16, 16)] * 3
    assert float(before.min()) < 0
    assert not any(parameter.requires_grad for parameter in vgg.parameters())


def test_the_normalised_layout_pads_by_reflection(tmp_path: Path) -> None:
    torch.manual_seed(0)
    before, first = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 4, 3)
    state = {f"pre.{key}": value for key, value in before.state_dict().items()}
    state |= {f"features.0.{key}": value for key, value in first.state_dict().items()}
    torch.save(state, tmp_path / "vgg.pth")
    vgg = load_vgg(str(tmp_path / "vgg.pth"))
    assert vgg is not None
    assert vgg.layout == "normalised"
    pixels = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        padded = functional.pad(before(pixels), (1, 1, 1, 1), mode="reflect")
        torch.testing.assert_close(vgg(pixels, ["1_1"])[0], first(padded).relu())


def test_none_is_nothing_and_auto_says_what_to_do_offline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*args: object, **kwargs: object) -> object:
        assert args[0] == module.PUBLISHED
        assert kwargs["hash_prefix"] == "dcbb9e9d"
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    assert load_vgg("none") is None
    with pytest.raises(WeightsError, match="cannot be downloaded") as caught:
        load_vgg("auto")
    assert "--vgg none" in (caught.value.hint or "")


class Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.place,)


def test_a_downloaded_file_runs_no_code_and_is_held_to_its_hash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, sign = tmp_path / "checkpoints", tmp_path / "it ran"
    folder.mkdir()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    path = folder / "vgg19-dcbb9e9d.pth"
    torch.save({"features.0.weight": torch.zeros(4, 3, 3, 3), "other": Runs(sign)}, path)
    with pytest.raises(WeightsError, match="not the file that was published"):
        load_vgg("auto")
    with pytest.raises(WeightsError, match=r"not a readable \.pth"):
        load_vgg(str(path))
    assert not sign.exists()
    torch.save(
        {
            f"features.0.{key}": value
            for key, value in torch.nn.Conv2d(3, 4, 3).state_dict().items()
        },
        path,
    )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(module, "PREFIX", digest[:8])
    assert load_vgg("auto") is not None  # all of the hash is noted now
    with path.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")
    with pytest.raises(WeightsError, match="not the file that was published"):
        load_vgg("auto")


@pytest.mark.parametrize("name", ["vgg.safetensors", "vgg.pth"])
def test_files_that_are_none_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(WeightsError, match="no VGG file"):
        load_vgg(str(path))
    path.write_bytes(b"not weights at all")
    with pytest.raises(WeightsError, match="readable"):
        load_vgg(str(path))


def test_another_network_is_no_vgg() -> None:
    with pytest.raises(WeightsError, match="no VGG19 that is known"):
        from_state({"body.0.weight": torch.zeros(1)}, "a test")


@pytest.mark.skipif("VSR_MEDIA" not in os.environ, reason="VSR_MEDIA is not set")
def test_the_two_offline_files_agree_where_both_look() -> None:
    folder = Path(os.environ["VSR_MEDIA"]) / "weights"
    full = load_vgg(str(folder / "vgg19_relu3_1.safetensors"))
    narrow = load_vgg(str(folder / "vgg19_distilled_relu5_1.safetensors"))
    assert full is not None
    assert narrow is not None
    assert narrow.layers == ("1_1", "2_1", "3_1", "4_1", "5_1")
    torch.manual_seed(0)
    pixels = functional.interpolate(torch.rand(1, 3, 12, 12), size=96, mode="bicubic").clamp(0, 1)
    with torch.no_grad():
        one, two = full(pixels, ["1_1"])[0], narrow(pixels, ["1_1"])[0]
    assert float(torch.corrcoef(torch.stack([one.flatten(), two.flatten()]))[0, 1]) > 0.95

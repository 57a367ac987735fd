"""Branches add up to one kernel, in training and in what is exported."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from vsr.models.catalog import ARCHS
from vsr.training.loop import train
from vsr.training.network.layers import Branched, branch, merge
from vsr.training.options import TrainOptions
from vsr.training.recipes import PRESETS
from vsr.weights import read_file

SMALL = {
    "srresnet": (("features", 8), ("blocks", 1)),
    "compact": (("features", 8), ("layers", 2)),
}


@pytest.mark.parametrize("recipe", ["compact", "srresnet"])
def test_branches_are_merged_into_the_plain_network(
    recipe: str, frames: Path, tmp_path: Path
) -> None:
    net = SMALL[recipe]
    report = train(
        TrainOptions(
            (frames,), tmp_path, recipe=recipe, steps=3, batch=2, patch=12, device="cpu",
            dtype="fp32", net=net, workers=0, vgg="none", branches=True,
        )
    )  # fmt: skip
    whole = ARCHS[PRESETS[recipe].arch].module(dict(net))
    assert read_file(report.last)[1].keys() == whole.state_dict().keys()
    assert report.finished


def test_a_merged_network_gives_exactly_what_the_branched_one_does() -> None:
    torch.manual_seed(0)
    plain = ARCHS["compact"].module({"features": 8, "layers": 3})
    pixels = torch.rand(1, 3, 12, 12)
    before = plain(pixels)
    branched = branch(copy.deepcopy(plain))
    assert torch.equal(branched(pixels), before)  # branches begin at zero
    with torch.no_grad():
        for parameter in branched.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    merged = merge(branched)
    assert merged.state_dict().keys() == plain.state_dict().keys()
    assert not torch.equal(branched(pixels), before)
    # One kernel, computed in one way: the same numbers, not only near ones.
    assert torch.equal(merged(pixels), branched(pixels))


def test_the_sum_of_branches_is_the_branches_summed() -> None:
    torch.manual_seed(0)
    layer = Branched(nn.Conv2d(4, 6, 3, padding=1)).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn_like(parameter))
    x = torch.randn(2, 4, 7, 7, dtype=torch.float64)
    expected = functional.conv2d(x, layer.weight, layer.bias, padding=1)
    expected = expected + functional.conv2d(x, layer.point[:, :, None, None])
    deep = functional.conv2d(x, layer.widen[:, :, None, None])
    expected = expected + functional.conv2d(deep, layer.narrow, padding=1)
    for edge, mix, strength in zip(
        layer.get_buffer("edges"), layer.mix, layer.strength, strict=True
    ):
        mixed = functional.conv2d(x, mix[:, :, None, None])
        filters = (strength[:, :, None, None] * edge.reshape(1, 1, 3, 3)).reshape(6, 1, 3, 3)
        expected = expected + functional.conv2d(mixed, filters, padding=1, groups=6)
    torch.testing.assert_close(layer(x), expected)

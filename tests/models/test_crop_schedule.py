"""What is left out of a window on its way through a network was of no use to the wanted part."""

from __future__ import annotations

import random
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from tests.marks import usually
from vsr.geometry import Box, Size
from vsr.infer.device import Placement, has_fast_bfloat16
from vsr.infer.network import Network
from vsr.models.adapters import Chain, on_color
from vsr.models.arch import Upscaler, fuse_batchnorm, make_upscaler
from vsr.models.catalog import ARCHS
from vsr.models.crop_schedule import MIN_SIDE, CropSchedule
from vsr.models.module import SRModule

NETWORKS: dict[str, tuple[str, dict[str, int | str]]] = {
    "bicubic": ("bicubic", {}),
    "compact": ("compact", {"features": 32, "layers": 6, "slopes": "one"}),
    "compact, many slopes": ("compact", {"features": 32, "layers": 6}),
    "compact, nearest": ("compact", {"features": 32, "layers": 6, "base": "nearest", "scale": 3}),
    "rrdb x4": ("rrdb", {"features": 16, "growth": 8, "blocks": 2}),
    "rrdb x3": ("rrdb", {"features": 16, "growth": 8, "blocks": 2, "scale": 3}),
    "rrdb x1": ("rrdb", {"features": 16, "growth": 8, "blocks": 1, "scale": 1}),
    "srresnet x2": ("srresnet", {"features": 32, "blocks": 4, "scale": 2}),
    "srresnet x4": ("srresnet", {"features": 32, "blocks": 4}),
    "srresnet x8": ("srresnet", {"features": 32, "blocks": 1, "scale": 8}),
}

DTYPES = (torch.float32, *((torch.bfloat16,) if has_fast_bfloat16() else ()))
QUICK = ["bicubic", "compact", "rrdb x3", "srresnet x2"]
USUAL = [  # sixteen bits take long where the processor has no arithmetic of its own for them
    *((name, torch.float32) for name in QUICK),
    ("bicubic", torch.bfloat16),
]


def upscaler(name: str) -> Upscaler:
    torch.manual_seed(0)
    arch, hparams = NETWORKS[name]
    module = fuse_batchnorm(ARCHS[arch].module(hparams))
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)  # lively, or an edge would not show
    return make_upscaler(module, name=name, arch=arch, dtypes=(torch.bfloat16, torch.float32))


def places(size: Size, count: int) -> list[Box]:
    """Boxes of all kinds in a window: in its middle, along its edges, thin ones, all of it."""
    dice = random.Random(4)
    found = [size.box, Box(0, 0, 4, 4), Box(size.width - 4, size.height - 4, 4, 4)]
    for _ in range(count):
        width = dice.choice([2, 9, 40, size.width // 2, size.width])
        height = dice.choice([2, 9, 40, size.height // 2, size.height])
        left = dice.choice([0, size.width - width, dice.randint(0, size.width - width)])
        top = dice.choice([0, size.height - height, dice.randint(0, size.height - height)])
        found.append(Box(left, top, width, height))
    return found


@pytest.mark.parametrize(
    ("name", "dtype"), usually(USUAL, dict.fromkeys([*USUAL, *product(NETWORKS, DTYPES)]))
)
@torch.inference_mode()
def test_the_wanted_part_is_the_same_to_the_bit(name: str, dtype: torch.dtype) -> None:
    network = Network(
        upscaler(name), Placement(torch.device("cpu"), dtype, channels_last=True), compiles=False
    )
    assert network.can_crop
    size = Size(132, 102)
    windows = torch.rand(1, 4, size.height, size.width)  # alpha goes the same way
    whole, _ = network.run(windows)
    scale = whole.shape[-1] // size.width
    for wanted in places(size, 12):
        part = wanted.scaled(scale)
        expected = whole[..., part.y : part.bottom, part.x : part.right]
        assert torch.equal(network.run(windows, wanted)[0], expected)
        if network.side:
            cells, _ = network.subpixel(windows[:, :3], wanted)
            assert torch.equal(cells.shuffled(), expected[:, :3])


class Poisoned(CropSchedule):
    """Leaves nothing out, but makes no number of all that could be, to the pixel."""

    def __init__(self, window: Box, wanted: Box) -> None:
        super().__init__(window, wanted)
        self.needed = wanted
        self.reaches: list[int] = []

    def __call__(self, x: Tensor, reach: int) -> Tensor:
        left = self.needed.grown(reach, self.box)
        poisoned = torch.full_like(x, torch.nan)
        rows, columns = slice(left.y, left.bottom), slice(left.x, left.right)
        poisoned[..., rows, columns] = x[..., rows, columns]
        self.reaches.append(reach)
        return poisoned


@pytest.mark.parametrize("name", usually(QUICK, NETWORKS))
@torch.inference_mode()
def test_no_layer_gets_less_than_it_needs(name: str) -> None:
    module = upscaler(name).module.float()
    size = Size(105, 101)
    window = torch.rand(1, 3, size.height, size.width)
    whole = module(window)
    for wanted in places(size, 8):
        crop = Poisoned(size.box, wanted)
        part = wanted.scaled(whole.shape[-1] // size.width)
        expected = whole[..., part.y : part.bottom, part.x : part.right]
        assert torch.equal(module(window, crop), expected)
        assert crop.reaches == sorted(crop.reaches, reverse=True)
        assert len(crop.reaches) > (name != "bicubic")


@pytest.mark.parametrize("name", ["compact", "srresnet x4"])
@torch.inference_mode()
def test_several_windows_are_cut_alike(name: str) -> None:
    module = upscaler(name).module.float()
    windows, wanted = torch.rand(3, 3, 130, 140), Box(40, 30, 20, 25)
    together = module(windows, CropSchedule(Size(140, 130).box, wanted))
    alone = [module(one[None], CropSchedule(Size(140, 130).box, wanted)) for one in windows]
    torch.testing.assert_close(together, torch.cat(alone))


# What torch's own compiler imports warns of itself.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_who_cannot_leave_anything_out_is_not_asked_to() -> None:
    place = Placement(torch.device("cpu"), torch.float32, channels_last=True)

    def can_crop(module: SRModule, *, compiles: bool = False) -> bool:
        network = make_upscaler(module, name="net", arch="net")
        return Network(network, place, compiles=compiles).can_crop

    compact = {"features": 8, "layers": 1}
    assert can_crop(ARCHS["compact"].module(compact))
    assert not can_crop(ARCHS["compact"].module(compact), compiles=True)
    assert not can_crop(ARCHS["srcnn"].module({}))
    assert not can_crop(on_color(ARCHS["compact"].module({**compact, "channels": 4})))
    assert not can_crop(Chain([ARCHS["compact"].module(compact)] * 2))
    small = {"features": 8, "growth": 4, "blocks": 1, "scale": 2, "unshuffle": 2}
    assert not can_crop(ARCHS["rrdb"].module(small))


@pytest.mark.parametrize("name", ["compact", "srresnet x4"])
def test_layers_do_less_and_less(name: str) -> None:
    module = upscaler(name).module
    sides: list[int] = []

    def note(layer: nn.Module, given: tuple[Tensor], made: Tensor) -> None:
        del layer, given
        sides.append(made.shape[-1])

    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(note)
    window, wanted = Box(0, 0, 240, 240), Box(100, 90, 30, 50)
    pixels = torch.rand(1, 3, 240, 240)
    with torch.no_grad():
        module(pixels)
        whole, sides[:] = list(sides), []
        module(pixels, CropSchedule(window, wanted))
    assert len(sides) == len(whole)
    shares = [side / before for side, before in zip(sides, whole, strict=True)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == MIN_SIDE / 240


def test_a_window_keeps_the_edges_that_the_wanted_part_sees() -> None:
    crop = CropSchedule(Box(0, 0, 200, 150), Box(3, 60, 20, 85))
    x = torch.arange(200.0).repeat(1, 1, 150, 1)
    x = crop(x, 10)
    assert crop.box == Box(0, 38, 64, 112)  # the last row lies nearer than 10 to what is wanted
    assert x[0, 0, 0].tolist() == list(range(64))
    assert crop(x, 9) is x  # nothing that would be worth a copy
    assert crop.cut(torch.zeros(1, 2, 150, 200), Box(0, 0, 200, 150)).shape[-2:] == (112, 64)

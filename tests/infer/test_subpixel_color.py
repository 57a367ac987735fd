"""Colour made of cells is the colour made of pixels, wherever the cells are cut."""

from __future__ import annotations

import itertools
import random
from typing import Literal

import pytest
import torch
from torch import Tensor

from tests.infer.test_engine import upscaler
from tests.marks import usually
from vsr.color import BT709, BT2020_NCL, SMPTE170M, YCGCO, ColorSpec, from_rgb
from vsr.errors import WeightsError
from vsr.geometry import Size
from vsr.infer.engine import Engine
from vsr.infer.fusing import convolved
from vsr.infer.subpixel_color import (
    CellContext,
    SubpixelColor,
    _mirror,  # pyright: ignore[reportPrivateUsage]
    _mirror_at_once,  # pyright: ignore[reportPrivateUsage]
    subpixel_color,
)
from vsr.models.subpixel import SubpixelOutput
from vsr.options import EngineOptions

CPU = torch.device("cpu")
SPECS = [
    ColorSpec(matrix=SMPTE170M, siting=1),
    ColorSpec(matrix=BT709, siting=2),
    ColorSpec(matrix=BT2020_NCL, siting=3, depth=10),
    ColorSpec(matrix=YCGCO, siting=6, range=2),
    ColorSpec(matrix=BT709, shift=(1, 0)),
    ColorSpec(matrix=BT709, shift=(0, 1), siting=4, depth=16),
    ColorSpec(matrix=BT709, shift=(0, 0), depth=12),
]
pytestmark = pytest.mark.skipif(
    not SubpixelColor.supports(SPECS[0], 4, CPU),
    reason="colour goes the general way on this processor",
)


def cells(side: int, height: int, width: int, frames: int = 2) -> SubpixelOutput:
    """A base and its detail, in channels-last memory as networks leave it, out of range too."""
    shape = (frames, height, width, 3 * side * side)
    base = torch.rand(shape) * 1.2 - 0.1
    detail = (torch.rand(shape) * 0.2 - 0.1).bfloat16()
    return SubpixelOutput((base.permute(0, 3, 1, 2), detail.permute(0, 3, 1, 2)), side)


@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.matrix}-{spec.depth}{spec.shift}")
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (2, 3), (9, 20), (40, 33)])
def test_it_agrees_with_the_general_way(
    spec: ColorSpec, side: int, height: int, width: int
) -> None:
    torch.manual_seed(5)
    given = cells(side, height, width)
    expected = from_rgb(given.shuffled(), spec)
    made = subpixel_color(spec, side).convert(given, CellContext(0, 0, 0, 0))
    for plane, other in zip(made, expected, strict=True):
        assert plane.shape == other.shape
        assert plane.dtype == other.dtype
        off = (plane.to(torch.int32) - other.to(torch.int32)).abs()
        assert off.max() <= 1
        assert off.double().mean() < (0.05 if spec.depth == 16 else 2e-3)  # near a half


@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (0, 1), (1, 1)], ids=str)
@pytest.mark.parametrize("depth", usually([8, 10], [8, 10, 12, 16]))
def test_plain_convolutions_agree_for_every_matrix_range_and_siting(
    side: int, shift: tuple[int, int], depth: int
) -> None:
    """As on a GPU, which has no oneDNN: by torch's own convolutions and indices, on the CPU."""
    torch.manual_seed(11)
    for matrix, full, siting in itertools.product(
        (BT709, SMPTE170M, BT2020_NCL, YCGCO, 4, 7), (1, 2), range(7)
    ):
        spec = ColorSpec("yuv", depth, shift, matrix=matrix, range=full, siting=siting)
        given = cells(side, 7, 9, frames=1)
        expected = from_rgb(given.shuffled(), spec)
        made = SubpixelColor(spec, side, plain=True).convert(given, CellContext(0, 0, 0, 0))
        for plane, other in zip(made, expected, strict=True):
            assert plane.shape == other.shape
            assert plane.dtype == other.dtype
            off = (plane.to(torch.int32) - other.to(torch.int32)).abs()
            assert off.max() <= 1
            assert off.double().mean() < (0.1 if depth == 16 else 0.02)  # near a half


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize(
    ("before", "length", "after"), [(2, 5, 2), (0, 3, 1), (3, 1, 3), (2, 4, 0)]
)
def test_all_is_mirrored_at_once_as_one_by_one(
    on: bool, before: int, length: int, after: int
) -> None:
    torch.manual_seed(12)
    line = torch.rand(2, 3, before + length + after, 4)
    other = line.clone()
    _mirror(line, before, length, after, on=on)
    _mirror_at_once(other, before, length, after, on=on)
    assert torch.equal(line, other)


def test_a_gpu_converts_so_what_it_can() -> None:
    gpu = torch.device("cuda")
    assert SubpixelColor.supports(ColorSpec(matrix=1), 4, gpu)
    assert not SubpixelColor.supports(ColorSpec(matrix=1), 3, gpu)
    assert not SubpixelColor.supports(ColorSpec(matrix=1, alpha=True), 4, gpu)
    assert not SubpixelColor.supports(ColorSpec("rgb", 8, (0, 0)), 4, gpu)


@pytest.mark.parametrize("side", [2, 4])
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.matrix}-{spec.depth}{spec.shift}")
def test_a_part_is_the_same_to_the_bit(spec: ColorSpec, side: int) -> None:
    torch.manual_seed(6)
    dice = random.Random(7)
    color, size = subpixel_color(spec, side), Size(61, 47)
    given = cells(side, size.height, size.width)
    whole = color.convert(given, CellContext(0, 0, 0, 0))
    for _ in range(60):
        left, top = dice.randrange(size.width), dice.randrange(size.height)
        width = dice.choice([1, 2, 5, size.width - left])
        height = dice.choice([1, 3, 9, size.height - top])
        right, bottom = min(size.width, left + width), min(size.height, top + height)
        (x, y), frames = color.support, slice(dice.randrange(2), 2)
        around = CellContext(
            min(x, left), min(y, top), min(x, size.width - right), min(y, size.height - bottom)
        )
        rows = slice(top - around.top, bottom + around.bottom)
        columns = slice(left - around.left, right + around.right)
        parts = tuple(part[frames, :, rows, columns] for part in given.parts)
        for plane, all_of_it in zip(
            color.convert(SubpixelOutput(parts, side), around), whole, strict=True
        ):
            high = all_of_it.shape[-2] // size.height
            wide = all_of_it.shape[-1] // size.width
            expected = all_of_it[frames, top * high : bottom * high, left * wide : right * wide]
            assert torch.equal(plane, expected)


@pytest.mark.parametrize("kernel", [(16, 48, 1, 1), (16, 48, 3, 1), (8, 16, 1, 3), (4, 12, 5, 1)])
def test_a_convolution_of_a_part_is_the_same_before_it_is_rounded(
    kernel: tuple[int, int, int, int],
) -> None:
    torch.manual_seed(9)
    dice = random.Random(10)
    weight, bias = torch.randn(kernel), torch.randn(kernel[0])
    lines = torch.rand(2, 70, 90, kernel[1])
    whole = convolved(lines.permute(0, 3, 1, 2), weight, bias)
    for _ in range(80):
        height, width = (dice.choice([1, 2, 3, 7, 19, 40]) for _ in range(2))
        top, left = dice.randrange(60 - height), dice.randrange(80 - width)
        frames = slice(dice.randrange(2), 2)
        rows = slice(top, top + height + kernel[2] - 1)
        columns = slice(left, left + width + kernel[3] - 1)
        part = lines[frames, rows, columns].contiguous().permute(0, 3, 1, 2)
        made = convolved(part, weight, bias)
        assert torch.equal(made, whole[frames, :, top : top + height, left : left + width])


def planes(spec: ColorSpec, size: Size) -> tuple[Tensor, ...]:
    """Two frames of noise."""
    return tuple(
        torch.randint(0, 1 << spec.depth, (2, plane.height, plane.width)).to(spec.dtype)
        for plane in spec.plane_sizes(size)
    )


def never(*asked: object) -> bool:
    del asked
    return False


@pytest.mark.parametrize("name", ["compact", "bicubic"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_an_engine_makes_the_same_either_way(
    name: str, dtype: Literal["fp32", "bf16"], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(8)
    spec, low = SPECS[0], Size(70, 51)
    given = planes(spec, low)
    engine = Engine(upscaler(name), EngineOptions(device="cpu", dtype=dtype, tile=64))
    plan_frames: list[SubpixelOutput] = []
    convert = SubpixelColor.convert

    def counted(
        self: SubpixelColor, cells: SubpixelOutput, around: CellContext
    ) -> tuple[Tensor, ...]:
        plan_frames.append(cells)
        return convert(self, cells, around)

    monkeypatch.setattr(SubpixelColor, "convert", counted)
    fuse_batchnorm = engine.enlarge(given, spec, spec, low.scaled(4))
    assert len(plan_frames) == 2  # tiles; both frames in one
    engine.forget()
    monkeypatch.setattr("vsr.infer.output.SubpixelColor.supports", never)
    general = engine.enlarge(given, spec, spec, low.scaled(4))
    for plane, other in zip(fuse_batchnorm, general, strict=True):
        off = (plane.to(torch.int32) - other.to(torch.int32)).abs()
        assert off.max() <= 1
        assert off.double().mean() < 2e-3
    assert len(plan_frames) == 2


def test_cells_that_are_not_finite_are_noticed() -> None:
    network = upscaler("compact")
    last = list(network.module.parameters())[-1]
    last.data[5] = float("inf")
    engine = Engine(network, EngineOptions(device="cpu"))
    with pytest.raises(WeightsError, match="not finite"):
        engine.enlarge(planes(SPECS[0], Size(40, 30)), SPECS[0], SPECS[0], Size(160, 120))

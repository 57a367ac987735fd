"""Law 4: planes -> RGB -> planes is within 1 code value; and RGB means what swscale says."""

from __future__ import annotations

from fractions import Fraction

import av
import av.filter
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.marks import usually
from vsr.color import ColorSpec, from_rgb, part_to_rgb, to_rgb
from vsr.geometry import Box, Size
from vsr.media.pixels import name_of, pack

MATRICES = (1, 4, 5, 6, 7, 8, 9, 10)


def noise(spec: ColorSpec, size: Size) -> tuple[Tensor, ...]:
    """Every code value, also those outside of the nominal range: the hardest content there is."""
    generator = torch.Generator().manual_seed(1)
    return tuple(
        torch.randint(0, 1 << spec.depth, (2, plane.height, plane.width), generator=generator).to(
            spec.dtype
        )
        for plane in spec.plane_sizes(size)
    )


def worst(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> int:
    pairs = zip(first, second, strict=True)
    return max(int((a.int() - b.int()).abs().max()) for a, b in pairs)


@pytest.mark.parametrize("siting", range(6))
@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (1, 1), (0, 1), (2, 0), (2, 2)])
@pytest.mark.parametrize("size", [Size(64, 48), Size(83, 61), Size(5, 3)], ids=str)
def test_a_part_is_cut_out_of_the_whole(size: Size, shift: tuple[int, int], siting: int) -> None:
    spec = ColorSpec("yuv", 8, shift, matrix=1, siting=siting, alpha=siting == 2)
    planes = noise(spec, size)
    whole = to_rgb(planes, spec)
    random = np.random.default_rng(siting)
    for _ in range(12):
        x, y = (int(random.integers(side)) for side in (size.width, size.height))
        box = Box(
            x,
            y,
            int(random.integers(1, size.width - x + 1)),
            int(random.integers(1, size.height - y + 1)),
        )
        part = part_to_rgb(planes, spec, box)
        assert torch.equal(part, whole[..., box.y : box.bottom, box.x : box.right]), box


@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (1, 1), (0, 1), (2, 0), (2, 2)])
@pytest.mark.parametrize("siting", [0, 2, 3, 4])
@pytest.mark.parametrize(
    "size",
    usually([Size(33, 21), Size(1, 1)], [Size(64, 48), Size(33, 21), Size(1, 1), Size(3, 2)]),
    ids=str,
)
def test_round_trip_is_identity(
    depth: int, shift: tuple[int, int], siting: int, size: Size
) -> None:
    for matrix in MATRICES:
        for full in (1, 2):
            spec = ColorSpec("yuv", depth, shift, matrix=matrix, range=full, siting=siting)
            planes = noise(spec, size)
            assert worst(planes, from_rgb(to_rgb(planes, spec), spec)) <= 1, spec


@pytest.mark.parametrize("depth", [8, 10, 16])
@pytest.mark.parametrize("alpha", [False, True])
def test_rgb_and_gray_round_trip(depth: int, alpha: bool) -> None:
    for spec in (
        ColorSpec("rgb", depth, (0, 0), alpha),
        ColorSpec("gray", depth, (0, 0), range=1),
        ColorSpec("gray", depth, (0, 0), range=2),
    ):
        planes = noise(spec, Size(20, 11))
        # float32 holds 24 bits: 16-bit codes come back exactly too
        assert worst(planes, from_rgb(to_rgb(planes, spec), spec)) <= 1


def test_half_precision_on_the_way_costs_no_code_at_8_and_one_at_10_bits() -> None:
    for depth, allowed in ((8, 1), (10, 1)):
        spec = ColorSpec("yuv", depth, (0, 0), matrix=1, range=1)
        ramp = torch.linspace(16 << (depth - 8), 235 << (depth - 8), 220).round().to(spec.dtype)
        gray = torch.full_like(ramp, 128 << (depth - 8))
        planes = tuple(line.reshape(1, 1, -1) for line in (ramp, gray, gray))
        assert worst(planes, from_rgb(to_rgb(planes, spec).half(), spec)) <= allowed


def swscale_rgb(planes: tuple[Tensor, ...], spec: ColorSpec, target: str) -> np.ndarray:
    """(h, w, 3) by swscale's most accurate path."""
    matrix = {1: "bt709", 5: "bt470bg", 9: "bt2020"}[spec.matrix]
    frame = pack(planes, 0, spec, name_of(spec))
    frame.pts = 0
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
    )
    scale = graph.add(
        "scale",
        f"in_color_matrix={matrix}:in_range={'pc' if spec.full else 'tv'}:out_range=pc:"
        "in_h_chr_pos=0:in_v_chr_pos=128:"  # chroma sits left, as unspecified does
        "flags=accurate_rnd+full_chroma_int+full_chroma_inp+bicubic",
    )
    kind = graph.add("format", f"pix_fmts={target}")
    graph.link_nodes(source, scale, kind, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull().to_ndarray()


@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize("full", [1, 2])
@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (1, 1)])
def test_colours_are_those_of_swscale(
    matrix: int, full: int, depth: int, shift: tuple[int, int]
) -> None:
    """Flat patches, so that only the matrix and the range speak; 10 bit via 16-bit RGB."""
    spec = ColorSpec("yuv", depth, shift, matrix=matrix, range=full)
    patches = torch.tensor([[60, 128, 128], [120, 90, 160], [200, 140, 110], [81, 90, 230]])
    for patch in patches << (depth - 8):
        planes = tuple(
            torch.full((1, size.height, size.width), int(value)).to(spec.dtype)
            for size, value in zip(spec.plane_sizes(Size(32, 16)), patch, strict=True)
        )
        theirs = swscale_rgb(planes, spec, "rgb48le" if depth > 8 else "rgb24")
        # swscale's 16-bit white is a shifted one: of 8 bits for limited, of 10 for full range
        peak = 255 if depth == 8 else 1023 << 6 if spec.full else 255 << 8
        mine = to_rgb(planes, spec)[0].permute(1, 2, 0).clamp(0, 1).numpy() * peak
        # swscale's fixed point rounds to a code of the source's depth
        assert np.abs(mine - np.minimum(theirs, peak)).max() <= peak / ((1 << depth) - 1) * 1.1


def test_chroma_is_as_sharp_as_swscale_s_accurate_path() -> None:
    """A smooth picture through 4:2:0 and back: both upsamplers must agree on it."""
    x = torch.linspace(0, 6.28, 128)
    smooth = torch.stack([torch.sin(x), torch.cos(2 * x), torch.sin(x + 1)])[:, None, :]
    rgb = (smooth.expand(3, 64, 128) * 0.3 + 0.5).unsqueeze(0)
    spec = ColorSpec("yuv", 8, (1, 1), matrix=1, range=1)
    planes = from_rgb(rgb, spec)
    mine = to_rgb(planes, spec)[0].permute(1, 2, 0).clamp(0, 1).numpy() * 255
    assert np.abs(mine - swscale_rgb(planes, spec, "rgb24")).mean() < 1.0
    assert np.abs(mine - rgb[0].permute(1, 2, 0).numpy() * 255).max() < 2.5


def test_untagged_video_is_read_by_the_usual_rule() -> None:
    untagged = ColorSpec("yuv")
    assert untagged.resolved(480).matrix == 6
    assert untagged.resolved(720).matrix == 1
    assert ColorSpec("yuv", matrix=9).resolved(480).matrix == 9

"""What did not change is not computed again, and the result is the same to the bit."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
import torch
from torch import Tensor, nn

from tests.infer.test_engine import Fussy, upscaler
from tests.marks import usually
from vsr.color import ColorSpec
from vsr.geometry import Size
from vsr.infer.device import has_fast_bfloat16
from vsr.infer.engine import Engine
from vsr.infer.footprint import Conversion
from vsr.infer.reuse import CELL, Planes
from vsr.models.arch import Upscaler
from vsr.models.interpolation import Phases
from vsr.options import EngineOptions

LOW = Size(155, 117)
YUV = ColorSpec("yuv", 8, (1, 1), matrix=6)
DTYPES = ("fp32", "bf16") if has_fast_bfloat16() else ("fp32",)
KINDS = [("tiny", "fp32"), ("bicubic", "bf16")]
SPECS = [
    YUV,
    ColorSpec("yuv", 10, (1, 0), matrix=9, range=2),
    ColorSpec("yuv", 8, (2, 0), matrix=1),
    ColorSpec("yuv", 8, (1, 1), matrix=1, siting=2),
    ColorSpec("rgb", 8, (0, 0), alpha=True),
    ColorSpec("gray", 16, (0, 0), range=2),
]


class Counted:
    """An engine, and how many pixels its network has seen."""

    def __init__(self, network: Upscaler, **options: object) -> None:
        self.engine = Engine(network, EngineOptions(device="cpu", **options))  # pyright: ignore[reportArgumentType]
        self.pixels = 0
        self.engine.tiling(
            Conversion(YUV, YUV, LOW, LOW.scaled(4)), 1
        )  # its memory is measured before
        module = self.engine._placed.network.module  # pyright: ignore[reportPrivateUsage]  # nothing else tells
        first = next((m for m in module.modules() if isinstance(m, nn.Conv2d | Phases)), module)
        first.register_forward_pre_hook(self._count)

    def _count(self, layer: nn.Module, given: tuple[Tensor]) -> None:
        del layer
        self.pixels += given[0].shape[0] * given[0].shape[2] * given[0].shape[3]

    def play(self, clips: list[Planes], spec: ColorSpec, size: Size) -> list[Planes]:
        """Each clip enlarged, one after the other."""
        return [self.engine.enlarge(clip, spec, spec, size) for clip in clips]


def footage(spec: ColorSpec, size: Size = LOW) -> list[Planes]:
    """A picture with a moving spot, specks at the borders, stills, and cuts; in clips of 5."""
    random = torch.Generator().manual_seed(3)
    top = 1 << spec.depth

    def noise(height: int, width: int) -> Tensor:
        return torch.randint(0, top, (height, width), generator=random).to(spec.dtype)

    def picture() -> list[Tensor]:
        return [noise(plane.height, plane.width) for plane in spec.plane_sizes(size)]

    frames = [picture()]
    for group in range(19):
        frame = picture() if group == 11 else [plane.clone() for plane in frames[-1]]
        if group % 5 != 3:  # else a still
            for plane in frame[group % len(frame) :]:  # sometimes chroma alone
                height, width = plane.shape
                x, y = (group * width // 19, group * height // 23)
                spot = plane[y : y + 9, x : x + 7]
                spot.copy_(noise(spot.shape[0], spot.shape[1]))
                if group % 4 == 2:
                    plane[0, -1] = (int(plane[0, -1]) + top // 2) % top
                    plane[-1, 0] = (int(plane[-1, 0]) + top // 2) % top
        frames.append(frame)
    stacked = tuple(torch.stack(plane) for plane in zip(*frames, strict=True))
    return [tuple(plane[start : start + 5] for plane in stacked) for start in range(0, 20, 5)]


def assert_same(one: list[Planes], other: list[Planes]) -> None:
    for first, second in zip(one, other, strict=True):
        for a, b in zip(first, second, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize(
    "spec", usually(SPECS[:3], SPECS), ids=lambda spec: f"{spec.layout}{spec.depth}{spec.shift}"
)
@pytest.mark.parametrize(
    ("size", "tile"),
    [
        (LOW.scaled(4), None),
        (Size(480, 352), 66),
        pytest.param(LOW.scaled(4), 66, marks=pytest.mark.extended),
        pytest.param(Size(480, 352), None, marks=pytest.mark.extended),
    ],
    ids=["whole", "tiled and resized", "tiled", "whole and resized"],
)
def test_the_result_is_the_same_to_the_bit(spec: ColorSpec, size: Size, tile: int | None) -> None:
    clips = footage(spec)
    whole = Counted(upscaler("compact"), reuse=None, tile=tile)
    parts = Counted(upscaler("compact"), reuse=0, tile=tile)
    assert_same(whole.play(clips, spec, size), parts.play(clips, spec, size))
    assert parts.pixels < (0.6 if tile is None else 0.85) * whole.pixels  # 2 in 20 are new


@pytest.mark.parametrize(
    ("name", "dtype"),
    usually(KINDS, dict.fromkeys([*KINDS, *product(("tiny", "bicubic", "srresnet"), DTYPES)])),
)
def test_it_is_the_same_for_every_kind_of_network(name: str, dtype: str) -> None:
    network = upscaler("compact" if name == "tiny" else name)
    clips = footage(YUV)
    whole = Counted(network, reuse=None, dtype=dtype).play(clips, YUV, LOW.scaled(4))
    parts = Counted(network, reuse=0, dtype=dtype).play(clips, YUV, LOW.scaled(4))
    assert_same(whole, parts)


def test_a_still_is_not_computed_at_all() -> None:
    clip = tuple(plane[:1].expand(6, -1, -1) for plane in footage(YUV)[0])
    counted = Counted(upscaler("compact"))
    first, second = counted.play([clip, clip], YUV, LOW.scaled(4))
    assert counted.pixels == LOW.pixels
    assert all((plane == plane[0]).all() for made in (first, second) for plane in made)


def test_what_moves_everywhere_is_computed_whole_and_in_batches() -> None:
    random = torch.Generator().manual_seed(1)
    noise = tuple(
        torch.randint(0, 256, (6, p.height, p.width), generator=random, dtype=torch.uint8)
        for p in YUV.plane_sizes(LOW)
    )
    counted = Counted(upscaler("compact"))
    counted.play([noise], YUV, LOW.scaled(4))
    assert counted.pixels == 6 * LOW.pixels


def test_a_faded_overlap_is_reused_for_stills_alone() -> None:
    clips = footage(YUV)
    network = upscaler("compact")
    whole, parts = (
        Counted(network, reuse=reuse, tile=50, overlap=6).play(clips, YUV, LOW.scaled(4))
        for reuse in (None, 0)
    )
    assert_same(whole, parts)


def test_another_size_or_colour_is_not_taken_for_the_same() -> None:
    network = upscaler("compact")
    engine = Engine(network, EngineOptions(device="cpu"))
    clip = footage(YUV)[0]
    other = ColorSpec("yuv", 8, (1, 1), matrix=1)
    for spec, size in ((YUV, LOW.scaled(4)), (YUV, Size(400, 300)), (other, LOW.scaled(4))):
        fresh = Engine(network, EngineOptions(device="cpu")).enlarge(clip, spec, spec, size)
        assert_same([engine.enlarge(clip, spec, spec, size)], [fresh])


def held(clips: list[Planes], tolerance: int) -> list[Planes]:
    """The law written out: a cell keeps its samples until one of them has moved by more."""
    frames = [tuple(plane[i].clone() for plane in clip) for clip in clips for i in range(5)]
    for before, frame in pairwise(frames):
        for y in range(0, LOW.height, CELL):
            for x in range(0, LOW.width, CELL):
                places = [
                    (slice(y // s, (y + CELL) // s), slice(x // s, (x + CELL) // s))
                    for s in (1, 2, 2)
                ]
                if all(
                    ((a[p].int() - b[p].int()).abs() <= tolerance).all()
                    for a, b, p in zip(frame, before, places, strict=True)
                ):
                    for a, b, p in zip(frame, before, places, strict=True):
                        a[p] = b[p]
    stacked = tuple(torch.stack(plane) for plane in zip(*frames, strict=True))
    return [tuple(plane[i : i + 5] for plane in stacked) for i in range(0, 20, 5)]


def test_a_tolerance_holds_small_changes_and_nothing_drifts() -> None:
    random = torch.Generator().manual_seed(8)
    clips = [
        tuple(
            (plane.int().clamp(8, 240) + torch.randint(-1, 2, plane.shape, generator=random)).to(
                plane.dtype
            )
            + (torch.arange(5) + 5 * index)[:, None, None].to(plane.dtype) // 4  # slowly brighter
            for plane in clip
        )
        for index, clip in enumerate(footage(YUV))
    ]
    network = upscaler("compact")
    parts = Counted(network, reuse=3)
    whole = Counted(network, reuse=None)
    expected = whole.play(held(clips, 3), YUV, LOW.scaled(4))
    assert_same(parts.play(clips, YUV, LOW.scaled(4)), expected)
    assert parts.pixels < 0.8 * whole.pixels


def test_it_forgets_when_told_to() -> None:
    clip = tuple(plane[:1] for plane in footage(YUV)[0])
    counted = Counted(upscaler("compact"), reuse=200)
    made = counted.play([clip], YUV, LOW.scaled(4))
    counted.engine.forget()
    darker = tuple((plane // 2 + 30).to(torch.uint8) for plane in clip)
    assert counted.pixels == LOW.pixels
    assert not torch.equal(counted.play([darker], YUV, LOW.scaled(4))[0][0], made[0][0])
    assert counted.pixels == 2 * LOW.pixels


def test_numbers_that_are_not_finite_are_redone_with_what_was_reused() -> None:
    network = Upscaler(Fussy(always=False), "fussy", "fussy", 2, halo=2)
    clips = footage(YUV)
    engine = Engine(network, EngineOptions(dtype="fp16", device="cpu"))
    plain = Engine(network, EngineOptions(dtype="fp32", device="cpu", reuse=None))
    size = LOW.scaled(2)
    made = [engine.enlarge(clip, YUV, YUV, size) for clip in clips]
    assert_same(made, [plain.enlarge(clip, YUV, YUV, size) for clip in clips])

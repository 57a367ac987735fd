"""Law: whatever planes hold, a network's result is finite and near to the interpolation.

Walked over every shipped network and every type that runs here. Decoded video is full of colours
outside of RGB: a network that had learnt 0..1 alone once answered them with blocks of garbage.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.marks import usually
from vsr.color import BT709, BT2020_NCL, SMPTE170M, ColorSpec, to_rgb
from vsr.events import Event, Warned
from vsr.geometry import Size
from vsr.infer.device import has_fast_bfloat16
from vsr.infer.engine import Engine
from vsr.infer.network import MAX_DEVIATION
from vsr.jobs.video.source import reader_for
from vsr.media.read.probe import probe
from vsr.media.streams.packets import Cut
from vsr.models.arch import Upscaler, make_upscaler
from vsr.models.module import SRModule
from vsr.options import DtypeName, EngineOptions
from vsr.weights import store

LOW = Size(28, 24)
SPECS = [
    ColorSpec(matrix=SMPTE170M, siting=1),
    ColorSpec(matrix=BT709, range=2, shift=(1, 0)),
    ColorSpec(matrix=BT2020_NCL, depth=10, siting=3),
    ColorSpec(matrix=BT709, depth=10, range=2, shift=(0, 0)),
    ColorSpec(layout="rgb", shift=(0, 0), alpha=True),
]
NAMES = usually(["compact", "video-tiny", "compact-video"], store.index())
"""Of two weights of one network `make test` takes one."""
QUICK = NAMES
DTYPES: tuple[DtypeName, ...] = ("fp32", "bf16") if has_fast_bfloat16() else ("fp32",)


def extremes(spec: ColorSpec) -> Iterator[tuple[str, tuple[Tensor, ...]]]:
    """Planes of one frame, each as hard as a picture can be."""
    dice = torch.Generator().manual_seed(3)
    peak = (1 << spec.depth) - 1
    sizes = spec.plane_sizes(LOW)

    def planes(name: str, *made: Tensor) -> tuple[str, tuple[Tensor, ...]]:
        return name, tuple(plane.to(spec.dtype)[None] for plane in made)

    def noise(size: Size) -> Tensor:
        return torch.randint(0, peak + 1, (size.height, size.width), generator=dice)

    def checks(size: Size, side: int) -> Tensor:
        down, across = torch.arange(size.height)[:, None], torch.arange(size.width)
        return (down // side + across // side) % 2 * peak

    def specks(size: Size, share: float) -> Tensor:
        spots = torch.rand(size.height, size.width, generator=dice) < share
        return torch.where(spots, noise(size) % 2 * peak, torch.full_like(spots, 0).long())

    yield planes("noise", *map(noise, sizes))
    yield planes("corners", *(noise(size) % 2 * peak for size in sizes))
    for side in (1, 2, 5):
        yield planes(f"checks of {side}", *(checks(size, side) for size in sizes))
    yield planes("specks", *(specks(size, 0.02) for size in sizes))
    yield planes("specks on white", *(peak - specks(size, 0.02) for size in sizes))
    for corner in product((0, 1), repeat=3):
        flat = [torch.full((size.height, size.width), peak) for size in sizes]
        yield planes(
            f"flat {corner}",
            *(plane * bit for plane, bit in zip(flat, (*corner, 1), strict=False)),
        )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_comes_out_is_near_to_the_interpolation(name: str, dtype: DtypeName) -> None:
    engine = Engine(store.load(name), EngineOptions("cpu", dtype))
    bicubic = Engine(store.load("bicubic"), EngineOptions("cpu"))
    for spec in SPECS:
        for kind, planes in extremes(spec):
            engine.forget()
            rgb = to_rgb(planes, spec)
            off = (engine.upscale(rgb) - bicubic.upscale(rgb)).abs().max()
            assert float(off) <= MAX_DEVIATION, (kind, spec)  # not-a-number is not, either


class Garbling(SRModule):
    """Doubles a picture; where its first channel is above 0.9, by a great number.

    ``strange`` is that number, ``half`` makes it so only in half precision.
    """

    def __init__(self, strange: float, half: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.strange, self.precise = strange, half

    def forward(self, pixels: Tensor) -> Tensor:
        large = pixels.repeat_interleave(2, 2).repeat_interleave(2, 3)
        if self.precise and self.weight.dtype == torch.float32:
            return large
        return torch.where(large[:, :1] > 0.9, torch.full_like(large, self.strange), large)


def garbling(strange: float, *, half: bool = False) -> Upscaler:
    return make_upscaler(Garbling(strange, half), name="garbling", arch="garbling")


@pytest.mark.parametrize("strange", [-30.0, 1e30, float("inf"), float("nan")])
@pytest.mark.parametrize("tile", [None, 40])
def test_garbage_is_replaced_by_the_interpolation_and_counted(
    strange: float, tile: int | None
) -> None:
    events: list[Event] = []
    pixels = torch.rand(3, 3, 90, 110) * 0.8
    clean = Engine(garbling(strange), EngineOptions("cpu", "fp32")).upscale(pixels)
    pixels[1, 0, 50, 60] = 0.95
    engine = Engine(garbling(strange), EngineOptions("cpu", "fp32", tile=tile), events.append)
    made = engine.upscale(pixels)
    assert engine.mended == 1
    assert len([event for event in events if isinstance(event, Warned)]) == 1
    expected = pixels.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(expected[0], made[0])
    torch.testing.assert_close(expected[2], made[2])
    # Its cell of 16 pixels, and one around it.
    rows, columns = slice(2 * 32, 2 * 80), slice(2 * 32, 2 * 80)
    half = functional.interpolate(pixels[1:2], scale_factor=2, mode="bicubic", antialias=True)
    torch.testing.assert_close(made[1, :, rows, columns], half[0, :, rows, columns])
    outside = made[1].clone()
    outside[:, rows, columns] = clean[1, :, rows, columns]
    torch.testing.assert_close(outside, clean[1])


def test_half_precision_is_widened_before_anything_is_replaced() -> None:
    engine = Engine(garbling(500.0, half=True), EngineOptions("cpu", "bf16"))
    pixels = torch.rand(1, 3, 40, 50)
    torch.testing.assert_close(
        engine.upscale(pixels), pixels.repeat_interleave(2, 2).repeat_interleave(2, 3)
    )
    assert engine.mended == 0
    assert engine.placement.dtype == torch.float32


def test_tiles_and_reuse_change_nothing_where_garbage_is_replaced() -> None:
    spec = ColorSpec(layout="rgb", shift=(0, 0))
    frames = torch.randint(0, 200, (6, 3, 90, 110), generator=torch.Generator().manual_seed(2))
    frames[1:] = frames[:1]
    frames[2:4, 0, 70, 20] = 250  # appears, stays, is gone
    frames[3, 1, 10, 100] = 3
    planes = tuple(plane.to(torch.uint8) for plane in frames.unbind(1))
    clips = [tuple(plane[at : at + 2] for plane in planes) for at in (0, 2, 4)]
    made: list[list[Tensor]] = []
    for options in (
        EngineOptions("cpu", "fp32", reuse=None),
        EngineOptions("cpu", "fp32", reuse=0),
        EngineOptions("cpu", "fp32", tile=40, batch=3),
    ):
        engine = Engine(garbling(77.0), options)
        planes_of = [engine.enlarge(clip, spec, spec, Size(220, 180)) for clip in clips]
        made.append([torch.cat(plane) for plane in zip(*planes_of, strict=True)])
        assert engine.mended == 2
    for other in made[1:]:
        for plane, expected in zip(other, made[0], strict=True):
            assert torch.equal(plane, expected)


@pytest.mark.parametrize("name", ["compact", "srresnet", "bicubic"])
def test_super_white_and_super_black_are_not_lost(name: str) -> None:
    """Of limited range, luma 5 and 250 come out as they went in."""
    spec = ColorSpec(matrix=BT709, shift=(0, 0))
    planes = tuple(torch.full((1, 40, 48), 128, dtype=torch.uint8) for _ in range(3))
    planes[0][..., :24], planes[0][..., 24:] = 5, 250
    made = Engine(store.load(name), EngineOptions("cpu")).enlarge(
        planes, spec, spec, Size(192, 160)
    )
    assert (made[0][..., 40:56].int() - 5).abs().max() <= 2
    assert (made[0][..., -56:-40].int() - 250).abs().max() <= 2


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dark_clip_out_of_gamut_shows_no_block_of_garbage(
    name: str, dtype: DtypeName, media: Path
) -> None:
    """The clip of natural video on which `compact` had painted one into every frame."""
    info = probe(media / "tricky" / "out_of_gamut_dark_192x108.mp4")
    spec = info.color.resolved(info.size.height)
    clip = next(iter(reader_for(info, Cut(), fields=None, clip_frames=4)))
    assert float(to_rgb(clip.planes, spec).min()) < -0.1
    engine, bicubic = (
        Engine(store.load(model), EngineOptions("cpu", dtype)) for model in (name, "bicubic")
    )
    one, other = (
        which.enlarge(clip.planes, spec, spec, info.size.scaled(4)) for which in (engine, bicubic)
    )
    assert engine.mended == 0
    for plane, expected in zip(one, other, strict=True):
        off = functional.avg_pool2d(plane.float() - expected.float(), 16)
        assert float(off.abs().max()) < 12  # code values, over blocks of 4 source pixels

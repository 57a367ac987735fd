"""Law 10: what a network with a memory makes depends on the frames alone.

Not on tiles, batches, threads or how frames came in clips; and what is redone begins from the
memory that was there before.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.marks import usually
from vsr.color import BT709, SMPTE170M, ColorSpec
from vsr.events import BackedOff, Event
from vsr.geometry import Size
from vsr.infer.device import has_fast_bfloat16
from vsr.infer.engine import Engine
from vsr.infer.footprint import Conversion
from vsr.jobs.enlarge import enlarger
from vsr.media.clip import Clip
from vsr.media.read.lead_in import LeadIn
from vsr.models.arch import Upscaler, make_upscaler
from vsr.models.recurrent import Recurrent, warped
from vsr.motion import MotionEstimator, is_cut, vectors_between
from vsr.options import DtypeName, EngineOptions

LOW = Size(97, 75)
SPEC = ColorSpec(matrix=SMPTE170M, siting=1)
SPECS = [
    SPEC,
    ColorSpec(matrix=BT709, depth=10, range=2, shift=(1, 0)),
    ColorSpec(layout="gray", shift=(0, 0)),
    ColorSpec(layout="rgb", shift=(0, 0), alpha=True),
]
DTYPES: tuple[DtypeName, ...] = ("fp32", "bf16") if has_fast_bfloat16() else ("fp32",)


def network(layers: int = 4) -> Upscaler:
    """A small one whose memory counts for as much as the frame."""
    torch.manual_seed(0)
    module = Recurrent(4, 16, layers)
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
        module.tail.weight *= 0.1
        for block in module.blocks:
            block.body[2].weight *= 0.2  # pyright: ignore[reportIndexIssue, reportAttributeAccessIssue]
        module.head[0].weight[:, 8:] *= 0.5  # pyright: ignore[reportIndexIssue]
    return make_upscaler(module, name="memory", arch="recurrent")


def scene(size: Size, seed: int = 1) -> Tensor:
    """Smooth noise to move a window over, (h, w) 0..1."""
    dice = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 1, size.height // 3 + 20, size.width // 3 + 20, generator=dice)
    return torch.nn.functional.interpolate(coarse, scale_factor=3, mode="bicubic")[0, 0].clamp(0, 1)


def film(spec: ColorSpec = SPEC, size: Size = LOW, frames: int = 9) -> tuple[Tensor, ...]:
    """Frames that pan, hold (frame 3), and are cut (frame 6)."""
    peak = (1 << spec.depth) - 1
    lists: list[list[Tensor]] = []
    for index in range(frames):
        shown = 2 if index == 3 else index
        whole = scene(size, 7 if index >= 6 else 1) * peak
        planes: list[Tensor] = []
        for number, plane in enumerate(spec.plane_sizes(size)):
            step = size.width // plane.width
            part = whole[number : number + size.height, 2 * shown : 2 * shown + size.width]
            small = part[:: size.height // plane.height, ::step][: plane.height, : plane.width]
            padded = torch.zeros(plane.height, plane.width)
            padded[: small.shape[0], : small.shape[1]] = small
            planes.append(padded.round().to(spec.dtype))
        lists.append(planes)
    return tuple(torch.stack(plane) for plane in zip(*lists, strict=True))


def play(
    engine: Engine,
    planes: tuple[Tensor, ...],
    spec: ColorSpec = SPEC,
    size: Size | None = None,
    clip: int = 4,
) -> tuple[Tensor, ...]:
    low = Size(planes[0].shape[-1], planes[0].shape[-2])
    made = [
        engine.enlarge(
            tuple(plane[at : at + clip] for plane in planes), spec, spec, size or low.scaled(4)
        )
        for at in range(0, len(planes[0]), clip)
    ]
    return tuple(torch.cat(plane) for plane in zip(*made, strict=True))


def same(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_film_begins_as_in_a_run() -> None:
    """Its first frame, which has none before it, has seen those behind it backwards."""
    rgb = ColorSpec(layout="rgb", shift=(0, 0))
    frames = torch.stack(film(rgb), 1).float() / 255
    engine, other = (Engine(network(), EngineOptions("cpu", "fp32")) for _ in range(2))
    engine.begin_film(frames)
    made = engine.follow(frames)
    mirrored = other.follow(torch.cat([frames[1:5].flip(0), frames]))[4:]
    assert torch.equal(made, mirrored)
    engine.forget()
    alone = engine.follow(frames[:1])
    assert not torch.equal(alone, made[:1])
    engine.begin_film(frames[:1])
    assert torch.equal(engine.follow(frames[:1]), alone)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.layout}{spec.depth}")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", usually([Size(300, 250)], [None, Size(300, 250)]), ids=str)
def test_tiles_batches_and_clips_change_nothing(
    spec: ColorSpec, dtype: DtypeName, size: Size | None
) -> None:
    planes = film(spec, Size(150, 122))
    upscaler = network()
    plain = play(Engine(upscaler, EngineOptions("cpu", dtype, tile=4096)), planes, spec, size)
    for tile, batch, clip in ((80, 1, 4), (96, 3, 1), (88, 2, 9)):
        options = EngineOptions("cpu", dtype, tile=tile, batch=batch)
        assert same(play(Engine(upscaler, options), planes, spec, size, clip), plain)


def test_threads_change_nothing() -> None:
    planes, upscaler = film(), network()
    made: list[tuple[Tensor, ...]] = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        made.append(play(Engine(upscaler, EngineOptions("cpu")), planes))
    assert same(*made)


def test_it_remembers() -> None:
    planes, upscaler = film(), network()
    engine = Engine(upscaler, EngineOptions("cpu"))
    whole = play(engine, planes)
    engine.forget()
    late = play(engine, tuple(plane[1:] for plane in planes))
    assert not torch.equal(whole[0][1], late[0][0])
    assert torch.equal(whole[0][6:], late[0][5:])  # a cut: nothing before it counts


def test_a_held_frame_is_the_one_before_and_leaves_no_trace() -> None:
    planes, upscaler = film(), network()
    engine = Engine(upscaler, EngineOptions("cpu"))
    whole = play(engine, planes)
    assert torch.equal(whole[0][3], whole[0][2])
    engine.forget()
    left_out = tuple(torch.cat([plane[:3], plane[4:]]) for plane in planes)
    assert torch.equal(play(engine, left_out)[0][3:], whole[0][4:])


@pytest.mark.parametrize("size", [Size(1, 1), Size(2, 34), Size(33, 15), Size(17, 18)], ids=str)
def test_sizes_of_all_kinds(size: Size) -> None:
    planes = film(SPEC, size, 3)
    made = play(Engine(network(), EngineOptions("cpu")), planes)
    assert made[0].shape == (3, size.height * 4, size.width * 4)


def test_other_sizes_and_colours_begin_anew() -> None:
    upscaler = network()
    engine = Engine(upscaler, EngineOptions("cpu"))
    play(engine, film())
    small = film(SPEC, Size(64, 48), 2)
    fresh = Engine(upscaler, EngineOptions("cpu"))
    assert same(play(engine, small), play(fresh, small))


class Exhausted(Recurrent):
    """Runs out of memory, or of numbers, at one of its steps, where a window or a type is wide."""

    at, kind, steps = -1, "", 0

    def step(self, pixels: Tensor, before: Tensor, state: Tensor):
        if pixels.shape[-1] > 60:
            self.__class__.steps += 1
            if self.steps == self.at and self.kind == "memory":
                raise RuntimeError("out of memory")
        cells, fresh = super().step(pixels, before, state)
        bad = self.steps == self.at and self.kind == "numbers" and fresh.dtype != torch.float32
        return (
            (replace(cells, parts=(*cells.parts[:-1], cells.parts[-1] * float("nan"))), fresh)
            if bad
            else (cells, fresh)
        )


@pytest.mark.parametrize("kind", ["memory", "numbers"])
def test_what_is_redone_begins_from_the_memory_before(kind: str) -> None:
    planes = film()
    upscaler = network()
    module = Exhausted(4, 16, 4)
    module.load_state_dict(upscaler.module.state_dict())
    Exhausted.at, Exhausted.kind, Exhausted.steps = 5, kind, 0
    events: list[Event] = []
    weak = make_upscaler(module.eval(), name="weak", arch="recurrent")
    Exhausted.steps = 0
    dtype: DtypeName = "fp32" if kind == "memory" else "bf16"
    made = play(Engine(weak, EngineOptions("cpu", dtype), events.append), planes)
    assert len([event for event in events if isinstance(event, BackedOff)]) == 1
    calm = play(Engine(upscaler, EngineOptions("cpu", dtype)), planes)
    if kind == "memory":
        assert same(made, calm)
    else:  # float32 from there on
        assert torch.equal(made[0][:4], calm[0][:4])
        assert (made[0].int() - calm[0].int()).abs().max() <= 3


def test_frames_of_a_lead_in_are_not_counted_where_they_are_mended() -> None:
    upscaler = network()
    with torch.no_grad():
        upscaler.module.get_parameter("tail.weight").mul_(1e4)
    engine, conversion = Engine(upscaler, EngineOptions("cpu")), Conversion(SPEC, SPEC, LOW, LOW)
    clip = Clip(film(frames=3), SPEC, (0, 1, 2), (1, 1, 1), Fraction(1, 25))
    stage = enlarger(engine, lambda _: conversion)
    for shown in LeadIn([clip], lead_frames=4, segment_frames=9):
        stage(shown)()
    assert engine.mended == 3


def test_motion_is_that_of_the_picture_and_the_same_for_any_grouping() -> None:
    whole = (scene(Size(120, 100)) * 255).round().to(torch.uint8)
    frames = torch.stack([whole[2 * n : 2 * n + 90, 3 * n : 3 * n + 110] for n in range(5)])
    spec = ColorSpec("gray", shift=(0, 0))
    one = MotionEstimator(threads=3).next((frames,), spec)
    assert one.begins == (True, False, False, False, False)
    # Right and down by what the window moved: the picture lay there in the frame before.
    inside = one.vectors[1:, :, 20:-20, 20:-20].float() / 16
    assert (inside.mean((0, 2, 3)) - torch.tensor([3.0, 2.0])).abs().max() < 0.05
    parts = MotionEstimator()
    vectors = torch.cat([parts.next((frames[at : at + 2],), spec).vectors for at in (0, 2, 4)])
    assert torch.equal(vectors, one.vectors)


def test_cuts_are_found_and_flashes_and_fades_are_not_cuts() -> None:
    one = (scene(Size(160, 120), 1) * 200).round().to(torch.uint8).numpy()[:120, :160].copy()
    other = (scene(Size(160, 120), 2) * 200).round().to(torch.uint8).numpy()[:120, :160].copy()
    assert is_cut(other, one, vectors_between(other, one))
    bright = (one.astype(int) // 2 + 120).clip(0, 255).astype("uint8")
    dark = (one * 0.3).astype("uint8")
    for shown in (bright, dark):
        assert not is_cut(shown, one, vectors_between(shown, one))
        assert not is_cut(one, shown, vectors_between(one, shown))


def test_noise_over_a_soft_scene_is_no_cut() -> None:
    """Each frame had begun a scene, and the memory was of no use."""
    random = np.random.default_rng(0)

    def soft(seed: int) -> NDArray[np.uint8]:
        luma = (scene(Size(160, 120), seed) * 200).round().to(torch.uint8).numpy()[:120, :160]
        noise = random.standard_normal(luma.shape) * 6
        blurred = cv2.GaussianBlur(luma.astype(np.float32), (0, 0), 8)
        return np.clip(blurred + noise, 0, 255).round().astype(np.uint8)

    one, again, other = soft(1), soft(1), soft(2)
    assert not is_cut(again, one, vectors_between(again, one))
    assert is_cut(other, one, vectors_between(other, one))


def test_a_frame_too_wide_to_be_warped_is_no_cut() -> None:
    wide = np.zeros((16, 33000), np.uint8)
    assert not is_cut(wide, wide, np.zeros((2, 16, 33000), np.int16))


def test_warping_is_the_identity_without_motion_and_exact_for_whole_pixels() -> None:
    pixels = torch.rand(1, 5, 20, 31)
    torch.testing.assert_close(warped(pixels, torch.zeros(1, 2, 20, 31)), pixels)
    motion = torch.zeros(1, 2, 20, 31)
    motion[:, 0], motion[:, 1] = 3, -2
    moved = warped(pixels, motion)
    torch.testing.assert_close(moved[..., 2:, :-3], pixels[..., :-2, 3:])
    torch.testing.assert_close(moved[..., 0, :28], pixels[..., 0, 3:])  # continued at the border

"""Clips in flight: nothing waits before planes land, and what is made again is made as in order.

On a CPU made to hand clips on as it does for a GPU.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from itertools import product
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.infer.test_engine import upscaler
from tests.infer.test_recurrent import network as remembering
from tests.marks import usually
from vsr.color import ColorSpec
from vsr.events import BackedOff, Event, Warned
from vsr.geometry import Size
from vsr.infer import device as devices
from vsr.infer.engine import Engine
from vsr.infer.footprint import Conversion
from vsr.infer.host_transfer import ClipInFlight, InFlight, PendingFrames
from vsr.infer.reuse import FrameComparison, Planes
from vsr.models.arch import Upscaler, make_upscaler
from vsr.models.module import SRModule
from vsr.models.recurrent import Recurrent
from vsr.models.subpixel import SubpixelOutput
from vsr.motion import MotionEstimator
from vsr.options import EngineOptions

LOW, SPEC = Size(80, 64), ColorSpec(matrix=6, range=2)
CLIPS, FRAMES = 8, 3
Kind = Literal["half", "always", "memory"]


class Touchy(SRModule):
    """Nearest, but no picture of anything near white: in half precision, or always."""

    def __init__(self, always: bool) -> None:
        super().__init__()
        self.weight, self.always = nn.Parameter(torch.ones(1)), always

    def forward(self, pixels: Tensor) -> Tensor:
        large = pixels.repeat_interleave(2, 2).repeat_interleave(2, 3) * self.weight
        touched = self.always or self.weight.dtype != torch.float32
        return torch.where(large > 0.97, torch.inf, large) if touched else large


class TouchyMemory(Recurrent):
    """A network with a memory that makes no picture of anything near white in half precision."""

    def step(self, pixels: Tensor, before: Tensor, state: Tensor) -> tuple[SubpixelOutput, Tensor]:
        cells, features = super().step(pixels, before, state)
        if next(self.parameters()).dtype == torch.float32:
            return cells, features
        bad = torch.where(pixels.amax((1, 2, 3), keepdim=True) > 0.97, torch.inf, 0.0)
        *others, learned = cells.parts
        return SubpixelOutput((*others, learned + bad), cells.side), features


def network(kind: Kind) -> Upscaler:
    if kind == "memory":
        like = remembering(2)
        module = TouchyMemory(4, 16, 2)
        module.load_state_dict(like.module.state_dict())
        return make_upscaler(module, name="memory", arch="recurrent")
    return Upscaler(Touchy(kind == "always"), "touchy", "touchy", 2, halo=2)


def footage(white: set[int]) -> list[Planes]:
    """Clips of frames in which little changes; those numbered hold a white spot."""
    dice = torch.Generator().manual_seed(2)
    still = [
        torch.randint(20, 200, (size.height, size.width), generator=dice).to(torch.uint8)
        for size in SPEC.plane_sizes(LOW)
    ]
    clips: list[Planes] = []
    for clip in range(CLIPS):
        planes = tuple(plane.expand(FRAMES, -1, -1).clone() for plane in still)
        for chroma in planes[1:]:
            chroma.fill_(128)
        for frame in range(FRAMES):
            at = 4 + 5 * (clip * FRAMES + frame) % 60
            planes[0][frame, 10:18, at : at + 8] = 90
        if clip in white:
            planes[0][1, 30:34, 40:46] = 255
        clips.append(planes)
    return clips


def engine(kind: Kind, told: list[Event], *, waits: bool) -> Engine:
    dtype = "fp16" if kind == "half" else "bf16"
    made = Engine(network(kind), EngineOptions("cpu", dtype), told.append)
    made._waits = waits  # pyright: ignore[reportPrivateUsage]  # as on a GPU
    return made


def played(
    made: Engine, clips: list[Planes], *, ahead: int, segment: int = 4, threads: bool = False
) -> list[Planes]:
    """Every clip, each waited for once ``ahead`` more were begun; segments of so many clips."""
    scale = made.upscaler.scale
    results: dict[int, Planes] = {}
    waiting: list[tuple[int, Callable[[], Planes]]] = []
    running: list[threading.Thread] = []

    def land(number: int, wait: Callable[[], Planes]) -> None:
        results[number] = tuple(plane.clone() for plane in wait())

    def take() -> None:
        if threads:
            running.append(threading.Thread(target=land, args=waiting.pop(0)))
            running[-1].start()
        else:
            land(*waiting.pop(0))

    for number, clip in enumerate(clips):
        if number % segment == 0:
            made.forget()
        waiting.append(
            (number, made.begin(clip, Conversion(SPEC, SPEC, LOW, LOW.scaled(scale))).wait)
        )
        if len(waiting) > ahead:
            take()
    while waiting:
        take()
    for thread in running:
        thread.join()
    return [results[number] for number in range(len(clips))]


def same(one: list[Planes], other: list[Planes]) -> bool:
    return all(
        torch.equal(a, b)
        for first, second in zip(one, other, strict=True)
        for a, b in zip(first, second, strict=True)
    )


WHITE = (set[int](), {0}, {2}, {3}, {5, 6}, {7})
USUAL = [
    *((kind, {5, 6}, ahead) for kind in ("half", "always") for ahead in (0, 2, 7)),
    *((kind, white, 2) for kind in ("half", "always") for white in WHITE),
    *(("memory", *case) for case in ((set[int](), 2), ({5, 6}, 7))),
]
RARE = [
    *product(("half", "always"), WHITE, (0, 2, 7)),
    *(("memory", *case) for case in ((set[int](), 2), ({0}, 7), ({2}, 0), ({3}, 7), ({5, 6}, 7))),
]


@pytest.mark.parametrize(
    ("kind", "white", "ahead"),
    usually(USUAL, RARE),
    ids=str,
)
def test_what_is_made_again_is_as_in_order(kind: Kind, white: set[int], ahead: int) -> None:
    clips = footage(white)
    told: tuple[list[Event], list[Event]] = ([], [])
    in_order, in_flight = (
        engine(kind, said, waits=w) for said, w in zip(told, (True, False), strict=True)
    )
    expected = played(in_order, clips, ahead=0)
    assert same(played(in_flight, clips, ahead=ahead), expected)
    assert in_flight.mended == in_order.mended
    assert bool(in_order.mended) == (kind == "always" and bool(white))
    kinds = [[type(event) for event in said] for said in told]
    assert kinds[0] == kinds[1]
    assert (BackedOff in kinds[0] or Warned in kinds[0]) == bool(white)


def test_from_other_threads_while_more_is_asked_for() -> None:
    clips = footage({1, 4, 6})
    for _ in range(5):
        in_order, in_flight = (engine("half", [], waits=waits) for waits in (True, False))
        expected = played(in_order, clips, ahead=0)
        assert same(played(in_flight, clips, ahead=2, threads=True), expected)


def test_a_clip_that_another_thread_settles_meanwhile_is_waited_for() -> None:
    """It settles between the look at the clip and the look at the list, which is empty then."""

    class Meanwhile:
        def __init__(self) -> None:
            self.lock, self.armed = threading.Lock(), False

        def __enter__(self) -> None:
            if self.armed:
                self.armed = False
                other = threading.Thread(target=wait)
                other.start()
                other.join()
            self.lock.acquire()

        def __exit__(self, *_: object) -> None:
            self.lock.release()

    in_flight, listed = InFlight(threading.RLock()), Meanwhile()
    in_flight._list = listed  # pyright: ignore
    planes = torch.arange(4), torch.tensor(True)

    def never() -> Planes:
        raise AssertionError

    wait = in_flight.add(ClipInFlight(PendingFrames(planes), lambda: None, never))
    listed.armed = True
    assert torch.equal(wait()[0], planes[0])


def test_planes_may_be_waited_for_in_any_order_and_often() -> None:
    clips = footage({2})
    expected = played(engine("half", [], waits=True), clips, ahead=0, segment=CLIPS)
    made = engine("half", [], waits=False)
    landings = [made.begin(clip, Conversion(SPEC, SPEC, LOW, LOW.scaled(2))) for clip in clips]
    order = list(range(CLIPS)) * 2
    random.Random(3).shuffle(order)
    for place in order:
        assert same([landings[place].wait()], [expected[place]])


class Waits(TorchDispatchMode):
    """Counts what would wait for a GPU: numbers of tensors that Python asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        self.count += "_local_scalar_dense" in str(func) or "nonzero" in str(func)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["compact", "memory"])
def test_nothing_is_waited_for_before_planes_land(name: str) -> None:
    made = Engine(
        remembering(2) if name == "memory" else upscaler(name), EngineOptions("cpu", "bf16")
    )
    made._waits = False  # pyright: ignore[reportPrivateUsage]
    comparison = FrameComparison(0)
    clips, estimator = footage(set()), MotionEstimator()
    played(made, clips[:1], ahead=0)  # what is chosen once
    made.forget()
    for clip in clips[:3]:
        shown, changed = comparison.next(clip)  # elsewhere, as in the thread that reads
        motion = estimator.next(clip, SPEC) if name == "memory" else None
        with Waits() as waits:
            pending = made.begin(shown, Conversion(SPEC, SPEC, LOW, LOW.scaled(4)), motion, changed)
        assert waits.count == 0
        pending.wait()


def test_memory_that_runs_out_in_flight_is_as_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = footage({5})

    def run(waits: bool) -> tuple[list[Planes], list[Event]]:
        told: list[Event] = []
        made = engine("half", told, waits=waits)
        count = 0
        module = made._placed.network.module  # pyright: ignore[reportPrivateUsage]

        def exhausted(layer: nn.Module, given: object) -> None:
            nonlocal count
            del layer, given
            count += 1
            if count == 4:
                raise torch.OutOfMemoryError("as asked")

        made.tiling(Conversion(SPEC, SPEC, LOW, LOW.scaled(2)), FRAMES)
        module.register_forward_pre_hook(exhausted)
        return played(made, clips, ahead=3, segment=CLIPS), told

    monkeypatch.setattr(devices, "CPU_BATCH_PIXELS", 1 << 20)
    (expected, first), (made, second) = run(True), run(False)
    assert same(made, expected)
    assert any(isinstance(event, BackedOff) and event.reason == "out of memory" for event in first)
    assert [str(event) for event in first] == [str(event) for event in second]


def test_a_failure_of_what_is_made_again_is_told_by_whoever_waits() -> None:
    clips = footage({2})
    made = engine("half", [], waits=False)
    landings = [made.begin(clip, Conversion(SPEC, SPEC, LOW, LOW.scaled(2))) for clip in clips[:4]]

    def broken(dtype: object) -> None:
        raise ValueError(f"no {dtype}")

    made._placed._place = broken  # pyright: ignore[reportPrivateUsage]
    landings[1].wait()
    with pytest.raises(ValueError, match="no torch"):
        landings[3].wait()


@pytest.mark.parametrize("tolerance", [0, 3])
def test_frames_compared_ahead_are_as_compared_by_the_engine(tolerance: int) -> None:
    clips = footage(set())
    ahead, here = (
        Engine(upscaler("compact"), EngineOptions("cpu", "fp32", reuse=tolerance)) for _ in range(2)
    )
    comparison = FrameComparison(tolerance)
    for number, clip in enumerate(clips):
        if number == 5:
            comparison.forget()
            ahead.forget()
            here.forget()
        shown, changed = comparison.next(clip)
        one = ahead.begin(shown, Conversion(SPEC, SPEC, LOW, LOW.scaled(4)), None, changed).wait()
        assert same([one], [here.enlarge(clip, SPEC, SPEC, LOW.scaled(4))])

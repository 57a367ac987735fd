"""Law 3: tiled equals untiled. And memory that really runs out, and numbers that are not finite."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

import vsr
from vsr.color import ColorSpec
from vsr.errors import DeviceError, OptionsError, OutOfMemory, WeightsError
from vsr.events import BackedOff, Event
from vsr.geometry import Size
from vsr.infer import device as devices
from vsr.infer import independent, recurrent
from vsr.infer.engine import Engine
from vsr.infer.footprint import Conversion
from vsr.infer.output import PlaneOutput
from vsr.infer.sizing import peak_bytes
from vsr.infer.tiles import TilePlan
from vsr.models.arch import Upscaler, fuse_batchnorm, make_upscaler
from vsr.models.catalog import ARCHS
from vsr.models.interpolation import Interpolation
from vsr.models.module import SRModule
from vsr.models.recurrent import Recurrent
from vsr.options import EngineOptions

SMALL = {"features": 16, "blocks": 1, "layers": 4, "mapped": 8, "growth": 8}


def upscaler(name: str, hparams: dict[str, int] | None = None) -> Upscaler:
    torch.manual_seed(0)
    arch = ARCHS[name]
    small = {key: value for key, value in SMALL.items() if key in arch.defaults}
    module = fuse_batchnorm(arch.module(small if hparams is None else hparams))
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)  # lively everywhere, so that a seam would show
    last = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    if last:
        last[-1].weight.data *= 0.2  # but no livelier than a picture can be
    return make_upscaler(module, name=name, arch=name, dtypes=(torch.bfloat16, torch.float32))


def pictures(count: int, height: int, width: int, channels: int = 3) -> Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("name", ARCHS)
@pytest.mark.parametrize("size", [None, Size(300, 210), Size(500, 333)], ids=str)
def test_tiled_equals_untiled(name: str, size: Size | None) -> None:
    network = upscaler(name)
    pixels = pictures(2, 61, 97)
    whole = Engine(network, EngineOptions(dtype="fp32", tile=4096)).upscale(pixels, size)
    for extra, batch in ((33, 1), (40, 5)):
        tile = 2 * network.halo + 20 + extra  # does not divide the frame
        tiled = Engine(network, EngineOptions(dtype="fp32", tile=tile, batch=batch))
        difference = (tiled.upscale(pixels, size) - whole).abs().max()
        # nearest moves values about; float32 sums may be ordered otherwise
        assert difference == 0 if name == "nearest" and size is None else difference < 1e-5


@pytest.mark.extended
@pytest.mark.parametrize("size", [Size(16, 16), Size(64, 8), Size(5, 40), Size(12, 12)])
@pytest.mark.parametrize("name", ["tiny", "video-tiny"])
def test_small_frames_do_not_depend_on_the_batch(name: str, size: Size) -> None:
    pixels = torch.rand(3, 3, size.height, size.width, generator=torch.Generator().manual_seed(0))
    made = [
        Engine(vsr.load(name), EngineOptions(device="cpu", dtype="fp32", batch=batch)).upscale(
            pixels
        )
        for batch in (1, 2, 3)
    ]
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2])


def test_tiled_equals_untiled_for_the_full_srresnet() -> None:
    network = upscaler("srresnet", {})
    pixels = pictures(1, 116, 60)
    whole = Engine(network, EngineOptions(dtype="fp32", tile=4096)).upscale(pixels)
    tiled = Engine(network, EngineOptions(dtype="fp32", tile=113)).upscale(pixels)
    assert (tiled - whole).abs().max() < 1e-5 * whole.abs().max().clamp(min=1)


def test_half_precision_tiles_fit_within_its_rounding() -> None:
    network = upscaler("compact")
    pixels = pictures(1, 70, 90)
    whole = Engine(network, EngineOptions(dtype="bf16", tile=4096)).upscale(pixels)
    tiled = Engine(network, EngineOptions(dtype="bf16", tile=57)).upscale(pixels)
    assert (tiled - whole).abs().max() <= 2**-8 * whole.abs().max()  # bfloat16 keeps 8 bits


@pytest.mark.parametrize(
    "spec",
    [
        ColorSpec("yuv", 8, (1, 1), matrix=6),
        ColorSpec("yuv", 10, (1, 0), matrix=9, range=2),
        ColorSpec("yuv", 8, (2, 0), matrix=1),
        ColorSpec("yuv", 8, (1, 1), matrix=1, siting=2),
        ColorSpec("rgb", 8, (0, 0), alpha=True),
        ColorSpec("gray", 16, (0, 0), range=2),
    ],
    ids=lambda spec: f"{spec.layout}{spec.depth}{spec.shift}",
)
@pytest.mark.parametrize("size", [Size(572, 404), Size(300, 212)], ids=str)
def test_planes_are_the_same_however_tiled(spec: ColorSpec, size: Size) -> None:
    generator = torch.Generator().manual_seed(7)
    planes = tuple(
        torch.randint(0, 1 << spec.depth, (2, p.height, p.width), generator=generator).to(
            spec.dtype
        )
        for p in spec.plane_sizes(Size(143, 101))
    )
    for name in ("nearest", "compact"):
        network = upscaler(name)
        whole, tiled = (
            Engine(network, EngineOptions(dtype="fp32", tile=tile, batch=3)).enlarge(
                planes, spec, spec, size
            )
            for tile in (4096, 2 * network.halo + 61)
        )
        assert [p.shape[-2:] for p in whole] == [
            (p.height, p.width) for p in spec.plane_sizes(size)
        ]
        for first, second in zip(whole, tiled, strict=True):
            step = (first.int() - second.int()).abs()
            exact = name == "nearest" and size == Size(572, 404)
            assert step.max() <= (0 if exact else 1)  # where floats are summed, a rounding may flip
            assert step.float().mean() < (0.2 if spec.depth == 16 else 1e-3)


@pytest.mark.parametrize("tile", [182, 189])
def test_a_far_smaller_target_is_the_same_however_tiled(tile: int) -> None:
    """Some tiles keep less of the source than becomes one sample of chroma."""
    spec = ColorSpec("yuv", 8, (1, 1), matrix=6)
    dice = torch.Generator().manual_seed(7)
    planes = tuple(
        torch.randint(0, 256, (2, plane.height, plane.width), generator=dice).to(spec.dtype)
        for plane in spec.plane_sizes(Size(400, 48))
    )
    network = make_upscaler(Interpolation("bicubic", 4), name="bicubic", arch="bicubic")
    whole, tiled = (
        Engine(network, EngineOptions("cpu", tile=side)).enlarge(planes, spec, spec, Size(40, 6))
        for side in (4096, tile)
    )
    assert all(torch.equal(*pair) for pair in zip(whole, tiled, strict=True))


def test_a_smaller_overlap_is_cross_faded_and_close() -> None:
    network = upscaler("compact")
    ramp = torch.linspace(0, 1, 150).expand(1, 3, 50, 150).contiguous()  # three tiles side by side
    whole = Engine(network, EngineOptions(dtype="fp32", tile=4096)).upscale(ramp)
    less = network.halo - 2
    faded = Engine(network, EngineOptions(dtype="fp32", tile=50, overlap=less)).upscale(ramp)
    hard = Engine(network, EngineOptions(dtype="fp32", tile=50, overlap=0)).upscale(ramp)
    assert torch.isfinite(faded).all()

    def steepest(
        result: Tensor,
    ) -> float:  # a seam is a step in the error from one column to the next
        return float((result - whole).diff(dim=-1).abs().max())

    assert 0 < steepest(faded) < steepest(hard) / 2


class Fussy(SRModule):
    """Makes infinity wherever its weight is not float32, or always."""

    def __init__(self, always: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.always = always

    def forward(self, pixels: Tensor) -> Tensor:
        large = pixels.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return (
            large / 0 if self.always or self.weight.dtype != torch.float32 else large * self.weight
        )


@pytest.mark.parametrize("shift", [(1, 1), (2, 0), (1, 0)])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize(("tile", "overlap"), [(53, 3), (54, 2), (49, 1), (60, 0)])
def test_cross_faded_windows_write_every_sample(
    scale: int, shift: tuple[int, int], tile: int, overlap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that nothing was written to may hold anything: here 7."""
    prepare = PlaneOutput.prepare

    def dirty(output: PlaneOutput, tiles: TilePlan, *, can_crop: bool) -> None:
        for plane in output.canvas:
            plane.fill_(7)
        prepare(output, tiles, can_crop=can_crop)

    monkeypatch.setattr(PlaneOutput, "prepare", dirty)
    network = make_upscaler(Interpolation("nearest", scale), name="nearest", arch="nearest")
    engine = Engine(network, EngineOptions(device="cpu", tile=tile, overlap=overlap))
    spec = ColorSpec(matrix=6, shift=shift)
    for size in (Size(101, 35), Size(97, 61)):
        flat = tuple(
            torch.full((2, plane.height, plane.width), 100, dtype=torch.uint8)
            for plane in spec.plane_sizes(size)
        )
        for plane in engine.enlarge(flat, spec, spec, size.scaled(scale)):
            assert (plane == 100).all()


def test_a_number_that_is_not_finite_is_redone_wider_and_told_once() -> None:
    events: list[Event] = []
    network = Upscaler(Fussy(always=False), "fussy", "fussy", 2, 0)
    engine = Engine(network, EngineOptions(dtype="fp16", device="cpu"), events.append)
    pixels = pictures(2, 8, 8)
    for _ in range(2):
        expected = pixels.repeat_interleave(2, 2).repeat_interleave(2, 3)
        torch.testing.assert_close(engine.upscale(pixels), expected)
    told = [event for event in events if isinstance(event, BackedOff)]
    assert [event.dtype for event in told] == ["bf16", "fp32"]
    engine.forget()  # a new segment begins as it would anywhere else
    assert engine.placement.dtype == torch.float16
    engine.upscale(pixels)
    assert engine.placement.dtype == torch.float32
    assert len([event for event in events if isinstance(event, BackedOff)]) == 2
    broken = Upscaler(Fussy(always=True), "broken", "fussy", 2, 0)
    with pytest.raises(WeightsError, match="not finite"):
        Engine(broken, EngineOptions(device="cpu")).upscale(pixels)


OUT_OF_MEMORY = """
import resource, sys, torch
from vsr.events import BackedOff
from vsr.infer import device as devices
from vsr.infer.engine import Engine
from vsr.models.arch import fuse_batchnorm, make_upscaler
from vsr.models.catalog import ARCHS
from vsr.options import EngineOptions
from vsr.errors import OutOfMemory

torch.set_num_threads(1)
torch.manual_seed(0)
module = fuse_batchnorm(ARCHS["srresnet"].module({"features": 32, "blocks": 2}))
upscaler = make_upscaler(module, name="net", arch="srresnet", dtypes=(torch.float32,))
pixels = torch.rand(1, 3, 300, 300)
tiled = Engine(upscaler, EngineOptions(device="cpu", tile=96)).upscale(pixels)
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
cap = now + int(sys.argv[1]) * (1 << 20)
resource.setrlimit(resource.RLIMIT_AS, (cap, cap))
held = []
while cap == now:  # what was freed before is still there to be had
    try:
        held.append(torch.empty(1 << 20, dtype=torch.uint8))
    except RuntimeError:
        break
events = []
engine = Engine(upscaler, EngineOptions(device="cpu", tile=4096, batch=4), events.append)
try:
    result = engine.upscale(pixels)
except OutOfMemory as error:
    print("OutOfMemory", error.message)
    sys.exit(error.exit_code)
assert any(isinstance(event, BackedOff) for event in events), "memory did not run out"
assert (result - tiled).abs().max() < 1e-5
print("redone with", events[-1].tile)
"""


def exhausted(megabytes: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY, str(megabytes)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_that_runs_out_costs_no_frame() -> None:
    """The process may not have more address space; the allocator really fails."""
    run = exhausted(150)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "redone with" in run.stdout


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
@pytest.mark.extended
def test_memory_that_cannot_hold_the_smallest_tile_is_one_clear_error() -> None:
    run = exhausted(0)
    assert run.returncode == 5, run.stdout + run.stderr
    assert "memory ran out" in run.stdout


@pytest.mark.parametrize("module", [independent, recurrent], ids=lambda module: module.__name__)
def test_enlarged_frames_that_do_not_fit_are_one_clear_error(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also behind frames that did, where smaller tiles are tried first."""
    made = Recurrent(4, 8, 2) if module is recurrent else Interpolation("bicubic", 4)
    network = make_upscaler(made, name="network", arch="network")
    engine = Engine(network, EngineOptions("cpu", tile=64, batch=4))
    spec, low = ColorSpec(layout="gray", shift=(0, 0)), Size(96, 72)
    planes = (torch.zeros(2, low.height, low.width, dtype=torch.uint8),)
    engine.enlarge(planes, spec, spec, low.scaled(4))
    calls = 0

    def exhausted(*_: object) -> None:
        nonlocal calls
        calls += 1
        assert calls < 100
        raise torch.OutOfMemoryError("as asked")

    monkeypatch.setattr(module, "PlaneOutput", exhausted)
    with pytest.raises(OutOfMemory, match="the enlarged frames alone"):
        engine.enlarge(planes, spec, spec, low.scaled(4))


def test_the_budget_decides_tile_and_batch() -> None:
    network = upscaler("srresnet", {})
    spec = ColorSpec("yuv", matrix=1)
    low = Size(1920, 1080)
    asked = Conversion(spec, spec, low, low.scaled(4))
    sizes: list[int] = []
    for memory in (256 << 20, 1 << 30, 4 << 30, 64 << 30):
        engine = Engine(network, EngineOptions(device="cpu", memory=memory))
        tiles, batch = engine.tiling(asked, 2)
        sizes.append(tiles.window.pixels * batch)
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1] == low.pixels  # a CPU takes large frames one by one


def test_a_network_that_is_better_whole_is_tiled_by_what_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not by the usual share of a CPU's memory; and never beyond what is free, or asked for."""
    network = replace(upscaler("srresnet"), prefers_one_tile=True)
    spec = ColorSpec("yuv", matrix=1)
    low = Size(1920, 1080)
    conversion = Conversion(spec, spec, low, low.scaled(4))

    def pixels(free: int, asked: int | None = None, whole: bool = True) -> int:
        monkeypatch.setattr(devices, "free_host", lambda: free << 30)
        options = EngineOptions(device="cpu", memory=asked)
        engine = Engine(replace(network, prefers_one_tile=whole), options)
        return engine.tiling(conversion, 1)[0].window.pixels

    assert pixels(256) == low.pixels > pixels(256, whole=False)
    assert pixels(256, whole=False) <= pixels(2) < low.pixels
    assert pixels(256, asked=1 << 29) < pixels(2)


def test_the_meter_counts_what_lives_at_once() -> None:
    def function(x: Tensor) -> Tensor:
        first = x + 1  # two alive from here: first and second
        second = first * 2
        del first
        return second.view(-1)[:1] + 1

    example = torch.zeros(1000)
    assert peak_bytes(function, example) == 2 * 4000


def test_devices_that_are_not_there_are_refused() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="no CUDA GPU"):
            Engine(upscaler("nearest"), EngineOptions(device="cuda"))
    with pytest.raises(OptionsError, match="pixels must be"):
        Engine(upscaler("nearest")).upscale(torch.rand(3, 8, 8))


# What torch's own compiler imports warns of itself.
@pytest.mark.extended
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_network_is_the_same_function() -> None:
    network = upscaler("compact")
    pixels = pictures(5, 40, 48)
    plain = Engine(network, EngineOptions(dtype="fp32", batch=2)).upscale(pixels)
    built = Engine(network, EngineOptions(dtype="fp32", batch=2, compile="on")).upscale(pixels)
    assert (plain - built).abs().max() < 1e-4 * plain.abs().max()  # sums in another order

"""What holds for a GPU, shown without one: what torch is asked, and what is made of its answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.infer.test_engine import upscaler
from vsr.errors import DeviceError
from vsr.geometry import Size
from vsr.infer import device as devices
from vsr.infer import sizing
from vsr.infer.device import Placement
from vsr.infer.engine import Engine
from vsr.infer.footprint import Conversion, Footprint, footprint_of
from vsr.infer.network import Network
from vsr.infer.reuse import CELL, plan_frames
from vsr.infer.sizing import MemoryNeed, Sizes, largest_tensor
from vsr.models.catalog import ARCHS
from vsr.models.crop_schedule import CropSchedule
from vsr.models.module import SRModule
from vsr.options import EngineOptions, UpscaleOptions

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def card(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    """A GPU of a compute capability, as far as torch is asked about it."""

    def told(device: object = None) -> tuple[int, int]:
        del device
        return capability

    def emulated(including_emulation: bool = True) -> bool:
        return including_emulation  # what torch says of a Turing card

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", told)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", emulated)


def test_plans_are_not_up_to_a_stopwatch() -> None:
    before = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    with devices.arithmetic(GPU):
        assert not torch.backends.cudnn.benchmark
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.allow_tf32
    assert (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic) == before
    with devices.arithmetic(CPU):
        assert torch.backends.cudnn.deterministic == before[1]


@pytest.mark.parametrize("what", ["run", "interpolated", "subpixel"])
def test_all_convolutions_are_under_that_law(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(
        upscaler("compact"), Placement(CPU, torch.float32, channels_last=True), compiles=False
    )
    seen: list[tuple[bool, bool]] = []

    def note(layer: nn.Module, given: object) -> None:
        del layer, given
        seen.append((torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic))

    network._base.register_forward_pre_hook(note)  # pyright: ignore[reportPrivateUsage]
    first = next(module for module in network.module.modules() if isinstance(module, nn.Conv2d))
    first.register_forward_pre_hook(note)
    monkeypatch.setattr("vsr.infer.network.arithmetic", lambda _: devices.arithmetic(GPU))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    getattr(network, what)(torch.rand(1, 3, 24, 32))
    assert seen
    assert set(seen) == {(False, True)}


# What torch's own compiler imports warns of itself.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_code_is_neither_chosen_by_time_nor_kept_by_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[dict[str, object]] = []

    def compiled(module: nn.Module, **options: object) -> nn.Module:
        asked.append(options)
        return module

    def there(self: nn.Module, *where: object, **how: object) -> nn.Module:
        del where, how
        return self

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr(nn.Module, "to", there)  # nothing goes to a card that is not there
    Network(upscaler("compact"), Placement(GPU, torch.float16, channels_last=True), compiles=True)
    assert asked
    assert all(options.get("mode") is None for options in asked)


class Kernels(TorchDispatchMode):
    """Counts the shapes that convolutions are asked for: for each, a library looks for a kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: set[object] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        if "convolution" in str(func):
            self.shapes.add((args[0].shape, args[1].shape))
        return func(*args, **(kwargs or {}))


def test_windows_of_reuse_have_few_shapes_on_a_gpu() -> None:
    """Sixty changes of all sizes: 280 shapes of convolutions with the steps that a CPU takes."""
    size, random = Size(1280, 720), np.random.default_rng(1)
    module = ARCHS["compact"].module({"features": 8}).to("meta")
    needs = Footprint(
        halo=18, margin=1, chroma_reach=2, overlap=19, exact=True, multiple=1,
        conversion_support_target=4, align_target=2,
    )  # fmt: skip

    def kernels(step: int) -> int:
        with Kernels() as seen, torch.no_grad():
            module(torch.zeros(1, 3, size.height, size.width, device="meta"))
            for _ in range(60):
                cells = np.zeros((size.height // CELL, size.width // CELL), np.uint8)
                width, height = (int(side) for side in random.integers(2, 60, 2))
                left = int(random.integers(cells.shape[1] - width))
                top = int(random.integers(cells.shape[0] - height))
                cells[top : top + height, left : left + width] = 1
                (group,) = plan_frames([cells], size, needs, size, mean_context=9, step=step)
                for tile in group.parts.tiles if group.parts else ():
                    box = tile.window
                    window = torch.zeros(1, 3, box.height, box.width, device="meta")
                    module(
                        window, CropSchedule(box.moved(-box.x, -box.y), tile.kept_in_window, step)
                    )
        return len(seen.shapes)

    assert devices.side_step(CPU) == 16
    assert kernels(devices.side_step(CPU)) > 200
    assert kernels(devices.side_step(GPU)) < 90


@pytest.mark.parametrize(
    "said",
    [
        "FIND was unable to find an engine to execute this computation",
        "GET was unable to find an engine to execute this computation",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "CUDA out of memory. Tried to allocate 2.00 GiB",
    ],
)
def test_every_way_to_say_that_memory_ran_out_is_heard(said: str) -> None:
    assert devices.is_out_of_memory(RuntimeError(said))
    assert not devices.is_out_of_memory(ValueError(said))


def test_other_errors_of_a_gpu_are_not_taken_for_it() -> None:
    for said in ("CUDA error: an illegal memory access", "CUDNN_STATUS_NOT_SUPPORTED"):
        assert not devices.is_out_of_memory(RuntimeError(said))


def test_bfloat16_is_for_gpus_that_compute_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    network = make()
    card(monkeypatch, (7, 5))
    assert not devices.computes(GPU, torch.bfloat16)
    assert devices.computes(GPU, torch.float16)
    assert devices.wider(torch.float16, network, GPU) == torch.float32
    assert devices.resolve(EngineOptions(device="cuda"), network).dtype == torch.float16
    with pytest.raises(DeviceError, match="no convolutions in bf16"):
        devices.resolve(EngineOptions(device="cuda", dtype="bf16"), network)
    card(monkeypatch, (8, 0))
    assert devices.wider(torch.float16, network, GPU) == torch.bfloat16
    assert devices.resolve(EngineOptions(device="cuda", dtype="bf16"), network).dtype_name == "bf16"


def make() -> Any:
    """A network that takes every type."""
    from vsr.models.arch import make_upscaler

    return make_upscaler(
        ARCHS["compact"].module({"features": 8, "layers": 1}), name="net", arch="net"
    )


@pytest.mark.parametrize("size", [Size(2560, 1440), Size(3840, 2160)], ids=str)
def test_no_tensor_has_more_elements_than_a_gpu_counts(
    size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network of 1024 values a pixel, and a card with memory for anything."""

    def needs(*rest: object) -> MemoryNeed:
        del rest
        return MemoryNeed(0.0, 2048.0, 1024)

    monkeypatch.setattr(sizing, "measure_memory", needs)
    sizes = Sizes(EngineOptions(device="cuda", memory=1 << 40), GPU, upscaler("compact"))
    sizes.use_network(nn.Identity(), torch.float16)
    spec = sizing_spec()
    footprint = footprint_of(upscaler("compact"), Conversion(spec, spec, size, size.scaled(4)))
    tiles, batch = sizes.choose(footprint, size, 8)
    assert batch * tiles.window.pixels * 1024 < 1 << 31
    assert tiles.window.pixels > 1 << 20  # and no smaller than that asks for


def sizing_spec() -> Any:
    from vsr.color import ColorSpec

    return ColorSpec(matrix=1)


def test_the_largest_tensor_of_a_network_is_counted() -> None:
    module = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 8, 3, padding=1))
    assert largest_tensor(module, torch.zeros(1, 3, 10, 12)) == 64 * 120


def free(monkeypatch: pytest.MonkeyPatch, amount: int) -> None:
    def told(device: object = None) -> tuple[int, int]:
        del device
        return amount, amount

    monkeypatch.setattr(torch.cuda, "mem_get_info", told)


def test_two_workers_divide_what_is_free_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 1 << 34)
    for devices_named, share in (
        (None, 1),
        ("cuda:0,cuda:1", 1),
        ("cuda:0,cuda:0", 2),
        ("cuda:1,cuda:0,cuda:1,cuda:1", 3),
    ):
        options = UpscaleOptions(devices=devices_named).engine
        assert options.share == share
        each = devices.budget(GPU, options.memory, share=options.share)
        assert each * share <= 0.85 * (1 << 34) < (each + 1) * share
    sizes = Sizes(EngineOptions(device="cuda", share=2), GPU, upscaler("compact"))
    assert sizes._budget == int((1 << 34) * 0.85) // 2  # pyright: ignore[reportPrivateUsage]


def test_memory_is_measured_once_all_is_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries take memory with their first run, which is no window's."""

    class Cold(SRModule):
        """Takes 8 MB once, and 100 bytes a pixel each time."""

        taken, peak = 0, 0

        def forward(self, x: Tensor) -> Tensor:
            pixels = x.shape[-1] * x.shape[-2]
            self.peak = max(self.peak, self.taken + 100 * pixels + (not self.taken) * (8 << 20))
            self.taken = 8 << 20
            return x * 1

    module = Cold()
    zeros: Callable[..., Tensor] = torch.zeros

    def on_cpu(*shape: int, device: object = None, dtype: torch.dtype | None = None) -> Tensor:
        del device
        return zeros(*shape, dtype=dtype)

    def nothing(*rest: object) -> None:
        del rest

    def reset(device: object) -> None:
        del device
        module.peak = module.taken

    def allocated(device: object) -> int:
        del device
        return module.taken

    def peak(device: object) -> int:
        del device
        return module.peak

    monkeypatch.setattr(torch, "zeros", on_cpu)
    monkeypatch.setattr(torch.cuda, "synchronize", nothing)
    monkeypatch.setattr(torch.cuda, "memory_allocated", allocated)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", reset)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", peak)
    found = sizing.measure_memory(module, GPU, torch.float32, upscaler("compact"))
    finish = 3 * 4 * 5 * 4**2
    assert found.pixel - finish == pytest.approx(110)  # with a tenth to spare
    assert found.window == pytest.approx(0, abs=1)
    assert found.elements == 3


def test_the_engine_takes_the_steps_of_its_device() -> None:
    engine = Engine(upscaler("compact"), EngineOptions(device="cpu"))
    assert engine._placed.network.step_px == devices.side_step(CPU)  # pyright: ignore[reportPrivateUsage]

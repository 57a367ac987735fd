"""Is what a GPU computes right? A line a check, ``ok`` or ``FAIL`` with its figure; eight minutes.

python -m benchmarks.gpu_check
python -m benchmarks.gpu_check --device cpu --small      # the script itself, anywhere
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import vsr
from benchmarks.steps import Skipped, Steps
from vsr import doctor
from vsr.bench.clips import generate
from vsr.color import ColorSpec
from vsr.events import BackedOff, Event, ignore
from vsr.geometry import Size
from vsr.infer import device as devices
from vsr.infer.engine import Engine
from vsr.infer.footprint import Conversion
from vsr.jobs.workers.devices import kind_of
from vsr.media.read.hardware import refusal
from vsr.media.read.reader import Reader
from vsr.models.arch import Upscaler, make_upscaler
from vsr.models.interpolation import Interpolation
from vsr.models.module import SRModule
from vsr.options import EngineOptions, UpscaleOptions
from vsr.weights import load

Planes = tuple[Tensor, ...]
SPECS = {
    "8-bit 4:2:0": ColorSpec(matrix=1),
    "10-bit 4:2:2": ColorSpec("yuv", 10, (1, 0), matrix=9),
    "RGB": ColorSpec("rgb", 8, (0, 0), range=2),
    "RGB with alpha": ColorSpec("rgb", 8, (0, 0), alpha=True, range=2),
}
YUV = SPECS["8-bit 4:2:0"]
TESTS = (
    "tests/infer/test_host_transfer.py", "tests/infer/test_in_flight.py", "tests/test_color.py",
)  # fmt: skip
"""Those of which some ask for a GPU, and those of what a GPU does otherwise."""
RELATIVE = {"fp32": 1e-5, "fp16": 2e-3, "bf16": 2e-2}
"""Of the largest value: what sums in another order, and roundings of that type, come to."""


class Check:
    """Everything that is checked on one device, in small or in full."""

    def __init__(self, device: str, *, small: bool) -> None:
        self.device, self.small = device, small
        self.gpu = device.startswith("cuda")
        self.models = ["tiny"] if small else ["tiny", "compact", "srgan"]
        self.remembering = "video-tiny" if small else "video"
        self.low = Size(96, 64) if small else Size(640, 360)
        self.dtypes = ["fp32", "fp16", "bf16"] if self.gpu else ["fp32", "bf16"]

    def near(self, made: Planes, wanted: Planes, model: str) -> str:
        """Code values, of networks through whose sums or memory more differs at most by 2."""
        return near(made, wanted, 2 if model in ("srgan", self.remembering) else 1)

    def engine(
        self, model: str | Upscaler, told: list[Event] | None = None, **options: Any
    ) -> Engine:
        """An engine on the device, in float32 unless asked otherwise."""
        upscaler = load(model) if isinstance(model, str) else model
        chosen = replace(EngineOptions(device=self.device, dtype="fp32", reuse=None), **options)
        return Engine(upscaler, chosen, ignore if told is None else told.append)

    def versions(self) -> str:
        """Where this runs."""
        engine = self.engine("tiny")
        return f"vsr {vsr.__version__}, torch {torch.__version__}, {kind_of(engine.placement)}"

    def doctor(self) -> str:
        """`vsr doctor` finds nothing wrong."""
        if self.small:
            raise Skipped("in full only")
        found = list(doctor.examine())
        wrong = [f"{check.name}: {check.said}" for check in found if check.state == "wrong"]
        assert not wrong, "; ".join(wrong)
        return f"{len(found)} checks"

    def tests(self) -> str:
        """The tests of engine and colour, on this machine."""
        if self.small:
            raise Skipped("in full only")
        made = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *TESTS], capture_output=True, text=True
        )
        assert made.returncode == 0, made.stdout[-1500:] + made.stderr[-500:]
        return made.stdout.strip().split("\n")[-1]

    def parity(self, model: str, dtype: str) -> str:
        """The network's numbers against float32 on the CPU, of noise and of a picture."""
        worst = 0.0
        for pixels in (noise(2, 3, self.low), ramp(self.low)):
            wanted = Engine(load(model), EngineOptions(device="cpu", dtype="fp32")).upscale(pixels)
            made = self.engine(model, dtype=dtype).upscale(pixels)
            worst = max(worst, float((made - wanted).abs().max() / wanted.abs().max()))
        assert worst < RELATIVE[dtype], f"{worst:.1e}, allowed are {RELATIVE[dtype]:.0e}"
        return f"largest difference {worst:.1e} of the largest value"

    def planes(self, model: str, name: str) -> str:
        """Code values against float32 on the CPU."""
        spec = SPECS[name]
        clip = footage(spec, self.low, 2)
        on_cpu = Engine(load(model), EngineOptions(device="cpu", dtype="fp32", reuse=None))
        wanted = on_cpu.enlarge(clip, spec, spec, self.low.scaled(4))
        made = self.engine(model).enlarge(clip, spec, spec, self.low.scaled(4))
        return self.near(made, wanted, model)

    def tiles(self, model: str, tile: int) -> str:
        """In tiles against whole frames, in the type that is used."""
        clip = footage(YUV, self.low, 2)
        whole, tiled = (
            self.engine(model, dtype="auto", tile=side).enlarge(clip, YUV, YUV, self.low.scaled(4))
            for side in (4096, tile)
        )
        return self.near(tiled, whole, model)

    def reuse(self, model: str) -> str:
        """What changed alone against whole frames, over frames in which little changes."""
        clips = [spots(self.low, 5, start) for start in (0, 5, 10)]
        off, exact = (self.engine(model, dtype="auto", reuse=reuse) for reuse in (None, 0))
        said = [
            self.near(
                exact.enlarge(clip, YUV, YUV, self.low.scaled(4)),
                off.enlarge(clip, YUV, YUV, self.low.scaled(4)),
                model,
            )
            for clip in clips
        ]
        return max(said)

    def again(self, model: str) -> str:
        """The same clip in two engines, and in a process of its own: equal to the bit."""
        one, two = (overlapping(self.device, model, self.low, 4) for _ in range(2))
        assert one == two, "two engines of one process differ"
        other = self._elsewhere(model, 4)
        assert one == other, "two processes differ"
        return f"equal: {one[:12]}"

    def overlapping(self, model: str) -> str:
        """Clips that overlap against such that wait for each launch."""
        count = 8 if self.small else 200
        here = overlapping(self.device, model, self.low, count)
        waited = self._elsewhere(model, count, CUDA_LAUNCH_BLOCKING="1")
        assert here == waited, "they differ from those that wait"
        return f"{count} clips equal"

    def _elsewhere(self, model: str, count: int, **more: str) -> str:
        size = f"{self.low.width}x{self.low.height}"
        arguments = ["--hash", self.device, model, size, str(count)]
        made = subprocess.run(
            [sys.executable, "-m", "benchmarks.gpu_check", *arguments],
            env={**os.environ, **more},
            capture_output=True,
            text=True,
        )
        assert made.returncode == 0, made.stderr[-1500:]
        return made.stdout.strip().split("\n")[-1]

    def workers(self) -> str:
        """One process and two on one device write the same file."""
        frames, size = (130, Size(64, 48)) if self.small else (400, self.low)
        both = "cuda:0,cuda:0" if self.gpu else "cpu:2"
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "moving.mkv"
            generate("moving", source, size, frames)
            hashes: list[str] = []
            for number, devices_named in enumerate((None, both)):
                target = Path(folder) / f"{number}.mp4"  # Matroska's hold random numbers
                asked = UpscaleOptions(
                    model="tiny",
                    device="auto" if devices_named else self.device,
                    devices=devices_named,
                    preset="ultrafast",
                )
                vsr.upscale(source, target, asked)
                hashes.append(hashlib.sha256(target.read_bytes()).hexdigest())
        assert hashes[0] == hashes[1], "the files differ"
        return f"{frames} frames equal"

    def memory_runs_out(self, model: str) -> str:
        """Memory that is really used up: tiles become smaller, and memory comes back."""
        clip = footage(YUV, self.low, 2)
        wanted = self.engine(model, dtype="auto").enlarge(clip, YUV, YUV, self.low.scaled(4))
        told: list[Event] = []
        upscaler, ballast = load(model), None
        if self.gpu:
            devices.release(torch.device(self.device))
            free, _ = torch.cuda.mem_get_info()
            room = 40 * 3 * 4 * self.low.scaled(4).pixels
            ballast = torch.empty(max(0, free - room), dtype=torch.uint8, device=self.device)
        else:
            upscaler = replace(upscaler, module=Tight(upscaler.module, self.low.pixels // 2))
        engine = self.engine(upscaler, told, dtype="auto", tile=4096, batch=2)
        made = engine.enlarge(clip, YUV, YUV, self.low.scaled(4))
        backed = [event for event in told if isinstance(event, BackedOff)]
        del ballast
        devices.release(torch.device(self.device))
        said = self.near(made, wanted, model)
        assert backed or self.gpu, "nothing ran out"
        steps = ", ".join(f"{event.tile} x{event.batch}" for event in backed) or "did not run out"
        return f"{steps}; {said}"

    def budget(self, model: str, size: Size, memory: int | None) -> str:
        """The most that frames of a size take, against what the engine allows itself."""
        if not self.gpu:
            raise Skipped("a CPU's memory is not counted so")
        engine = self.engine(model, dtype="auto", memory=memory)
        clip = footage(YUV, size, 2)
        devices.release(torch.device(self.device))
        free, _ = torch.cuda.mem_get_info()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        engine.enlarge(clip, YUV, YUV, size.scaled(4))
        peak = torch.cuda.max_memory_allocated() - before
        allowed = memory or int(free * 0.85)
        tiles, batch = engine.tiling(Conversion(YUV, YUV, size, size.scaled(4)), 2)
        said = f"{peak >> 20} of {allowed >> 20} MB, tiles of {tiles.window}, batch {batch}"
        assert peak <= allowed, said
        return said

    def large(self, model: str) -> str:
        """A frame of 2560x1440 against tiles of it."""
        size = Size(128, 80) if self.small else Size(2560, 1440)
        clip = footage(YUV, size, 1)
        whole, tiled = (
            self.engine(model, dtype="auto", tile=tile).enlarge(clip, YUV, YUV, size.scaled(4))
            for tile in (None, 64 if self.small else 640)
        )
        return self.near(whole, tiled, model)

    def overflow(self) -> str:
        """Half precision that overflows is widened once, and the picture is whole."""
        told: list[Event] = []
        upscaler = make_upscaler(Loud(), name="loud", arch="loud")
        engine = self.engine(upscaler, told, dtype="fp16")
        clip = footage(YUV, self.low, 2)
        made = [engine.enlarge(clip, YUV, YUV, self.low.scaled(2)) for _ in range(3)]
        widened = [event for event in told if isinstance(event, BackedOff)]
        assert len(widened) == 1, f"widened {len(widened)} times"
        plain = self.engine(upscaler).enlarge(clip, YUV, YUV, self.low.scaled(2))
        return f"to {widened[0].dtype}; {near(made[-1], plain, 1)}"

    def decoder(self) -> str:
        """Frames that the card decodes are those of software."""
        if not self.gpu:
            raise Skipped("for a GPU alone")
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "moving.mkv"
            generate("moving", source, Size(1280, 720), 60)
            info = vsr.probe(source)
            reason = refusal(info, "cuda:0")
            if reason:
                raise Skipped(reason)
            pairs = zip(Reader(info, hwaccel="cuda:0"), Reader(info), strict=True)
            for there, here in pairs:
                for one, two in zip(there.planes, here.planes, strict=True):
                    assert torch.equal(one, two), f"frames at {here.pts[0]} differ"
        return "60 frames equal"


class Tight(SRModule):
    """A network on a device that holds no more than so many pixels at once."""

    def __init__(self, module: nn.Module, most: int) -> None:
        super().__init__()
        self.module, self.most = module, most

    def forward(self, pixels: Tensor) -> Tensor:
        """As the network it holds."""
        if pixels.shape[0] * pixels.shape[-1] * pixels.shape[-2] > self.most:
            raise torch.OutOfMemoryError("out of memory, as asked")
        return self.module(pixels)


class Loud(SRModule):
    """Bilinear, by way of numbers that half precision does not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Interpolation("bilinear", 2)
        self.weight = nn.Parameter(torch.tensor(1e5))

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, 3, h, w) to (n, 3, 2h, 2w)."""
        loud = pixels.to(self.weight.dtype) * 1e5
        return self.base(loud.float() / 1e5)


def noise(count: int, channels: int, size: Size) -> Tensor:
    """RGB of no kind of picture, the same each time."""
    random = torch.Generator().manual_seed(3)
    return torch.rand(count, channels, size.height, size.width, generator=random)


def ramp(size: Size) -> Tensor:
    """A smooth picture with an edge, where bands and seams would show."""
    across = torch.linspace(0, 1, size.width).expand(1, 3, size.height, -1).clone()
    across[..., size.height // 3 :, size.width // 2 :] *= 0.3
    return across


def footage(spec: ColorSpec, size: Size, frames: int) -> Planes:
    """Frames of a picture with fine noise, as planes."""
    random = torch.Generator().manual_seed(7)
    planes: list[Tensor] = []
    for plane in spec.plane_sizes(size):
        x, y = torch.arange(plane.width), torch.arange(plane.height)[:, None]
        wave = 0.5 + 0.3 * torch.sin(x / 9.0) * torch.cos(y / 7.0)
        fine = torch.rand(frames, plane.height, plane.width, generator=random) * 0.2
        planes.append(((wave + fine) * ((1 << spec.depth) - 1) * 0.8).to(spec.dtype))
    return tuple(planes)


def spots(size: Size, frames: int, start: int) -> Planes:
    """Still frames but for a spot that moves."""
    planes = tuple(plane.expand(frames, -1, -1).clone() for plane in footage(YUV, size, 1))
    for frame in range(frames):
        at = (start + frame) * 3 % (size.width - 16)
        planes[0][frame, 8:20, at : at + 12] = 200
    return planes


def near(made: Planes, wanted: Planes, most: int) -> str:
    """How far planes are apart; more than ``most`` code values are a failure."""
    pairs = list(zip(made, wanted, strict=True))
    off = max(int((a.int() - b.int()).abs().max()) for a, b in pairs)
    count = sum(int((a != b).sum()) for a, b in pairs)
    total = sum(a.numel() for a, _ in pairs)
    said = "equal" if not count else f"{count} of {total} samples differ, by {off} at most"
    assert off <= most, said
    return said


def overlapping(device: str, model: str, size: Size, count: int) -> str:
    """A hash of clips of which each is begun before the one three ahead is waited for."""
    engine = Engine(load(model), EngineOptions(device=device))
    digest = hashlib.sha256()
    clip = footage(YUV, size, 2)
    waiting: list[Callable[[], Planes]] = []
    for number in range(count):
        moved = tuple(plane.roll(2 * number, -1) for plane in clip)
        waiting.append(engine.begin(moved, Conversion(YUV, YUV, size, size.scaled(4))).wait)
        if len(waiting) > 3:
            digest.update(b"".join(plane.numpy().tobytes() for plane in waiting.pop(0)()))
    for wait in waiting:
        digest.update(b"".join(plane.numpy().tobytes() for plane in wait()))
    return digest.hexdigest()


def main() -> int:
    """Run every check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="small pictures, few checks")
    parser.add_argument("--seconds", type=float, default=440, help="begin no check after these")
    parser.add_argument("--hash", nargs=4, metavar=("DEVICE", "MODEL", "WxH", "CLIPS"))
    asked = parser.parse_args()
    if asked.hash:
        device, model, size, count = asked.hash
        width, height = map(int, size.split("x"))
        print(overlapping(device, model, Size(width, height), int(count)))
        return 0
    check, steps = Check(asked.device, small=asked.small), Steps(asked.seconds)
    steps.run("versions", check.versions)
    for model in check.models:
        for dtype in check.dtypes:
            steps.run(f"parity {model} {dtype}", lambda m=model, d=dtype: check.parity(m, d))
        for spec in SPECS if model != "srgan" else ["8-bit 4:2:0"]:
            steps.run(f"planes {model} {spec}", lambda m=model, s=spec: check.planes(m, s))
    steps.run(f"planes {check.remembering}", lambda: check.planes(check.remembering, "8-bit 4:2:0"))
    for model in (*check.models, check.remembering):
        for tile in [64] if check.small else [256, 512]:
            steps.run(f"tiles {model} {tile}", lambda m=model, t=tile: check.tiles(m, t))
        steps.run(f"reuse {model}", lambda m=model: check.reuse(m))
        steps.run(f"again {model}", lambda m=model: check.again(m))
    for model in (*check.models[:2], *(() if check.small else (check.remembering,))):
        steps.run(f"overlapping {model}", lambda m=model: check.overlapping(m))
    for model in check.models[:2]:
        steps.run(f"memory runs out {model}", lambda m=model: check.memory_runs_out(m))
    steps.run("overflow", check.overflow)
    steps.run("workers", check.workers)
    steps.run("decoder", check.decoder)
    for text in [] if check.small else ["320x180", "640x360", "1280x720", "1920x1080"]:
        width, height = map(int, text.split("x"))
        for memory in (None, 4 << 30):
            name = f"budget srgan {text} {'' if memory is None else '4 GB'}".strip()
            size = Size(width, height)
            steps.run(name, lambda s=size, m=memory: check.budget("srgan", s, m))
    for model in check.models[:2]:
        steps.run(f"large {model}", lambda m=model: check.large(m))
    steps.run("doctor", check.doctor)
    steps.run("tests", check.tests)
    return steps.end()


if __name__ == "__main__":
    sys.exit(main())

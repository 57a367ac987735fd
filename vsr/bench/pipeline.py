"""The speed of the whole pipeline against each of its stages, and where the time and memory go."""

from __future__ import annotations

import itertools
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from vsr import api
from vsr.bench.clips import found_or_made, generate
from vsr.bench.clock import command, medians
from vsr.bench.model import in_tiles
from vsr.color import to_rgb
from vsr.errors import OptionsError
from vsr.events import Report
from vsr.geometry import Size
from vsr.infer.engine import Engine
from vsr.jobs.enlarge import enlarger
from vsr.jobs.video.plan import Plan, make_plan
from vsr.jobs.video.segments import clips_of, reader_of
from vsr.media.clip import Clip
from vsr.media.write.writer import SegmentWriter
from vsr.motion import MotionEstimator
from vsr.options import UpscaleOptions
from vsr.pipeline import Pipeline
from vsr.system import processors
from vsr.weights import load


def shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """Of decoding, motion, the network, colour with all else on the device, and encoding; sum 1.

    ``seconds`` are of the rows of :mod:`vsr.bench.pipeline`: ``decode`` has the motion in it, where
    there is any, and ``enlarge`` the network. Empty where one of the others was not measured. Parts
    that take less than was measured for what they hold count as nothing.
    """
    if not {"decode", "network", "enlarge", "encode"} <= seconds.keys():
        return {}
    motion = seconds.get("motion", 0.0)
    parts = {
        "decode": max(0.0, seconds["decode"] - motion),
        "motion": motion,
        "network": seconds["network"],
        "colour": max(0.0, seconds["enlarge"] - seconds["network"]),
        "encode": seconds["encode"],
    }
    whole = sum(parts.values())
    return {name: part / whole for name, part in parts.items() if name != "motion" or motion}


@dataclass(frozen=True, slots=True)
class PipelineSpeed:
    """The stages of the pipeline, each alone, and the whole of it, on one clip.

    Without the row ``pipeline`` there is no ``host_peak`` and nothing waits.
    """

    clip: str
    """The source: a path, or a kind of clip that :mod:`vsr.bench.clips` makes."""
    size: Size
    """Size of the source's frames, in source pixels."""
    target_size: Size
    """Size of the target's frames, in target pixels."""
    frames: int
    """Frames of the clip."""
    model: str
    """The upscaler's name."""
    device: str
    """Device and precision, such as "cpu bf16"."""
    encoder: str
    """The encoder with its quality and pixel format."""
    tile: Size
    """Size of a window, in source pixels."""
    batch: int
    """Windows that go through the network at once."""
    frames_per_second: dict[str, float]
    """By row. ``network`` runs on pixels that lie ready on the device, in the tiles of the others,
    ``enlarge`` on decoded planes on the host, colour and all; ``motion`` is what recurrent networks
    are told of it; ``pipeline`` is `vsr upscale` with every frame computed, ``reused`` as it is by
    default, ``encoder off`` the pipeline without encoding."""
    waiting: dict[str, float]
    """For each stage (decode, enlarge, encode) the share of the pipeline's time, 0..1, in which it
    waited for its neighbours."""
    shares: dict[str, float]
    """Share of a frame's work, 0..1, that each part takes: see :func:`shares`."""
    host_peak: int | None
    """The most bytes that the command had resident."""
    device_peak: int | None
    """The most bytes that ``enlarge`` takes of a GPU; ``None`` on other devices."""


ROWS = ("decode", "motion", "network", "enlarge", "encode", "encoder off", "pipeline", "reused")


def bench_pipeline(
    clip: str,
    options: UpscaleOptions,
    *,
    size: Size,
    frames: int,
    repeats: int,
    only: tuple[str, ...] = (),
) -> PipelineSpeed:
    """Measure with a file, or with a clip of a kind that :mod:`vsr.bench.clips` makes.

    ``only`` some of :data:`ROWS`, beside the network; another name is an :class:`OptionsError`.
    """
    if unknown := sorted(set(only) - set(ROWS)):
        raise OptionsError(
            f"the pipeline has no row {', '.join(unknown)}", hint=f"it has {', '.join(ROWS)}"
        )
    rows = tuple(row for row in ROWS if not only or row in only or row == "network")
    options = replace(options, overwrite=True, model=api.model_of(options, clip, "out.mkv").model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = found_or_made(clip, folder, size, frames)
        return _measured(clip, source, folder, options, rows, repeats)


def arguments(source: Path, target: Path, options: UpscaleOptions) -> list[str]:
    """The command line for what of the options can matter to a measurement."""
    given = {
        "model": options.model,
        "device": options.device,
        "dtype": options.dtype,
        "tile": options.tile,
        "batch": options.batch,
        "vram": options.vram,
        "reuse": options.reuse,
        "codec": options.codec,
        "preset": options.preset,
    }
    flags = [f"--{name}={value}" for name, value in given.items() if value is not None]
    return ["upscale", str(source), str(target), "--overwrite", "--quiet", *flags]


@dataclass(frozen=True, slots=True)
class SizeSpeed:
    """`vsr upscale` as a command at one size: start, model, join and all."""

    size: Size
    """Size of the source's frames, in source pixels."""
    frames: int
    """Frames of the source."""
    seconds: float
    """What the command took, from its start to its end."""
    host_peak: int
    """The most bytes that the command had resident."""

    @property
    def seconds_per_megapixel(self) -> float:
        """Of the source."""
        return self.seconds / self.frames / self.size.pixels * 1e6


def bench_sizes(sizes: list[Size], options: UpscaleOptions, *, frames: int) -> list[SizeSpeed]:
    """How time and memory grow with the size of the picture, each in a process of its own."""
    rows: list[SizeSpeed] = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            source = Path(folder) / f"{size}.mkv"
            generate("moving", source, size, frames)
            target = Path(folder) / f"{size}-large.mkv"
            rows.append(SizeSpeed(size, frames, *command(arguments(source, target, options))))
            target.unlink()
    return rows


def _measured(
    clip: str,
    source: Path,
    folder: Path,
    options: UpscaleOptions,
    rows: tuple[str, ...],
    repeats: int,
) -> PipelineSpeed:
    upscaler = load(options.model)
    plan = make_plan(source, folder / "out.mkv", options, upscaler)
    all_of_it = replace(options, reuse="off")
    # Before this process is large itself: a child's peak begins with what its parent had.
    whole = "pipeline" in rows
    host_peak = command(arguments(source, plan.target, all_of_it))[1] if whole else None
    engine = Engine(upscaler, all_of_it.engine)
    enlarge = enlarger(engine, plan.conversion_of, plan.segment_frames)
    clips = list(clips_of(plan, reader_of(plan)))
    frames = sum(len(clip.pts) for clip in clips if not clip.lead_in)
    place = engine.placement.device
    planes, moving = [clip.planes for clip in clips], MotionEstimator(processors())
    ready = [to_rgb(tuple(p.to(place) for p in clip.planes), plan.source)[:, :3] for clip in clips]
    large = [made() for made in map(enlarge, clips)] if "encode" in rows else []
    large = [clip for clip in large if not clip.lead_in]
    tiles, batch = engine.tiling(plan.conversion, plan.clip_frames)
    reports: list[Report] = []
    actions: dict[str, Callable[[], object]] = {
        "decode": lambda: sum(len(clip.pts) for clip in clips_of(plan, reader_of(plan))),
        "motion": lambda: _used_up(map(moving.next, planes, itertools.repeat(plan.source))),
        "network": lambda: _used_up(in_tiles(engine, pixels[i : i + batch], tiles)
            for pixels in ready for i in range(0, len(pixels), batch)),
        "enlarge": lambda: _used_up(made() for made in map(enlarge, clips)),
        "encode": lambda: _encode(plan, folder, large),
        "encoder off": lambda: Pipeline(clips_of(plan, reader_of(plan)), enlarge, _discard).run(),
        "pipeline": lambda: reports.append(api.upscale(source, plan.target, all_of_it)),
        "reused": lambda: api.upscale(source, plan.target, options),
    }  # fmt: skip
    if not upscaler.state_channels:
        rows = tuple(row for row in rows if row != "motion")
    seconds = medians({row: actions[row] for row in rows}, repeats, place)
    return PipelineSpeed(
        clip=clip,
        size=plan.info.size,
        target_size=plan.encoding.size,
        frames=frames,
        model=upscaler.name,
        device=str(engine.placement),
        encoder=str(plan.encoding),
        tile=tiles.window,
        batch=batch,
        frames_per_second={row: frames / seconds[row] for row in rows},
        waiting=reports[-1].waiting if whole else {},
        shares=shares(seconds),
        host_peak=host_peak,
        device_peak=_device_peak(actions["enlarge"], place),
    )


def _device_peak(action: Callable[[], object], device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    action()
    return torch.cuda.max_memory_allocated(device) - before


def _encode(plan: Plan, folder: Path, clips: list[Clip]) -> None:
    path = folder / f"alone.{plan.encoding.entry.segment}"
    with SegmentWriter(0, path, plan.encoding, plan.timing) as writer:
        for clip in clips:
            writer.write(clip)
        writer.finish()


def _used_up(made: Iterable[object]) -> None:
    """Nothing is kept: the memory of one is there for the next, as in the pipeline."""
    deque(made, maxlen=0)


def _discard(made: Callable[[], Clip]) -> None:
    made()

"""What a person can ask for: frozen values by subject, checked when made. Free of torch.

Each option stands once, as a field: its default, its sentence, how it is written on the command
line, and whether it changes the bytes of the target. The flags of ``vsr upscale`` and their help,
the table in ``docs/guide/options.md`` and the identity of a run in its journal follow from that.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from vsr.device_names import check_devices
from vsr.errors import OptionsError
from vsr.geometry import Size
from vsr.option_fields import at_least, check_types, names_of, not_negative, one_of, option
from vsr.restoration import parse_clean, parse_crop, parse_grain
from vsr.units import auto_or_number, pairs, parse_bytes, parse_seconds, parse_size

DtypeName = Literal["auto", "fp16", "bf16", "fp32"]
CodecName = Literal[
    "auto", "h264", "hevc", "av1", "prores", "ffv1", "h264_nvenc", "hevc_nvenc", "av1_nvenc"
]
Switch = Literal["auto", "on", "off"]
DeinterlaceMode = Literal["auto", "frames", "fields", "off"]
VerifyMode = Literal["packets", "full"]
STALL_SECONDS = 300.0
"""How long a source may take to answer a read, unless told."""


@dataclass(frozen=True)
class ModelOptions:
    """Which networks run."""

    model: str = option("auto", "See `vsr models list`.", "NAME|PATH")
    then: tuple[str, ...] = option((), "A model that runs after; repeatable.", "NAME|PATH")
    denoise: float | None = option(
        None, "For realesr-general-x4v3.pth and realesr-general-wdn-x4v3.pth.", "0..1"
    )
    check_model: bool | None = option(
        None,
        "Warn of a model that loses to bicubic on a crop; by default of third-party models.",
        changes=False,
    )

    def __post_init__(self) -> None:
        if self.denoise is not None and not 0 <= self.denoise <= 1:
            raise OptionsError(f"denoise must be from 0 to 1, got {self.denoise:g}")


@dataclass(frozen=True)
class SizeOptions:
    """The target's size: at most one of ``scale``, ``size`` and ``height`` or ``width``."""

    scale: float | None = option(None, "1 to 8; the network's own factor unless told.")
    height: int | None = option(None, "Target height; the width follows.")
    width: int | None = option(None, "Target width; the height follows.")
    size: Size | None = option(None, "Exact target size.", "WxH", parse=parse_size)

    def __post_init__(self) -> None:
        given = (self.scale, self.size, self.height or self.width)
        if sum(value is not None for value in given) > 1:
            raise OptionsError(
                "the target size was given more than once",
                hint="keep one of --scale, --size, --height",
            )
        if self.scale is not None and not 1 <= self.scale <= 8:
            raise OptionsError(f"scale must be from 1 to 8, got {self.scale:g}")
        at_least("height", self.height, 1)
        at_least("width", self.width, 1)

    def target_size(self, source: Size, network_scale: int) -> Size:
        """The size asked for, before it is rounded to what a pixel format holds.

        Example:

            >>> SizeOptions(height=1080).target_size(Size(320, 180), network_scale=4)
            Size(width=1920, height=1080)
        """
        if self.size is not None:
            return self.size
        if self.height is not None and self.width is not None:
            return Size(self.width, self.height)
        if self.height is not None:
            return Size(max(1, round(source.width * self.height / source.height)), self.height)
        if self.width is not None:
            return Size(self.width, max(1, round(source.height * self.width / source.width)))
        factor = network_scale if self.scale is None else self.scale
        return Size(max(1, round(source.width * factor)), max(1, round(source.height * factor)))


@dataclass(frozen=True)
class PlacementOptions:
    """Where and in which parts a network runs. Sizes are in source pixels; ``None`` to choose."""

    device: str = option("auto", "Where the network runs.", "auto|cuda[:n]|mps|cpu", changes=False)
    dtype: DtypeName = option("auto", "Precision.", names_of(DtypeName))
    tile: int | None = option(
        None, "Side of a tile in input pixels.", "auto|N", parse=auto_or_number("tile")
    )
    overlap: int | None = option(
        None,
        "Pixels that tiles share on each side; auto is exact, less is cross-faded.",
        "auto|N",
        parse=auto_or_number("overlap"),
    )
    batch: int | None = option(
        None, "Tiles that run at once.", "auto|N", parse=auto_or_number("batch")
    )
    compile: Switch = option(
        "auto", "Compile the network with torch.compile first.", names_of(Switch)
    )

    def __post_init__(self) -> None:
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise OptionsError(
                f"there is no device {self.device!r}", hint="one of auto, cpu, cuda, cuda:1, mps"
            )
        one_of("dtype", self.dtype, get_args(DtypeName))
        at_least("tile", self.tile, 16)
        at_least("overlap", self.overlap, 0)
        at_least("batch", self.batch, 1)
        one_of("compile", self.compile, get_args(Switch))


@dataclass(frozen=True)
class EngineOptions(PlacementOptions):
    """All that an engine is told."""

    memory: int | None = None
    """A budget in bytes, from which tile and batch follow where they are not given."""
    reuse: int | None = 0
    """Compute only what changed since the frame before by more than so many code values; at 0 the
    result is the same, with ``None`` every frame is computed whole."""
    share: int = 1
    """Engines that divide what is free of a GPU, where ``memory`` is not given."""

    def __post_init__(self) -> None:
        check_types(self)
        super().__post_init__()
        at_least("vram", self.memory, 64 << 20, "64MB")
        at_least("reuse", self.reuse, 0)


@dataclass(frozen=True)
class NetworkOptions(PlacementOptions):
    """How the network runs."""

    vram: int | None = option(
        None, "Memory budget, from which tile and batch follow.", "4GB", parse=parse_bytes
    )
    reuse: str = option(
        "exact",
        "Compute only what changed since the frame before, by more than N code values. "
        "On a GPU exact is within one code value.",
        "exact|off|N",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("vram", self.vram, 64 << 20, "64MB")
        _ = self.reuse_tolerance

    @property
    def reuse_tolerance(self) -> int | None:
        """In code values; ``None`` where every frame is computed whole."""
        if self.reuse in ("exact", "off"):
            return 0 if self.reuse == "exact" else None
        if not self.reuse.isdecimal():
            raise OptionsError(
                f"reuse must be exact, off or a tolerance in code values, got {self.reuse!r}",
                hint="--reuse 2 takes what differs by at most 2 for the same",
            )
        return int(self.reuse)


@dataclass(frozen=True)
class SourceOptions:
    """What is read of the source, and what is done to its frames before the network."""

    start: float | None = option(
        None, "Begin here: seconds or h:mm:ss.mmm.", "TIME", parse=parse_seconds
    )
    end: float | None = option(None, "Stop before this time.", "TIME", parse=parse_seconds)
    deinterlace: DeinterlaceMode = option(
        "auto",
        "One output frame for each frame or for each field; auto detects fields that move.",
        names_of(DeinterlaceMode),
    )
    ivtc: Switch = option(
        "auto", "Undo telecine: film in fields back to its pictures.", names_of(Switch)
    )
    crop: str = option(
        "off",
        "Leave out black bars, or all but that part, in pixels of the source.",
        "auto|off|W:H:X:Y",
    )
    clean: str = option(
        "off", "Take such dirt out before the network sees it.", "off|vhs|dvd|film|web[:0..1]"
    )
    grain: str = option(
        "off", "Take the source's grain out, and give back as much, or N of 255.", "auto|off|N"
    )
    fps: str | None = option(None, "For a folder of frames that becomes a video.", "N|N/D")
    hwaccel: Literal["auto", "off"] = option("auto", "Decode on the GPU, where it can.", "auto|off")
    allow_huge: bool = option(False, "Allow frames of more than 128 million pixels.")
    accept_truncated: bool = option(
        False, "Finish a video that ends long before its container says.", changes=False
    )
    stall: float = option(
        STALL_SECONDS,
        "Fail after so long without an answer from the source; 0 waits.",
        "SECONDS",
        changes=False,
    )

    def __post_init__(self) -> None:
        one_of("hwaccel", self.hwaccel, ("auto", "off"))
        one_of("deinterlace", self.deinterlace, get_args(DeinterlaceMode))
        one_of("ivtc", self.ivtc, get_args(Switch))
        parse_clean(self.clean)
        parse_crop(self.crop)
        parse_grain(self.grain)
        for name, value in (("start", self.start), ("end", self.end), ("stall", self.stall)):
            not_negative(name, value)
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise OptionsError(f"end ({self.end:g} s) must come after start ({self.start:g} s)")
        if self.fps is not None and not re.fullmatch(r"\d+(\.\d+)?|[1-9]\d*/[1-9]\d*", self.fps):
            raise OptionsError(f"fps must be a number or a fraction, got {self.fps!r}")
        if self.fps is not None and not any(digit in self.fps for digit in "123456789"):
            raise OptionsError(f"fps must be above 0, got {self.fps!r}")


@dataclass(frozen=True)
class EncodingOptions:
    """How the target is encoded."""

    codec: CodecName = option("auto", "Video codec.", names_of(CodecName))
    crf: float | None = option(None, "Quality: lower is better and larger.")
    preset: str | None = option(None, "The encoder's speed: veryfast, medium, slow; 0-13 for av1.")
    pix_fmt: str | None = option(None, "Pixel format, such as yuv420p10le.")
    encoder_options: tuple[tuple[str, str], ...] = option(
        (),
        "Any option of the encoder's; repeatable.",
        "K=V",
        flag="encoder-option",
        parse=pairs,
    )

    def __post_init__(self) -> None:
        one_of("codec", self.codec, get_args(CodecName))
        not_negative("crf", self.crf)


@dataclass(frozen=True)
class WorkerOptions:
    """Who makes the segments. The target's bytes do not depend on it."""

    devices: str | None = option(
        None, "Several at once, for one video too.", "all|cuda:0,cuda:1|cpu:N", changes=False
    )
    cluster: str | None = option(
        None, "The workers of a Ray cluster.", "auto|HOST:PORT", changes=False
    )
    workers: int | None = option(
        None, "Cluster: number of workers; default as many as fit.", "N", changes=False
    )
    cores: int | None = option(None, "Cluster: CPU cores of each worker.", "N", changes=False)
    ship: bool = option(False, "Cluster: send files where nodes share no storage.", changes=False)
    encoders: str = option("auto", "Segments encoded side by side.", "auto|N", changes=False)

    def __post_init__(self) -> None:
        at_least("workers", self.workers, 1)
        at_least("cores", self.cores, 1)
        if self.cluster is None and (self.ship or self.workers or self.cores):
            raise OptionsError("--workers, --cores and --ship are for a --cluster")
        if self.encoders != "auto" and not re.fullmatch(r"[1-9]\d?", self.encoders):
            raise OptionsError(f"encoders must be auto or from 1 to 99, got {self.encoders!r}")

    @property
    def encoder_count(self) -> int | None:
        """How many segments are encoded side by side, if that was said."""
        return None if self.encoders == "auto" else int(self.encoders)


@dataclass(frozen=True)
class RunOptions:
    """What is made beside the target, what may be replaced, and how sure one wants to be."""

    compare: Path | None = option(
        None, "Write a page of frames before and after.", "FILE.html", changes=False
    )
    preview: float | None = option(
        None, "Make only the most active stretch of this length.", "SECONDS"
    )
    overwrite: bool = option(False, "Replace the target if it exists.", changes=False)
    restart: bool = option(False, "Discard an interrupted run of other settings.", changes=False)
    fresh: bool = option(
        False, "Begin anew, whatever an interrupted run had finished.", changes=False
    )
    verify: VerifyMode = option(
        "packets",
        "What is checked of the target: full decodes all of it, too.",
        names_of(VerifyMode),
        changes=False,
    )
    force: bool = option(False, "Start even if the disk seems too small.", changes=False)

    def __post_init__(self) -> None:
        one_of("verify", self.verify, get_args(VerifyMode))
        if self.preview is not None and not 0 < self.preview < float("inf"):
            raise OptionsError(f"preview must be above 0 seconds, got {self.preview:g}")


@dataclass(frozen=True)
class UpscaleOptions(
    ModelOptions,
    SizeOptions,
    NetworkOptions,
    SourceOptions,
    EncodingOptions,
    WorkerOptions,
    RunOptions,
):
    """Everything that ``vsr upscale`` can be told; ``docs/guide/options.md`` lists it.

    Where only a part is needed, a function asks for that subject's class.
    """

    def __post_init__(self) -> None:
        check_types(self)
        check_devices(self.device, self.devices, self.cluster)
        for subject in SUBJECTS:
            subject.__post_init__(self)
        if self.compare is not None and (self.devices or self.cluster):
            raise OptionsError("--compare needs one --device", hint="leave the others out")

    @property
    def engine(self) -> EngineOptions:
        """The part that the engine needs."""
        device = self.device
        if self.cluster is not None and device == "cuda":  # the workers'; here may be none
            device = "auto"
        elif self.devices is not None:  # the first of them plans, and does what cannot be divided
            cpu = self.devices.startswith("cpu")
            device = "cpu" if cpu else self.devices.replace("all", "cuda:0").split(",")[0]
        names = (self.devices or "").split(",")
        return EngineOptions(
            device=device,
            dtype=self.dtype,
            tile=self.tile,
            overlap=self.overlap,
            batch=self.batch,
            compile=self.compile,
            memory=self.vram,
            reuse=self.reuse_tolerance,
            share=max(map(names.count, names)),  # that the busiest of ``devices`` has
        )

    def as_json(self) -> dict[str, object]:
        """For a journal: everything that could change the target's bytes."""
        changing = {each.name for each in fields(self) if each.metadata["changes"]}
        return {key: value for key, value in asdict(self).items() if key in changing}


SUBJECTS: tuple[type[Any], ...] = UpscaleOptions.__bases__
"""The classes of options, in the order of the guide."""

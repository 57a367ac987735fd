"""What a person can ask for: frozen values, defaults once, checked when made. Free of torch."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from vsr.device_names import check_devices
from vsr.errors import OptionsError
from vsr.geometry import Size
from vsr.units import binary

DtypeName = Literal["auto", "fp16", "bf16", "fp32"]
CodecName = Literal[
    "auto", "h264", "hevc", "av1", "prores", "ffv1", "h264_nvenc", "hevc_nvenc", "av1_nvenc"
]
Switch = Literal["auto", "on", "off"]
DeinterlaceMode = Literal["auto", "frames", "fields", "off"]
OnError = Literal["continue", "stop"]
Order = Literal["name", "size", "duration", "newest", "oldest"]


CleanPreset = Literal["vhs", "dvd", "film", "web"]
CLEAN_STRENGTH = 0.5


@dataclass(frozen=True, slots=True)
class Clean:
    """What is taken out of the source's frames before the network sees them, 0 (nothing) to 1."""

    preset: CleanPreset
    strength: float = CLEAN_STRENGTH

    def __post_init__(self) -> None:
        _one_of("clean", self.preset, get_args(CleanPreset))
        if not 0 <= self.strength <= 1:
            raise OptionsError(f"the strength of clean must be from 0 to 1, got {self.strength:g}")


def parse_clean(text: str) -> Clean | None:
    """ "off", "vhs", or "vhs:0.7" with a strength; ``None`` where nothing is to be cleaned."""
    preset, colon, strength = text.partition(":")
    if text == "off":
        return None
    try:
        amount = float(strength) if colon else CLEAN_STRENGTH
    except ValueError as error:
        raise OptionsError(
            f"clean must be a preset and a strength, got {text!r}", hint="such as --clean vhs:0.7"
        ) from error
    made = Clean(cast(CleanPreset, preset), amount)  # checked by itself
    return made if made.strength else None


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How the network runs.

    ``tile`` is the side of the square window that the network sees, ``overlap`` what it shares with
    its neighbours on each side; ``batch`` how many windows go through at once; all in input pixels,
    ``None`` to choose. ``memory`` is a budget in bytes from which tile and batch follow; without
    one, ``share`` engines divide what is free of a GPU. ``reuse``
    computes only what changed since the frame before by more than so many code values; at 0 the
    result is the same, with ``None`` every frame is computed whole. ``compile`` builds the network
    for its one shape with `torch.compile`.
    """

    device: str = "auto"
    dtype: DtypeName = "auto"
    tile: int | None = None
    overlap: int | None = None
    batch: int | None = None
    memory: int | None = None
    reuse: int | None = 0
    compile: Switch = "auto"
    share: int = 1

    def __post_init__(self) -> None:
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise OptionsError(
                f"there is no device {self.device!r}", hint="one of auto, cpu, cuda, cuda:1, mps"
            )
        _one_of("dtype", self.dtype, get_args(DtypeName))
        _at_least("tile", self.tile, 16)
        _at_least("overlap", self.overlap, 0)
        _at_least("batch", self.batch, 1)
        _at_least("vram", self.memory, 64 << 20, "64MB")
        _at_least("reuse", self.reuse, 0)
        _one_of("compile", self.compile, get_args(Switch))


@dataclass(frozen=True, slots=True)
class UpscaleOptions:
    """Everything that ``vsr upscale`` can be told; see ``docs/guide/upscale.md`` for each.

    At most one of ``scale``, ``size`` and ``height``/``width`` may be given; the network's own
    factor otherwise. ``then`` names models that run after ``model``, each on what the one before
    made; ``denoise`` is a strength for Real-ESRGAN's general network. ``check_model`` tries the
    model on a crop first, by default where it is a stranger's. ``start`` and ``end`` are seconds
    of the source's own clock. ``fps`` is for a folder of frames that becomes a video, as a
    fraction: "24000/1001". ``compare`` is a page to write, with some frames before and after.
    ``deinterlace`` makes one frame of each field, or of each frame, of what is found interlaced or,
    named, of all; ``ivtc`` matches fields of film to pictures where it finds a cadence, or
    everywhere. ``clean`` is "off", a preset ("vhs", "dvd", "film", "web"), or one with a strength:
    "vhs:0.7".
    ``reuse`` is "exact", "off" or a tolerance in code values, as text. ``hwaccel`` decodes on the
    GPU that the network runs on, where that works. ``encoders`` is how many segments are encoded
    side by side, or "auto".
    ``preview`` makes so many seconds of the liveliest stretch; ``force`` begins though the disk
    seems too small. ``allow_huge`` believes a source that claims frames beyond ``media/limits.py``;
    ``accept_truncated`` finishes a source that ends long before its own index or duration says.
    ``stall`` are the seconds after which a source that does not answer is an error, 0 for never.
    ``verify`` "full" decodes the written file as well. What an interrupted run of the same settings
    finished is used again; of other settings it is an error, unless ``restart`` discards it.
    ``fresh`` discards it in any case. ``devices`` are several of one kind that share the segments:
    "all" GPUs, "cuda:0,cuda:1", or "cpu:2" for two processes. ``cluster`` is the address of a Ray
    cluster that shares them, or "auto"; of its ``workers``, by default as many as it has room for,
    each has a GPU or ``cores``. ``ship`` sends sources and segments where storage is not shared.
    """

    model: str = "auto"
    then: tuple[str, ...] = ()
    denoise: float | None = None
    check_model: bool | None = None
    scale: float | None = None
    height: int | None = None
    width: int | None = None
    size: Size | None = None
    device: str = "auto"
    devices: str | None = None
    cluster: str | None = None
    workers: int | None = None
    cores: int | None = None
    ship: bool = False
    dtype: DtypeName = "auto"
    tile: int | None = None
    overlap: int | None = None
    batch: int | None = None
    vram: int | None = None
    reuse: str = "exact"
    compile: Switch = "auto"
    hwaccel: Literal["auto", "off"] = "auto"
    encoders: str = "auto"
    codec: CodecName = "auto"
    crf: float | None = None
    preset: str | None = None
    pix_fmt: str | None = None
    encoder_options: tuple[tuple[str, str], ...] = ()
    start: float | None = None
    end: float | None = None
    deinterlace: DeinterlaceMode = "auto"
    ivtc: Switch = "auto"
    clean: str = "off"
    fps: str | None = None
    compare: Path | None = None
    preview: float | None = None
    overwrite: bool = False
    restart: bool = False
    fresh: bool = False
    allow_huge: bool = False
    accept_truncated: bool = False
    stall: float = 300.0
    verify: Literal["packets", "full"] = "packets"
    force: bool = False

    def __post_init__(self) -> None:
        if (
            sum(value is not None for value in (self.scale, self.size, self.height or self.width))
            > 1
        ):
            raise OptionsError(
                "the target size was given more than once",
                hint="keep one of --scale, --size, --height",
            )
        if self.scale is not None and not 1 <= self.scale <= 8:
            raise OptionsError(f"scale must be from 1 to 8, got {self.scale:g}")
        if self.denoise is not None and not 0 <= self.denoise <= 1:
            raise OptionsError(f"denoise must be from 0 to 1, got {self.denoise:g}")
        _at_least("height", self.height, 1)
        _at_least("width", self.width, 1)
        _one_of("codec", self.codec, get_args(CodecName))
        _one_of("hwaccel", self.hwaccel, ("auto", "off"))
        _one_of("verify", self.verify, ("packets", "full"))
        _one_of("deinterlace", self.deinterlace, get_args(DeinterlaceMode))
        _one_of("ivtc", self.ivtc, get_args(Switch))
        parse_clean(self.clean)
        if self.preview is not None and not 0 < self.preview < float("inf"):
            raise OptionsError(f"preview must be above 0 seconds, got {self.preview:g}")
        given = (("start", self.start), ("end", self.end), ("crf", self.crf), ("stall", self.stall))
        for name, value in given:
            if value is not None and not 0 <= value < float("inf"):
                raise OptionsError(f"{name} must not be negative, got {value:g}")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise OptionsError(f"end ({self.end:g} s) must come after start ({self.start:g} s)")
        if self.fps is not None and not re.fullmatch(r"\d+(\.\d+)?|[1-9]\d*/[1-9]\d*", self.fps):
            raise OptionsError(f"fps must be a number or a fraction, got {self.fps!r}")
        if self.fps is not None and not any(digit in self.fps for digit in "123456789"):
            raise OptionsError(f"fps must be above 0, got {self.fps!r}")
        _at_least("workers", self.workers, 1)
        _at_least("cores", self.cores, 1)
        check_devices(self.device, self.devices, self.cluster)
        if self.cluster is None and (self.ship or self.workers or self.cores):
            raise OptionsError("--workers, --cores and --ship are for a --cluster")
        if self.compare is not None and (self.devices or self.cluster):
            raise OptionsError("--compare needs one --device", hint="leave the others out")
        if self.encoders != "auto" and not re.fullmatch(r"[1-9]\d?", self.encoders):
            raise OptionsError(f"encoders must be auto or from 1 to 99, got {self.encoders!r}")
        _ = self.engine  # checks what it shares with the engine's

    @property
    def encoder_count(self) -> int | None:
        """How many segments are encoded side by side, if that was said."""
        return None if self.encoders == "auto" else int(self.encoders)

    @property
    def engine(self) -> EngineOptions:
        """The part that the engine needs."""
        device = self.device
        if self.cluster is not None and device == "cuda":  # the workers'; here may be none
            device = "auto"
        elif self.devices is not None:  # the first of them plans, and does what cannot be divided
            cpu = self.devices.startswith("cpu")
            device = "cpu" if cpu else self.devices.replace("all", "cuda:0").split(",")[0]
        return EngineOptions(
            device,
            self.dtype,
            self.tile,
            self.overlap,
            self.batch,
            self.vram,
            self._reuse,
            self.compile,
            self._most_on_one_device,
        )

    @property
    def _most_on_one_device(self) -> int:
        """Engines that the busiest of ``devices`` has; on a CPU their budget is a fixed one."""
        names = (self.devices or "").split(",")
        return max(map(names.count, names))

    @property
    def _reuse(self) -> int | None:
        if self.reuse in ("exact", "off"):
            return 0 if self.reuse == "exact" else None
        if not self.reuse.isdecimal():
            raise OptionsError(
                f"reuse must be exact, off or a tolerance in code values, got {self.reuse!r}",
                hint="--reuse 2 takes what differs by at most 2 for the same",
            )
        return int(self.reuse)

    def as_json(self) -> dict[str, object]:
        """For a journal: everything that could change the result."""
        about_the_run = (
            "compare", "device", "devices", "cluster", "encoders", "workers", "cores", "ship",
            "overwrite", "restart", "fresh", "force", "check_model", "accept_truncated", "verify",
            "stall",
        )  # fmt: skip
        return {key: value for key, value in asdict(self).items() if key not in about_the_run}

    def target_size(self, source: Size, network_scale: int) -> Size:
        """The size asked for, before it is rounded to what a pixel format holds."""
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


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """How several files are found, named and gone through; see ``docs/guide/batch.md``.

    ``include`` and ``exclude`` are patterns of names, or of paths below the input folder where they
    hold a slash. ``watch`` goes on with new files, looked for every ``poll`` seconds, once they
    stopped growing. ``skip_broken`` leaves files alone that an earlier run found damaged, until
    they change.
    """

    recursive: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    name: str = "{stem}{suffix}"
    on_error: OnError = "continue"
    skip_broken: bool = False
    order: Order = "name"
    watch: bool = False
    poll: float = 5.0

    def __post_init__(self) -> None:
        _one_of("on-error", self.on_error, get_args(OnError))
        _one_of("order", self.order, get_args(Order))
        if not 0 < self.poll <= 86400:
            raise OptionsError(f"poll must be above 0 seconds and at most a day, got {self.poll:g}")


def _at_least(name: str, value: int | None, least: int, shown: str | None = None) -> None:
    if value is not None and value < least:
        got = value if shown is None else binary(value)
        raise OptionsError(f"{name} must be at least {shown or least}, got {got}")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise OptionsError(f"there is no {name} {value!r}", hint=f"one of {', '.join(known)}")

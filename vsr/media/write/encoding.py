"""Choose how a job's frames are encoded: codec, pixel format, tags, options, and what is lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import av

from vsr.color import BT709, FULL_RANGE, UNSPECIFIED, ColorSpec
from vsr.errors import OptionsError
from vsr.geometry import Size
from vsr.media.grain import Grain
from vsr.media.pixels import layout_of, name_of
from vsr.media.read.probe import MediaInfo
from vsr.media.read.siting import NAMES as SITINGS
from vsr.media.write.codecs import CODECS, CONTAINERS, SPEEDS, Codec, encoder_threads, x265_limits
from vsr.media.write.hdr import svtav1_params, x265_params
from vsr.options import UpscaleOptions
from vsr.system import processors

H264_PIXELS = 36864 * 256  # level 5.2's largest frame (H.264 table A-1), the most that players take
QUARTER_TURNS = ("matroska", "webm")  # what they can say of a display matrix
HEVC_PIXELS = 35651584  # level 6.2's (H.265 table A.8)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a job's frames are encoded: settled before the first one, the same for every segment."""

    codec: str
    """Its name in :data:`CODECS`."""
    container: str
    """The target's container, by FFmpeg's name of its muxer."""
    size: Size
    """Size of encoded frames in target pixels, on whole samples of chroma."""
    pix_fmt: str
    """Pixel format that the encoder gets: the layout of ``color``, or a packed form of it."""
    color: ColorSpec
    """How planes are handed over: layout and tags."""
    matrix_tag: int
    """What is written for the matrix, a number of ITU-T H.273: the source's own tag, unless there
    is none and the larger size would be read by another rule than the source was."""
    options: tuple[tuple[str, str], ...]
    """Names and values of the encoder's options."""
    tag: str | None
    """Four-character code of the codec in MP4 and MOV; ``None``: FFmpeg's own choice."""
    notes: tuple[str, ...]
    """What a person should know of the choice."""
    grain: Grain | None = None
    """What frames get behind the network, at their new size; ``None``: no grain."""

    @property
    def threads(self) -> str | None:
        """How many threads the encoder has, where that shows in its bytes."""
        return dict(self.options).get("threads")

    @property
    def entry(self) -> Codec:
        """The codec's row in the table."""
        return CODECS[self.codec]

    def __str__(self) -> str:
        shown = [f"{key}={value}" for key, value in self.options if key in ("crf", "cq", "preset")]
        grain = [] if self.grain is None else [f"grain {self.grain.strength:.1f}"]
        return " ".join([self.entry.encoder, *shown, self.pix_fmt, *grain])


def container_of(target: Path) -> str:
    """The container of a target's suffix. Raises :class:`OptionsError` for one not written."""
    found = CONTAINERS.get(target.suffix.lower())
    if found is None:
        raise OptionsError(
            f"cannot write video to a {target.suffix or 'nameless'} file: {target.name}",
            hint=f"end the target in one of {', '.join(CONTAINERS)}",
        )
    return found


def choose(
    info: MediaInfo,
    target: Path,
    size: Size,
    options: UpscaleOptions,
    *,
    pace: float | None = None,
) -> Encoding:
    """Codec, pixel format, tags and encoder options for frames of ``size``.

    ``pace`` is how many frames a second a GPU makes: codec and preset are to keep up with it, where
    they were not asked for.
    """
    container = container_of(target)
    name = options.codec
    if name == "auto":
        name = _best_codec(info, container, size, quick=pace is not None)
    codec = CODECS[name]
    if container not in codec.containers:
        raise OptionsError(
            f"{target.suffix} cannot hold {name}",
            hint=f"use --codec {_fitting(container)}, or a target ending in "
            + ", ".join(s for s, c in CONTAINERS.items() if c in codec.containers),
        )
    if max(size.width, size.height) > codec.max_side:
        raise OptionsError(
            f"{name} encodes at most {codec.max_side} px a side, and the target is {size}",
            hint="use --codec hevc or av1, or ask for a smaller --height",
        )
    pix_fmt, color = _pixel_format(
        codec, info.color.resolved(info.full_size.height), options.pix_fmt
    )
    notes = list(_losses(info.color, color, name))
    if color.layout != "rgb" and color.range == FULL_RANGE and not codec.full_range:
        color = replace(color, range=1)
        notes.append(f"the full range of code values ({name} is always limited; converted)")
    if not codec.aspect and container in ("matroska", "webm") and (info.sample_aspect or 1) != 1:
        notes.append(
            f"sample aspect ratio {info.sample_aspect} (not kept by {name} in {container})"
        )
    if info.hdr is not None and not codec.hdr10:
        notes.append("HDR10 mastering display and light levels (hevc and av1 keep them)")
    if info.rotation % 90 and container in QUARTER_TURNS:
        notes.append(f"rotation by {info.rotation} degrees ({container} holds quarter turns)")
    shifts = info.display_matrix, enlarged_matrix(info, size)
    if [any(matrix[6:8]) for matrix in shifts if matrix is not None] == [True, False]:
        notes.append("shift of the display matrix (enlarged, it is more than 32 bits hold)")
    preset = _preset(name, size, options, pace)
    return Encoding(
        codec=name,
        container=container,
        size=size.rounded(*color.multiple),
        pix_fmt=pix_fmt,
        color=color,
        matrix_tag=_matrix_tag(info, color, size),
        options=_options(name, codec, info, size, pix_fmt, color, replace(options, preset=preset)),
        tag="hvc1" if name.startswith("hevc") and container in ("mp4", "mov") else None,
        notes=tuple(notes),
    )


def enlarged_matrix(info: MediaInfo, size: Size) -> tuple[int, ...] | None:
    """The display matrix with its shift, which is in pixels (16.16), enlarged too.

    A cropped picture has its corner where that of the whole one was. Without a shift where 32 bits
    do not hold it; ``None`` where there is no matrix.
    """
    if info.display_matrix is None:
        return None
    matrix = list(info.display_matrix)
    for place in (0, 1):
        whole, cropped = (
            min(0, matrix[place] * of.width) + min(0, matrix[3 + place] * of.height)
            for of in (info.full_size, info.size)
        )
        matrix[6 + place] += whole - cropped if any(info.display_matrix[6:8]) else 0
    matrix[6] = matrix[6] * size.width // info.size.width
    matrix[7] = matrix[7] * size.height // info.size.height
    if not all(-(1 << 31) <= shift < 1 << 31 for shift in matrix[6:8]):
        matrix[6] = matrix[7] = 0
    return tuple(matrix)


def _preset(name: str, size: Size, options: UpscaleOptions, pace: float | None) -> str | None:
    """The encoder's speed: as asked; its own; or, where the network makes ``pace`` frames a second,
    the slowest that keeps up with it. Files by ``ultrafast`` are too large to be anyone's default.
    """
    if options.preset is not None or pace is None:
        return options.preset
    known = {p: speed for p, speed in SPEEDS.get(name, {}).items() if p != "ultrafast"}
    rates = {p: speed * 1e6 * processors() / size.pixels for p, speed in known.items()}
    fast = next((preset for preset, rate in rates.items() if rate >= pace), None)
    return fast or next(reversed(rates), None)


def _best_codec(info: MediaInfo, container: str, size: Size, *, quick: bool) -> str:
    if container == "webm":
        return "av1"
    if quick and size.pixels > H264_PIXELS and container != "mov":
        return "av1"  # SVT-AV1 is five times as fast as x265: docs/benchmarks.md
    if size.pixels > HEVC_PIXELS and container != "mov":
        return "av1"
    return "hevc" if info.color.hdr or size.pixels > H264_PIXELS else "h264"


def _fitting(container: str) -> str:
    return " or ".join(name for name, codec in CODECS.items() if container in codec.containers)


def _pixel_format(codec: Codec, source: ColorSpec, asked: str | None) -> tuple[str, ColorSpec]:
    """The encoder's format that loses least of the source, and adds least."""
    encoder = av.Codec(codec.encoder, "w")
    names = [kind.name for kind in encoder.video_formats or [] if not kind.name.startswith("yuvj")]
    known = {name: spec for name in names if (spec := _handed_over(name)) is not None}
    if asked is not None:
        if asked not in known:
            raise OptionsError(
                f"{codec.encoder} takes no pixel format {asked!r}",
                hint=f"it takes {', '.join(known)}",
            )
        return asked, _tagged(known[asked], source)

    def cost(name: str) -> tuple[int | bool, ...]:
        spec = known[name]
        wanted = source.layout if source.layout != "gray" and codec.encoder == "ffv1" else "yuv"
        shift = (
            source.shift if source.layout == "yuv" else (0, 0) if source.layout == "rgb" else (1, 1)
        )
        lost_chroma = max(0, spec.shift[0] - shift[0]) + max(0, spec.shift[1] - shift[1])
        more_chroma = max(0, shift[0] - spec.shift[0]) + max(0, shift[1] - spec.shift[1])
        return (
            spec.layout != wanted,
            source.alpha and codec.alpha and not spec.alpha,
            max(0, source.depth - spec.depth),
            lost_chroma,
            spec.alpha and not (source.alpha and codec.alpha),
            more_chroma,
            spec.depth - source.depth,
            spec.layout == "gray",
        )

    best = min(known, key=cost)
    return best, _tagged(known[best], source)


def _handed_over(name: str) -> ColorSpec | None:
    """The planar layout in which frames of a format are handed over, packed forms included."""
    packed = {
        "bgr0": ColorSpec("rgb", 8, (0, 0)),
        "bgra": ColorSpec("rgb", 8, (0, 0), alpha=True),
        "p010le": ColorSpec("yuv", 10),
    }
    return packed.get(name) or layout_of(name)


def _tagged(spec: ColorSpec, source: ColorSpec) -> ColorSpec:
    """The source's tags on the encoder's layout. RGB that becomes YUV does so by BT.709."""
    matrix, full = source.matrix, source.range
    if spec.layout == "rgb":
        matrix, full = 0, FULL_RANGE
    elif source.layout == "rgb":
        matrix, full = BT709, 1
    elif source.layout == "gray" and matrix in (0, UNSPECIFIED):
        matrix = BT709
    return replace(
        spec,
        matrix=matrix,
        range=full,
        primaries=source.primaries,
        transfer=source.transfer,
        siting=source.siting,
    )


def _matrix_tag(info: MediaInfo, color: ColorSpec, size: Size) -> int:
    if color.layout == "rgb":
        return color.matrix
    if color.layout == "gray" or info.color.layout == "gray":
        return info.color.matrix
    untagged = replace(color, matrix=info.color.matrix)
    same = untagged.resolved(size.height).matrix == color.matrix
    return info.color.matrix if same and info.color.layout == "yuv" else color.matrix


def _losses(source: ColorSpec, target: ColorSpec, name: str) -> list[str]:
    lost: list[str] = []
    if source.alpha and not target.alpha:
        lost.append(f"transparency ({name} has none; prores in .mov and ffv1 in .mkv keep it)")
    if target.depth < source.depth:
        lost.append(f"{source.depth}-bit depth ({name} takes {target.depth} bits)")
    if source.layout == "yuv" and target.layout == "yuv" and target.shift > source.shift:
        lost.append(f"full chroma resolution ({name} takes {name_of(target)})")
    return lost


def _options(
    name: str,
    codec: Codec,
    info: MediaInfo,
    size: Size,
    pix_fmt: str,
    color: ColorSpec,
    asked: UpscaleOptions,
) -> tuple[tuple[str, str], ...]:
    chosen = dict(codec.fixed)
    for given, option, flag in (
        (None if asked.crf is None else f"{asked.crf:g}", codec.quality, "crf"),
        (asked.preset, codec.speed, "preset"),
    ):
        if option is None and given is not None:
            raise OptionsError(f"{name} has no {flag}", hint="use --encoder-option for what it has")
        if option is not None:
            chosen[option[0]] = option[1] if given is None else given
    if asked.crf is not None and asked.crf > codec.most_quality:
        raise OptionsError(
            f"crf must be from 0 to {codec.most_quality} for {name}, got {asked.crf:g}",
            hint="less is better and larger; by default "
            + (codec.quality[1] if codec.quality else "none"),
        )
    if asked.preset is not None and codec.speeds and asked.preset not in codec.speeds:
        raise OptionsError(
            f"{name} has no preset {asked.preset!r}", hint=f"one of {', '.join(codec.speeds)}"
        )
    params = {"libx265": "x265-params", "libsvtav1": "svtav1-params"}.get(codec.encoder)
    if codec.encoder == "libx265":
        hdr = x265_params(info.hdr) if info.hdr else []
        chosen["x265-params"] = ":".join(["log-level=none", *x265_limits(size), *hdr])
    if codec.encoder == "libsvtav1" and info.hdr:
        chosen["svtav1-params"] = ":".join(svtav1_params(info.hdr))
    if codec.encoder == "prores_ks":
        chosen["profile"] = "4444" if "444" in pix_fmt else "hq"
        if not color.alpha:
            chosen["alpha_bits"] = "0"
    if color.layout == "yuv" and color.siting:
        chosen["chroma_sample_location"] = SITINGS[color.siting]
    if (threads := encoder_threads(codec.encoder)) is not None:
        chosen["threads"] = str(threads)
    for key, value in asked.encoder_options:
        joined = key == params and key in chosen
        chosen[key] = f"{chosen[key]}:{value}" if joined else value
    return tuple(chosen.items())

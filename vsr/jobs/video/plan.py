"""Everything about a job that can be settled before the first frame: checked, frozen, printable."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from vsr.color import ColorSpec
from vsr.errors import MediaError, OptionsError
from vsr.infer.device import pick
from vsr.infer.footprint import Conversion
from vsr.jobs.pace import network_fps
from vsr.jobs.video.journal import is_saved, recorded
from vsr.jobs.video.source import (
    bounds,
    crop_of,
    cut_of,
    fields_of,
    filters_of,
)
from vsr.jobs.work_folder import folder_of, sweep
from vsr.media.atomic import check_replaceable
from vsr.media.clean import Filters
from vsr.media.clip import Clip
from vsr.media.fields.plan import FieldPlan
from vsr.media.files import check_reachable, translated
from vsr.media.limits import check_target_size
from vsr.media.read.hardware import refusal
from vsr.media.read.images import probe_folder
from vsr.media.read.probe import MediaInfo, probe
from vsr.media.stall import watched
from vsr.media.streams.mux import lost_tags
from vsr.media.streams.packets import Cut
from vsr.media.streams.stream_mapping import StreamMapping, map_streams
from vsr.media.suffixes import is_of_system, is_picture
from vsr.media.write.encoding import Encoding, choose
from vsr.media.write.writer import Timing, check_opens
from vsr.models.arch import Upscaler
from vsr.options import UpscaleOptions
from vsr.system import name_problem, real_path

Pairs = tuple[tuple[str, str], ...]
SEGMENT_SECONDS = 5
LONGER = 2  # times, where each segment is led in by frames that are computed once more
LEAD_FRAMES = 12  # what a recurrent network sees before the first frame of a segment
CLIP_PIXELS = {"cpu": 1 << 18}  # frames are handed on in clips of about this many input pixels
MAX_CLIP_PIXELS = 1 << 22  # on a GPU, which wants many at once; a CPU's start and end are shorter
LEAD_IN_SECONDS = Fraction(1, 10)  # of hidden sound, to begin with: 80 ms of Opus (RFC 7845, 4.6)
DEFAULT_FPS = "25"
THREADS, TILING = "encoder_threads", "tiling"  # the journal's names of what a resumed run keeps


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything about one video's job that is settled before its first frame."""

    info: MediaInfo
    """The source, with the part of its frames that is read."""
    target: Path
    """The file that is written."""
    source: ColorSpec
    """What the source's code values mean, with its matrix resolved."""
    encoding: Encoding
    """How frames are encoded."""
    timing: Timing
    """The time base, frame rate and shape of pixels that segments are encoded with."""
    mappings: tuple[StreamMapping, ...]
    """What becomes of each stream but the main video; empty for a folder."""
    cut: Cut
    """The stretch of the source that is kept."""
    fields: FieldPlan | None
    """What frames are made of fields, and when; ``None``: frames are taken as decoded."""
    clip_frames: int
    """Frames that a clip has, at most."""
    segment_frames: int
    """Frames of each segment but the last, which may have fewer."""
    notes: tuple[str, ...]
    """What a person should know of the plan."""
    hwaccel: str | None = None
    """The GPU that decodes, such as ``cuda:0``; ``None``: the CPU does."""
    lead_frames: int = 0
    """Frames of the lead-in of a segment; 0 unless the network is recurrent."""
    stall_seconds: float = 0.0
    """After so long without an answer from the source a run fails; 0 waits for ever."""
    filters: Filters = ()
    """Of FFmpeg's, that frames go through before the network sees them."""

    @property
    def conversion(self) -> Conversion:
        """What the network's engine is asked for."""
        return Conversion(self.source, self.encoding.color, self.info.size, self.encoding.size)

    def conversion_of(self, clip: Clip) -> Conversion:
        """The same, for a clip's own size."""
        return replace(self.conversion, low=clip.size)

    @property
    def kept(self) -> tuple[str, ...]:
        """Streams carried as they are, for people."""
        return tuple(str(mapping) for mapping in self.mappings if mapping.action == "keep")

    @property
    def converted(self) -> tuple[str, ...]:
        """Streams carried in another form, for people."""
        return tuple(str(mapping) for mapping in self.mappings if mapping.action == "convert")

    @property
    def dropped(self) -> tuple[str, ...]:
        """What of the source the target will not hold, for people."""
        streams = [str(mapping) for mapping in self.mappings if mapping.action == "drop"]
        tags = lost_tags(self.info, self.mappings, self.encoding.container)
        return (*streams, *self.encoding.notes, *self.info.lost, *tags)

    @property
    def bounds(self) -> tuple[int | None, int | None]:
        """The first time of the stretch, and the first one behind it, in units of ``timing``."""
        return bounds(self.timing.time_base, self.cut)

    @property
    def frames(self) -> int | None:
        """How many frames to expect, where the source says."""
        info = self.info
        if self.fields is not None:
            low, high = self.fields.between(*self.bounds, None)
            return high - low
        if info.duration_seconds is None:
            return info.frames
        total = info.duration_seconds
        start = max(0.0, float(self.cut.start or 0) - info.start_seconds) if self.cut.start else 0.0
        end = float(self.cut.end) - info.start_seconds if self.cut.end is not None else total
        if start == 0.0 and end >= total and info.frames:
            return info.frames
        return max(1, round((min(end, total) - start) * float(info.frame_rate)))


def check_target(source: Path, target: Path, options: UpscaleOptions) -> None:
    """What can be said of a target's place alone, before anything is opened."""
    if not target.name:
        raise OptionsError(f"the target needs a name: {target}")
    check_reachable(target, "write")
    with translated(target, "write"):
        folder_of(target).exists()  # the longer name
    if target.exists() and source.exists() and target.samefile(source):
        raise OptionsError(f"the target is the source: {target}", hint="give another name")
    if not target.parent.is_dir():
        raise MediaError(f"there is no folder {target.parent}", hint="make it first")
    if not os.access(target.parent, os.W_OK):
        raise MediaError(f"no permission to write in {target.parent}")
    if problem := name_problem(target):
        raise OptionsError(f"{target} cannot be written: {problem}", hint="give another name")
    if real_path(target) in real_path(source).parents:
        raise OptionsError(f"the target {target} holds the source", hint="give another folder")
    if target.is_dir() and target.suffix:
        raise OptionsError(f"{target} is a folder", hint="give the name of a file in it")
    check_replaceable(target)
    if target.is_file() and not target.suffix:
        raise OptionsError(f"{target} is a file, and a folder of pictures was asked for")
    if target.is_symlink() and not target.suffix:
        raise OptionsError(f"{target} is a link", hint="give the folder that it leads to")
    if target.is_dir() and not all(map(_is_picture_file, _works_in(target))):
        raise OptionsError(
            f"{target} holds more than pictures and will not be replaced",
            hint="give a new folder",
        )
    if target.is_dir() and os.path.ismount(target):
        raise OptionsError(
            f"{target} is where a disk is mounted, and cannot be replaced by a folder of pictures",
            hint="give a new folder in it",
        )
    again = not options.restart and not options.fresh and is_saved(target)
    there = os.path.lexists(target)  # a link that leads nowhere is something, too
    if there and not (options.overwrite or again or _is_empty_folder(target)):
        sweep(target)
        raise OptionsError(f"{target} exists already", hint="give --overwrite to replace it")


def _is_picture_file(path: Path) -> bool:
    return is_picture(path) and path.is_file() and not path.is_symlink()


def make_plan(source: Path, target: Path, options: UpscaleOptions, upscaler: Upscaler) -> Plan:
    """Plan a video, or a folder of frames that becomes one."""
    return watched(source, options.stall, lambda: _planned(source, target, options, upscaler))


def _planned(source: Path, target: Path, options: UpscaleOptions, upscaler: Upscaler) -> Plan:
    if source.is_dir():
        if options.start is not None or options.end is not None:
            raise OptionsError("--start and --end are for a video", hint="leave frames out instead")
        info = probe_folder(
            source, Fraction(options.fps or DEFAULT_FPS), allow_huge=options.allow_huge
        )
    else:
        if options.fps is not None:
            raise OptionsError(
                "--fps is for a folder of frames", hint="a video keeps the times it has"
            )
        info = probe(source, allow_huge=options.allow_huge)
    cut = cut_of(info, options)
    whole, (info, told) = info, crop_of(info, options, cut)
    wanted = options.target_size(info.size, upscaler.scale)
    check_target_size(wanted, allow_huge=options.allow_huge)
    place = pick(options.engine.device)
    pace = network_fps(upscaler, place, info.size) if place.type == "cuda" else None
    encoding = choose(info, target, wanted, options, pace=pace)
    threads = recorded(target, THREADS)
    if threads is not None and not options.fresh and not dict(options.encoder_options):
        encoding = replace(encoding, options=_with(encoding.options, "threads", str(threads)))
    fields, notes = fields_of(whole, options, cut)
    notes = (*told, *notes)
    timing = Timing(info.time_base, info.frame_rate, info.sample_aspect)
    if fields is not None:
        timing = Timing(fields.time_base, fields.frame_rate, info.sample_aspect)
    check_opens(encoding, timing)
    filters, grain, told = filters_of(info, options, cut, fields)
    notes += told
    hwaccel, note = _hwaccel(info, options)
    notes += note
    usual = encoding if pace is None else choose(info, target, wanted, options)
    if str(encoding) != str(usual):
        notes += (f"encoded by {encoding}, lest the GPU wait for {usual}: --codec {usual.codec}",)
    if grain is not None:
        encoding = replace(encoding, grain=grain.enlarged(info.size, encoding.size))
    if options.fps is None and info.is_folder:
        notes += (f"no --fps given: {DEFAULT_FPS} frames a second",)
    if info.hides_early and cut.start is None and encoding.container in ("matroska", "webm"):
        cut = replace(cut, sound=-LEAD_IN_SECONDS)  # these know no edit lists, to hide it again
    if cut.shift < 0:
        notes += (f"its times begin at {float(cut.shift):.3f} s: all are moved to begin at 0",)
    if encoding.size != wanted:
        notes += (f"the size was rounded from {wanted} to {encoding.size} for {encoding.pix_fmt}",)
    return Plan(
        info=info,
        target=target,
        source=info.color.resolved(info.full_size.height),
        encoding=encoding,
        timing=timing,
        mappings=() if info.is_folder else map_streams(info, encoding.container),
        cut=cut,
        fields=fields,
        clip_frames=_clip_frames(info, options),
        segment_frames=_segment_frames(timing, upscaler),
        notes=notes,
        hwaccel=hwaccel,
        lead_frames=LEAD_FRAMES if upscaler.state_channels else 0,
        stall_seconds=options.stall,
        filters=filters,
    )


def _segment_frames(timing: Timing, upscaler: Upscaler) -> int:
    longer = LONGER if upscaler.state_channels else 1
    return max(1, round(longer * SEGMENT_SECONDS * timing.frame_rate))


def _clip_frames(info: MediaInfo, options: UpscaleOptions) -> int:
    pixels = CLIP_PIXELS.get(pick(options.engine.device).type, MAX_CLIP_PIXELS)
    return max(1, min(16, pixels // info.size.pixels))


def _hwaccel(info: MediaInfo, options: UpscaleOptions) -> tuple[str | None, tuple[str, ...]]:
    """The GPU that decodes, and what to tell where the one that was meant does not."""
    place = pick(options.engine.device)
    if options.hwaccel == "off" or info.is_folder or place.type != "cuda":
        return None, ()
    name = f"cuda:{place.index or 0}"
    reason = refusal(info, name)
    return (None, (f"decoded on the CPU: {name} does not ({reason})",)) if reason else (name, ())


def _with(pairs: Pairs, key: str, value: str) -> Pairs:
    return tuple({**dict(pairs), key: value}.items())


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not _works_in(path)


def _works_in(folder: Path) -> list[Path]:
    """What a folder holds, but for what file managers leave in those that they show."""
    return [path for path in folder.iterdir() if not is_of_system(path)]

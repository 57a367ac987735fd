"""What of a source is read, and what is done to its frames before the network sees them."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from vsr.errors import OptionsError
from vsr.geometry import Box
from vsr.media import crop
from vsr.media.chroma_shift import Shift, measure_shift, moved_back
from vsr.media.clean import Filters, chain
from vsr.media.clip import ClipReader
from vsr.media.fields.look import plan_fields
from vsr.media.fields.plan import FieldPlan
from vsr.media.grain import PLAIN, Grain, measure, removal, told
from vsr.media.read.images import FolderReader
from vsr.media.read.probe import MediaInfo
from vsr.media.read.reader import Reader
from vsr.media.streams.packets import Cut
from vsr.options import UpscaleOptions
from vsr.restoration import Clean, parse_clean, parse_crop, parse_grain


def fields_of(
    info: MediaInfo, options: UpscaleOptions, cut: Cut
) -> tuple[FieldPlan | None, tuple[str, ...]]:
    """What is to be done about fields, and what to tell of it."""
    first, last = bounds(info.time_base, cut)
    return plan_fields(
        info, deinterlace=options.deinterlace, ivtc=options.ivtc, first=first, last=last
    )


def crop_of(
    info: MediaInfo, options: UpscaleOptions, cut: Cut
) -> tuple[MediaInfo, tuple[str, ...]]:
    """The video with what is to be read of its frames, and what to tell of it."""
    wanted = parse_crop(options.crop)
    if wanted is None:
        return info, ()
    if info.is_folder:
        raise OptionsError("--crop is for a video", hint="crop the frames before")
    if isinstance(wanted, Box):
        box = crop.checked(wanted, info)
    else:
        first, last = bounds(info.time_base, cut)
        box = crop.without(crop.find_bars(info, first=first, last=last), info)
        if box is None:
            return info, ("no black bars were found",)
    made = crop.cropped(info, box)
    return made, () if box is None else crop.told(box, info)


def filters_of(
    info: MediaInfo, options: UpscaleOptions, cut: Cut, fields: FieldPlan | None
) -> tuple[Filters, Grain | None, tuple[str, ...]]:
    """What frames go through before the network, the grain behind it, and what to tell of both."""
    wanted, clean = parse_grain(options.grain), parse_clean(options.clean)
    if info.is_folder and (clean is not None or wanted is not None):
        raise OptionsError("--clean and --grain are for a video", hint="clean the frames before")
    filters, grain = (), None
    notes: list[str] = []
    if wanted is not None:
        first, last = bounds(info.time_base, cut)
        found = measure(info, first=first, last=last)
        notes.append(told(found, wanted))
        if found is not None:
            filters = removal(found, info.color.depth)
        grain = (found or PLAIN).of_strength(wanted) if isinstance(wanted, float) else found
        grain = grain if grain is not None and grain.strength else None
    if clean is not None:
        shift = shift_for(clean, info, cut, fields)
        filters += moved_back(shift) + chain(clean)
        notes.append(f"cleaned before the network: {clean.preset}, strength {clean.strength:g}")
        if shift is not None:
            notes.append(f"chroma lies off by {shift}, in its own samples: moved back")
    return filters, grain, tuple(notes)


def shift_for(clean: Clean, info: MediaInfo, cut: Cut, fields: FieldPlan | None) -> Shift | None:
    """How far chroma lies beside luma, where cleaning is to undo that."""
    if clean.preset != "vhs":
        return None
    first, last = bounds(info.time_base if fields is None else fields.time_base, cut)
    return measure_shift(info, first=first, last=last, fields=fields)


def cut_of(info: MediaInfo, options: UpscaleOptions) -> Cut:
    """--start and --end count from the first moment of the source, as players show it."""
    zero = Fraction(info.start_seconds).limit_denominator(1000000)
    begin = _begin(info, zero)
    if options.start is None and options.end is None:
        return Cut(shift=begin)
    start = Fraction(options.start).limit_denominator(1000000) if options.start else None
    end = None if options.end is None else Fraction(options.end).limit_denominator(1000000)
    if info.duration_seconds is not None and start is not None and start >= info.duration_seconds:
        raise OptionsError(
            f"--start {float(start):g} lies behind the end, at {info.duration_seconds:.3f} s"
        )
    # One shift for every stream, whole in the video's time base, or frames and sound would part.
    shift = begin if start is None else round((zero + start) / info.time_base) * info.time_base
    return Cut(
        start=None if start is None else zero + start,
        end=None if end is None else zero + end,
        shift=shift,
    )


def _begin(info: MediaInfo, zero: Fraction) -> Fraction:
    """What is taken off every time so that none lies below 0, which containers cannot say: FFmpeg
    counts back from where a transport stream's clock wrapped."""
    if info.first >= 0 or info.hides_early:
        return Fraction(0)
    return min(Fraction(info.first), zero / info.time_base // 1) * info.time_base


def reader_for(
    info: MediaInfo,
    cut: Cut,
    *,
    fields: FieldPlan | None,
    clip_frames: int,
    filters: Filters = (),
    segment_frames: int = 1 << 30,
    after: int | None = None,
    hwaccel: str | None = None,
    before: int | None = None,
    lead_frames: int = 0,
) -> ClipReader:
    """The reader of what of a stretch lies behind ``after`` and before ``before``, in units of the
    frames' time base. The first ``lead_frames`` belong to no segment."""
    first, last = bounds(info.time_base if fields is None else fields.time_base, cut)
    last = min((end for end in (last, before) if end is not None), default=None)
    if info.is_folder:
        return FolderReader(
            info,
            clip_frames=clip_frames,
            segment_frames=segment_frames,
            first=first,
            last=last,
            after=after,
            lead_frames=lead_frames,
        )
    return Reader(
        info,
        clip_frames=clip_frames,
        segment_frames=segment_frames,
        fields=fields,
        filters=filters,
        first=first,
        last=last,
        after=after,
        hwaccel=hwaccel,
        lead_frames=lead_frames,
        hold=True,
    )


def told_changes(changes: Iterable[tuple[float, str]]) -> tuple[str, ...]:
    """For people: where tags of the source change."""
    return tuple(
        f"tags change at {seconds:.3f} s ({what}): all frames are taken as the first is tagged"
        for seconds, what in changes
    )


def bounds(base: Fraction, cut: Cut) -> tuple[int | None, int | None]:
    """The first time of a cut, and the first one behind it, in units of a time base."""
    return (
        None if cut.start is None else -(-cut.start // base),
        None if cut.end is None else -(-cut.end // base),
    )

"""Decode one video stream to clips: every frame, in order, with its exact time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import chain, islice
from typing import cast

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.format import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vsr.color import UNSPECIFIED
from vsr.errors import MediaError, StorageError
from vsr.media.clean import Cleaner, Filters
from vsr.media.clip import Clip
from vsr.media.fields.plan import FieldPlan
from vsr.media.fields.render import Made, rendered
from vsr.media.files import WAITS, ReadFault, is_storage_fault, opened, wait_until_readable
from vsr.media.limits import SOURCE_PIXELS
from vsr.media.pixels import Unpacker
from vsr.media.read.hardware import accelerator
from vsr.media.read.probe import MediaInfo, tags_of
from vsr.media.read.timestamps import Clock, shown
from vsr.media.stall import current_timer, timed_by

Timed = tuple[av.VideoFrame, int]
MOST_CHANGES = 3  # of tags, that are told of
TAGS = ("matrix", "range", "primaries", "transfer")
UNSET = (UNSPECIFIED, 0, UNSPECIFIED, UNSPECIFIED)
HELD_SECONDS = Fraction(1, 10)  # a picture that is missing for less is not missed


def seekable(info: MediaInfo) -> bool:
    """Whether times name places in a container: not where they may begin anew."""
    kind = av.ContainerFormat(info.container.split(",")[0], "r")
    return not kind.flags & Flags.ts_discont.value


class Reader:
    """Iterate once for the clips of ``info``'s main video; counters tell what was repaired.

    A clip has at most ``clip_frames`` frames and never crosses a multiple of ``segment_frames``, so
    that frames meet the same company however a run was cut. ``after`` skips frames up to and with
    that presentation time, by seeking where the container can; ``first`` and ``last`` bound the
    times that are read, in units of the stream's time base. The first ``lead_frames`` belong to no
    segment: segments are counted from behind them. ``hwaccel`` is a device to decode on,
    such as cuda:0, one that :func:`vsr.media.read.hardware.refusal` did not refuse.

    With ``hold`` the frame that is on the screen at ``first`` is given too, and begins then, where
    the next comes more than :data:`HELD_SECONDS` later.

    With ``fields`` the frames are those of that plan; ``after``, ``first`` and ``last`` are in
    units of its time base then, and none is held. ``filters`` are applied to every frame that is
    given.
    """

    def __init__(
        self,
        info: MediaInfo,
        *,
        clip_frames: int = 4,
        segment_frames: int = 1 << 30,
        fields: FieldPlan | None = None,
        filters: Filters = (),
        first: int | None = None,
        last: int | None = None,
        after: int | None = None,
        hwaccel: str | None = None,
        lead_frames: int = 0,
        hold: bool = False,
    ) -> None:
        self.info = info
        self.damaged = 0
        self.converted = 0
        self.frames = -lead_frames
        self._clip_frames, self._segment_frames = clip_frames, segment_frames
        self._fields, self._span = fields, (0, 0)
        self._cleaner = Cleaner(filters, info.read_as) if filters else None
        if fields is not None:
            self._span = fields.between(first, last, after)
            first, last, after = fields.source_bounds(*self._span)
        self._first, self._last, self._after = first, last, after
        self._hold = hold and fields is None
        self._hwaccel = hwaccel
        self._met_corrupt = False
        self._tags = dict(zip(TAGS, info.frame_tags, strict=True))
        self._aspect: Fraction | None = None
        self._aspects: dict[int | None, str] = {}
        self._changes: tuple[tuple[int, str], ...] = ()
        self._fault_at: int | None = None
        self._broken_at: int | None = None
        self.timer = current_timer()
        self._clock: Clock[av.VideoFrame] = Clock(round(1 / (info.frame_rate * info.time_base)))

    @property
    def jumps(self) -> int:
        """Places where times fell back, as in a recording joined from several."""
        return self._clock.jumps

    @property
    def repaired(self) -> int:
        """Frames whose presentation time was missing or did not rise."""
        return self._clock.repaired

    @property
    def changes(self) -> tuple[tuple[float, str], ...]:
        """The first places where tags of colour or of the shape of pixels change, in seconds."""
        base, start = self.info.time_base, self.info.start_seconds
        return tuple((float(time * base) - start, what) for time, what in self._changes)

    @property
    def _met_damage(self) -> bool:
        return self.damaged > 0 or self._met_corrupt

    def __iter__(self) -> Iterator[Clip]:
        fields = self._fields
        frames = self._planned(fields) if fields else self._plain()
        unpacker = Unpacker(self.info.color, self.info.read_as, self.info.size, self.info.crop)
        while True:
            room = self._segment_frames - self.frames % self._segment_frames
            size = min(self._clip_frames, room)
            planes = unpacker.empty(size)
            times: list[int] = []
            durations: list[int] = []
            for frame, time, duration in islice(frames, size):
                # Copied at once: decoders conceal damage with what they find in memory that is
                # free again, which must not depend on how many frames make a clip.
                clear = self._cleaner.clean(frame) if self._cleaner else frame
                unpacker.fill(planes, len(times), clear)
                times.append(time)
                durations.append(duration)
            if not times:
                return
            self.frames += len(times)
            yield Clip(
                planes=tuple(plane[: len(times)] for plane in planes),
                color=self.info.color,
                pts=tuple(times),
                durations=tuple(durations),
                time_base=fields.time_base if fields else self.info.time_base,
            )

    def decoded(self) -> Iterator[Timed]:
        """The source's frames inside the bounds, as they are, with their times: for a look."""
        for frame, time in self._wanted():
            self._check(frame, time)
            self.damaged += bool(frame.is_corrupt)  # those that are passed over do not count
            yield frame, time

    def _plain(self) -> Iterator[Made]:
        for frame, time in self.decoded():
            yield frame, time, self.duration_of(frame)

    def _planned(self, fields: FieldPlan) -> Iterator[Made]:
        if self._span[0] < self._span[1]:
            yield from rendered(fields, self._span, self.decoded(), self.info.read_as)

    def _check(self, frame: av.VideoFrame, time: int) -> None:
        """A frame of another size is an error, one of another pixel format is counted."""
        info = self.info
        if (frame.width, frame.height) != (info.full_size.width, info.full_size.height):
            seconds = float(time * info.time_base) - info.start_seconds
            raise MediaError(
                f"the video changes size at {seconds:.3f} s, from {info.full_size} to "
                f"{frame.width}x{frame.height}",
                hint=f"take the part before with --end {seconds:.3f}, and cut the rest into a file "
                "of its own",
            )
        as_probed = info.decoder is None and self._hwaccel is None
        self.converted += as_probed and frame.format.name != info.pix_fmt

    def duration_of(self, frame: av.VideoFrame) -> int:
        """How long a decoded frame says that it lasts, 0 where it does not."""
        base = frame.time_base or self.info.time_base
        return round((frame.duration or 0) * base / self.info.time_base)

    def _wanted(self) -> Iterator[Timed]:
        """Frames inside the bounds and behind ``after``."""
        early: Timed | None = None
        for frame, time in self._trusted():
            self._note_changes(frame, time)
            if self._first is not None and time < self._first:
                early = frame, time
                continue
            if early is not None:
                yield from self._held(early, time)
                early = None
            if self._last is not None and time >= self._last:
                return
            if self._after is not None and time <= self._after:
                continue
            yield frame, time
        if early is not None:
            yield from self._held(early, early[1] + self.duration_of(early[0]))

    def _note_changes(self, frame: av.VideoFrame, time: int) -> None:
        """Compare a frame's tags with those before; all frames are taken as the first is tagged."""
        found: list[str] = []
        aspect = self._aspects.pop(frame.pts, None)
        if self._first is not None and time < self._first:
            return  # a seek passes over some of them: what is another in the stretch is told there
        for name, tag, unset in zip(TAGS, tags_of(frame), UNSET, strict=True):
            if tag == unset:  # it says nothing
                continue
            if self._tags[name] not in (tag, unset):
                found.append(f"{name} {self._tags[name]} to {tag}")
            self._tags[name] = tag
        if aspect is not None:
            found.append(aspect)
        told = self._after is None or time > self._after  # else by whoever made what is before
        told &= self._last is None or time < self._last
        if found and told and len(self._changes) < MOST_CHANGES:
            self._changes += ((time, ", ".join(found)),)

    def _held(self, early: Timed, end: int) -> Iterator[Timed]:
        """The last frame before the bounds, which lasts until ``end``, if it is to begin there."""
        frame, first = early[0], self._first
        if not self._hold or first is None or (self._after is not None and self._after >= first):
            return
        if (end - first) * self.info.time_base > HELD_SECONDS:
            base = frame.time_base or self.info.time_base
            frame.duration = round((end - first) * self.info.time_base / base)
            yield frame, first

    def _trusted(self) -> Iterator[Timed]:
        """Frames from a place before the bounds on, as whoever decodes from the start has them.

        What a decoder makes of damage depends on all that it saw before: where any is met after a
        seek, the video is gone through from its start.
        """
        given: int | None = None
        waits = iter(WAITS)
        while True:
            try:
                for frame, time in self._attempt(given):
                    yield frame, time
                    given = time
                return
            except ReadFault as fault:
                with timed_by(self.timer):
                    wait_until_readable(self.info.path, fault.place, waits)
                # The same place again, and the system can read it: the file is what breaks off.
                self._broken_at = fault.place if fault.place == self._fault_at else None
                self._fault_at = fault.place
            except StorageError:  # it could not be opened again
                with timed_by(self.timer):
                    wait_until_readable(self.info.path, 0, waits)
            self.damaged, self._met_corrupt = 0, False
            self._clock = Clock(self._clock.nominal)

    def _attempt(self, given: int | None) -> Iterator[Timed]:
        """What follows the frame at ``given``, or all of it."""
        begun = given
        for frame, time in self._sought(given) or ():
            if self._met_damage or self._is_strange(time, given):
                break
            if begun is None or time > begun:
                yield frame, time
            given = time
        else:
            if given is not None and given != begun:
                return
        self.damaged = 0
        self._clock = Clock(self._clock.nominal)
        for frame, time in self._timed(None):
            if given is None or time > given:
                yield frame, time

    def _is_strange(self, time: int, before: int | None) -> bool:
        """Whether a frame does not follow the one before in the plan, which was made in order."""
        if self._fields is None or before is None:
            return False
        place, last = self._fields.place(time), self._fields.place(before)
        return last is not None and place != last + 1 and last + 1 < len(self._fields.sources)

    def _sought(self, given: int | None) -> Iterator[Timed] | None:
        """Frames from a keyframe before the bound on, or ``None`` where that cannot be trusted.

        Some containers land behind the place that was asked for, or nowhere. So the frames up to
        the bound are looked at: the first must lie before it, and where an earlier run stopped, its
        last frame must come by.
        """
        after = self._after if given is None else given
        bound = self._first if after is None else after
        if bound is None:
            return None
        if not seekable(self.info):
            return None
        try:
            frames = self._timed(bound)
            for frame, time in frames:
                if time > bound:
                    return None
                if after is None or time == bound:
                    return chain([(frame, time)], frames)
        except (StorageError, ReadFault):
            raise
        except (MediaError, FFmpegError):
            pass  # it cannot seek
        return None

    def _timed(self, bound: int | None) -> Iterator[Timed]:
        """Decoded frames with rising times, from the start or the keyframe before ``bound``."""
        hwaccel = None if self._hwaccel is None else accelerator(self._hwaccel)
        with ExitStack() as inputs:
            with timed_by(self.timer):
                container = inputs.enter_context(opened(self.info.path, hwaccel=hwaccel))
            stream = container.streams[self.info.video]
            assert isinstance(stream, VideoStream)
            if bound is not None:
                with self.timer.reading():
                    container.seek(bound, stream=stream)
            frames = self._clock.order(self._decoded(container, stream))
            if not self.info.hides_early:
                yield from frames
                return
            first = next(frames_shown := shown(frames), None)
            if first is None:
                raise MediaError(f"the edit list of {self.info.path} hides all of its frames")
            yield first
            yield from frames_shown

    def _decoded(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[tuple[av.VideoFrame, int | None]]:
        for frame in self._raw(container, stream):
            base = frame.time_base or self.info.time_base
            time = frame.pts
            if time is not None and base != self.info.time_base:
                time = round(Fraction(time) * base / self.info.time_base)
            yield frame, time

    def _raw(self, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
        """What the decoder makes of every packet; packets it cannot read are counted.

        Slice threads only (the default): with frame threads an error takes good frames along.
        """
        decoder = stream.codec_context
        if self.info.decoder is not None:
            decoder = cast(VideoCodecContext, av.CodecContext.create(self.info.decoder, "r"))
            decoder.extradata = stream.codec_context.extradata
        # A frame that claims more than the first did is damage, found before memory is spent on it.
        most = max(SOURCE_PIXELS, self.info.full_size.pixels)
        decoder.options = {**decoder.options, "max_pixels": str(most)}
        made = 0
        for packet in self._packets(container, stream):
            try:
                frames = decoder.decode(packet)
            except FFmpegError:
                self.damaged += 1
                continue
            aspect = decoder.sample_aspect_ratio
            if frames and aspect and aspect != self._aspect:
                if self._aspect is not None:
                    self._aspects[frames[0].pts] = f"sample aspect {self._aspect} to {aspect}"
                self._aspect = aspect
            for frame in frames:
                made += 1
                self._met_corrupt |= frame.is_corrupt  # ahead of frames shown before, made of it
                yield frame
        if not made:
            raise MediaError(f"not one frame of {self.info.path} can be decoded")

    def _packets(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[av.Packet[VideoStream] | None]:
        """Every packet, then ``None`` to flush, also where the file breaks off."""
        place = 0
        try:
            packets = iter(container.demux(stream))
            while True:
                with self.timer.reading():
                    packet = next(packets, None)
                if packet is None:
                    break
                place = max(place, packet.pos or 0)
                if packet.size:
                    yield packet
        except FFmpegError as error:
            if is_storage_fault(error) and place != self._broken_at:
                raise ReadFault(place) from error
            self.damaged += 1
        yield None

"""Read AV1's frame headers up to where the parameters of film grain stand.

They are the last element of a frame's header, and nothing marks the place: all before has to be
read. Numbers in brackets are sections of the AV1 specification (version 1.0.0 with errata 1).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vsr.errors import MediaError
from vsr.media.write.av1_sequence import Bits, Sequence

KEY, INTER, INTRA_ONLY, SWITCH = 0, 1, 2, 3  # types of frame
NO_REFERENCE, REFERENCES = 7, 7
IDENTITY, TRANSLATION, ROTATION, AFFINE = 0, 1, 2, 3
Warp = tuple[int, ...]  # six parameters of a global motion
STILL: Warp = (0, 0, 1 << 16, 0, 0, 1 << 16)
Segments = tuple[tuple[int | None, ...], ...]  # features of eight segments
NO_SEGMENTS: Segments = ((None,) * 8,) * 8
SEGMENT_BITS = (8, 6, 6, 6, 6, 3, 0, 0)
SIGNED = 5  # so many of the features have a sign, too


@dataclass(frozen=True, slots=True)
class ReferenceFrame:
    """What later frames take from one of the eight slots."""

    kind: int = KEY
    """Type of frame: :data:`KEY`, :data:`INTER`, :data:`INTRA_ONLY` or :data:`SWITCH`."""
    order: int = 0
    """Number of the frame in the order shown, modulo a power of 2 (OrderHint)."""
    size: tuple[int, int, int] = (0, 0, 0)
    """Width, height, and width before super resolution reduced it, in pixels."""
    motion: tuple[Warp, ...] = (STILL,) * REFERENCES
    """Global motion from each of its seven references."""
    segments: Segments = NO_SEGMENTS
    """Features of its eight segments; ``None`` for one that is not set."""


@dataclass(slots=True)
class FrameHeader:
    """A frame's header as it is read (5.9.2), up to the parameters of its grain.

    Where ``existing`` is set, nothing else is read.
    """

    bits: Bits
    """The payload; :meth:`read` leaves it where the parameters of grain stand."""
    seq: Sequence
    """The sequence header that it depends on."""
    slots: list[ReferenceFrame]
    """The eight frames that may be referred to; :meth:`read` forgets them at a key frame."""
    kind: int = KEY
    """Type of frame: :data:`KEY`, :data:`INTER`, :data:`INTRA_ONLY` or :data:`SWITCH`."""
    shown: bool = True
    """Whether it is shown at once (show_frame)."""
    showable: bool = False
    """Whether it may be shown later by another header (showable_frame)."""
    existing: int | None = None
    """Slot of the frame that is shown instead of a new one; ``None`` for a new one."""
    resilient: bool = True
    """Whether it can be read without what earlier frames left (error_resilient_mode)."""
    refresh: int = 0
    """Slots that it is kept in, one bit each (refresh_frame_flags)."""
    order: int = 0
    """Number of the frame in the order shown, modulo a power of 2 (OrderHint)."""
    primary: int = NO_REFERENCE
    """Index in ``refs`` of the frame that its state is taken from, or :data:`NO_REFERENCE`."""
    size: tuple[int, int, int] = (0, 0, 0)
    """Width, height, and width before super resolution reduced it, in pixels."""
    refs: list[int] = field(default_factory=list[int])
    """Slots of its seven references; empty for an intra frame."""
    screen: bool = False
    """Whether tools for screen content are allowed (allow_screen_content_tools)."""
    precise: bool = False
    """Whether vectors go to an eighth of a pixel (allow_high_precision_mv)."""
    copies: bool = False
    """Whether blocks may be copied within the frame (allow_intrabc)."""
    motion: tuple[Warp, ...] = (STILL,) * REFERENCES
    """Global motion from each of its seven references."""
    segments: Segments = NO_SEGMENTS
    """Features of its eight segments; ``None`` for one that is not set."""
    layers: tuple[int, int] = (0, 0)
    """Its temporal and spatial layer, by the header of its OBU."""

    @property
    def intra(self) -> bool:
        """Whether it refers to no other frame."""
        return self.kind in (KEY, INTRA_ONLY)

    @property
    def saved(self) -> ReferenceFrame:
        """What others refer to."""
        return ReferenceFrame(self.kind, self.order, self.size, self.motion, self.segments)

    def read(self) -> None:
        """Read all of it."""
        bits, seq = self.bits, self.seq
        if bits.take():
            self.existing = bits.take(3)
            return
        self.kind, self.shown = bits.take(2), bool(bits.take())
        if self.shown and seq.decoder_model and not seq.equal_interval:
            bits.take(seq.time_bits)
        self.showable = self.kind != KEY if self.shown else bool(bits.take())
        whole = self.kind == SWITCH or (self.kind == KEY and self.shown)
        self.resilient = whole or bool(bits.take())
        if self.kind == KEY and self.shown:
            self.slots[:] = [ReferenceFrame()] * 8
        frozen = bool(bits.take())  # disable_cdf_update
        self.screen = bool(bits.take() if seq.screen == 2 else seq.screen)
        integer = False
        if self.screen:
            integer = bool(bits.take() if seq.integer_motion == 2 else seq.integer_motion)
        if seq.frame_ids:
            bits.take(seq.frame_ids[1])
        other_size = self.kind == SWITCH or bool(bits.take())
        self.order = bits.take(seq.order_bits)
        if not self.intra and not self.resilient:
            self.primary = bits.take(3)
        if seq.decoder_model and bits.take():
            temporal, spatial = self.layers
            for point, of_model in seq.operating_points:
                if of_model and (not point or (point >> temporal & point >> (spatial + 8) & 1)):
                    bits.take(seq.removal_bits)
        self.refresh = 255 if whole else bits.take(8)
        if (not self.intra or self.refresh != 255) and self.resilient and seq.order_bits:
            for place in range(8):
                order = bits.take(seq.order_bits)
                if order != self.slots[place].order:
                    self.slots[place] = ReferenceFrame(order=order)
        if self.intra:
            self._frame_size(other_size)
            self._render_size()
            self.copies = bool(self.screen and self.size[0] == self.size[2] and bits.take())
        else:
            self._references(other_size, integer)
        if not frozen:
            bits.take()
        self._after_references()

    def _references(self, other_size: bool, integer: bool) -> None:
        bits, seq = self.bits, self.seq
        if seq.order_bits and bits.take():
            raise MediaError("AV1 with short signalling of references takes no grain")
        for _ in range(REFERENCES):
            self.refs.append(bits.take(3))
            if seq.frame_ids:
                bits.take(seq.frame_ids[0])
        if other_size and not self.resilient:
            for ref in self.refs:
                if bits.take():  # found_ref
                    _, height, full = self.slots[ref].size
                    self.size = self._reduced(full, height)
                    break
            else:
                self._frame_size(other_size)
                self._render_size()
        else:
            self._frame_size(other_size)
            self._render_size()
        self.precise = bool(not integer and bits.take())
        if not bits.take():  # is_filter_switchable
            bits.take(2)
        bits.take()  # is_motion_mode_switchable
        if not self.resilient and self.seq.motion_field:
            bits.take()

    def _frame_size(self, other_size: bool) -> None:
        bits, seq = self.bits, self.seq
        width, height = seq.width, seq.height
        if other_size:
            width, height = bits.take(seq.width_bits) + 1, bits.take(seq.height_bits) + 1
        self.size = self._reduced(width, height)

    def _reduced(self, width: int, height: int) -> tuple[int, int, int]:
        """Super resolution (5.9.8)."""
        if self.seq.super_resolution and self.bits.take():
            share = self.bits.take(3) + 9
            return (width * 8 + share // 2) // share, height, width
        return width, height, width

    def _render_size(self) -> None:
        if self.bits.take():
            self.bits.take(32)

    def _after_references(self) -> None:
        bits, seq = self.bits, self.seq
        before = (
            ReferenceFrame()
            if self.primary == NO_REFERENCE
            else self.slots[self.refs[self.primary]]
        )
        self._tiles()
        base = bits.take(8)
        deltas = [self._delta()]
        if not seq.gray:
            apart = bool(seq.separate_delta and bits.take())
            deltas += [self._delta() for _ in range(4 if apart else 2)]
        if bits.take():  # using_qmatrix
            bits.take(12 if seq.separate_delta else 8)
        self._segmentation(before)
        adapted = bool(base and bits.take())
        if adapted:
            bits.take(2)
            if not self.copies and bits.take():
                bits.take(3)
        steps = [min(255, max(0, base + (row[0] or 0))) for row in self.segments]
        lossless = not any(steps) and not any(deltas)
        if not lossless and not self.copies:
            self._loop_filter()
            if seq.cdef:
                bits.take(2)
                count = 1 << bits.take(2)
                bits.take((6 if seq.gray else 12) * count)
        if not (lossless and self.size[0] == self.size[2]) and not self.copies and seq.restoration:
            self._restoration()
        if not lossless:
            bits.take()  # tx_mode_select
        compound = bool(not self.intra and bits.take())
        if compound and self._skips():
            bits.take()
        if not self.intra and not self.resilient and seq.warped:
            bits.take()
        bits.take()  # reduced_tx_set
        if not self.intra:
            self.motion = tuple(self._warp(old) for old in before.motion)

    def _delta(self) -> int:
        return self.bits.signed(7) if self.bits.take() else 0

    def _tiles(self) -> None:
        """5.9.15"""
        bits = self.bits
        shift = 5 if self.seq.large_blocks else 4
        across, down = ((-(-side // 8) * 2 + (1 << shift) - 1) >> shift for side in self.size[:2])
        widest = 4096 >> (shift + 2)
        most_area = (4096 * 2304) >> (2 * (shift + 2))
        least_columns = _log2(widest, across)
        least = max(least_columns, _log2(most_area, across * down))
        if bits.take():  # uniform
            columns = least_columns
            while columns < _log2(1, min(across, 64)) and bits.take():
                columns += 1
            rows = max(least - columns, 0)
            while rows < _log2(1, min(down, 64)) and bits.take():
                rows += 1
        else:
            counts, largest = [0, 0], 1
            limits = [widest, 0]
            for axis, total in enumerate((across, down)):
                place = 0
                while place < total:
                    taken = bits.below(min(total - place, limits[axis])) + 1
                    largest = max(largest, taken) if axis == 0 else largest
                    place += taken
                    counts[axis] += 1
                if axis == 0:
                    area = (across * down) >> (least + 1) if least else across * down
                    limits[1] = max(area // largest, 1)
            columns, rows = (_log2(1, count) for count in counts)
        if columns or rows:
            bits.take(columns + rows + 2)

    def _segmentation(self, before: ReferenceFrame) -> None:
        """5.9.14"""
        bits = self.bits
        self.segments = NO_SEGMENTS
        if not bits.take():
            return
        update = True
        if self.primary != NO_REFERENCE:
            if bits.take():
                bits.take()
            update = bool(bits.take())
        if not update:
            self.segments = before.segments
            return
        rows: list[tuple[int | None, ...]] = []
        for _ in range(8):
            row: list[int | None] = []
            for number, width in enumerate(SEGMENT_BITS):
                if not bits.take():
                    row.append(None)
                else:
                    row.append(bits.signed(width + 1) if number < SIGNED else bits.take(width))
            rows.append(tuple(row))
        self.segments = tuple(rows)

    def _loop_filter(self) -> None:
        bits = self.bits
        levels = bits.take(6), bits.take(6)
        if not self.seq.gray and any(levels):
            bits.take(12)
        bits.take(3)
        if bits.take() and bits.take():
            for _ in range(10):
                self._delta()

    def _restoration(self) -> None:
        bits = self.bits
        kinds = [bits.take(2) for _ in range(1 if self.seq.gray else 3)]
        if any(kinds):
            if bits.take() and not self.seq.large_blocks:
                bits.take()
            if self.seq.halved and any(kinds[1:]):
                bits.take()

    def _skips(self) -> bool:
        """Whether references lie on both sides, or two behind (5.9.22)."""
        if not self.seq.order_bits:
            return False
        ahead = [self._distance(self.slots[ref].order) for ref in self.refs]
        behind = sorted({gap for gap in ahead if gap < 0})
        return bool(behind and (any(gap > 0 for gap in ahead) or len(behind) > 1))

    def _distance(self, order: int) -> int:
        half = 1 << (self.seq.order_bits - 1)
        gap = order - self.order
        return (gap & (half - 1)) - (gap & half)

    def _warp(self, before: Warp) -> Warp:
        """5.9.24"""
        bits = self.bits
        kind = IDENTITY
        if bits.take():
            kind = ROTATION if bits.take() else TRANSLATION if bits.take() else AFFINE
        made = list(STILL)
        if kind >= ROTATION:
            made[2], made[3] = self._warp_part(2, kind, before), self._warp_part(3, kind, before)
            made[4], made[5] = -made[3], made[2]
            if kind == AFFINE:
                made[4] = self._warp_part(4, kind, before)
                made[5] = self._warp_part(5, kind, before)
        if kind >= TRANSLATION:
            made[0], made[1] = self._warp_part(0, kind, before), self._warp_part(1, kind, before)
        return tuple(made)

    def _warp_part(self, place: int, kind: int, before: Warp) -> int:
        width, precision = 12, 15
        if place < 2:
            coarse = 0 if self.precise else 1
            width, precision = (9 - coarse, 3 - coarse) if kind == TRANSLATION else (12, 6)
        shift = 16 - precision
        one = place % 3 == 2  # the two that are 1 at rest
        reference = (before[place] >> shift) - (one << precision)
        most = 1 << width
        number = self._near(2 * most + 1, reference + most) - most
        return (number << shift) + (one << 16)

    def _near(self, count: int, reference: int) -> int:
        """decode_unsigned_subexp_with_ref (5.9.27)."""
        number = self._growing(count)
        if reference * 2 <= count:
            return _recentred(reference, number)
        return count - 1 - _recentred(count - 1 - reference, number)

    def _growing(self, count: int) -> int:
        step, low = 0, 0
        while True:
            width = 3 + step - 1 if step else 3
            if count <= low + 3 * (1 << width):
                return self.bits.below(count - low) + low
            if not self.bits.take():
                return self.bits.take(width) + low
            step, low = step + 1, low + (1 << width)


def _recentred(reference: int, number: int) -> int:
    if number > 2 * reference:
        return number
    return reference - ((number + 1) >> 1) if number & 1 else reference + (number >> 1)


def _log2(block: int, target: int) -> int:
    number = 0
    while block << number < target:
        number += 1
    return number

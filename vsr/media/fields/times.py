"""When frames made of fields are shown: exact, in units that divide the source's time base. Pure.

The fields of a frame are half a frame apart. Film that was spread over 2 and 3 fields in turn gets
back its even times. A source whose clock is coarse, such as Matroska's millisecond, is recognised
by the rates that there are, and the step between frames is that of the rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd

import numpy as np
from numpy.typing import NDArray

FIELD_RATES = (Fraction(60000, 1001), Fraction(60), Fraction(50))
CYCLE, CYCLE_FIELDS = 4, 10  # pictures and fields, after which every cadence of film repeats


@dataclass(frozen=True, slots=True)
class Ticks:
    """The clock of a plan, and the times of the source's frames by it."""

    time_base: Fraction
    """Its unit, in seconds."""
    per_tick: int
    """How many of its units make one of the source's time base."""
    field: int
    """How long a field lasts, in units."""
    starts: NDArray[np.int64]
    """When each source frame begins, in units, (frames,)."""
    end: int
    """When the last source frame ends, in units; two fields after its start where its duration is
    unknown."""

    @staticmethod
    def of(sources: Sequence[int], time_base: Fraction, last_duration: int) -> Ticks:
        """For frames at ``sources``; the last one lasts ``last_duration``, 0 where unknown."""
        times = np.array(sources, np.int64)
        field = _field(np.diff(times), time_base)
        quarter = field / 2  # even times of film are at halves of fields
        base = _common(time_base / 2, quarter)
        per_tick, units = int(time_base / base), int(field / base)
        starts = times * per_tick
        end = int(starts[-1]) + (last_duration * per_tick or 2 * units)
        return Ticks(base, per_tick, units, starts, end)

    def start(self, frame: int, second: bool) -> int:
        """When a frame's first or second field is shown."""
        start = int(self.starts[frame])
        if not second:
            return start
        following = int(self.starts[frame + 1]) if frame + 1 < len(self.starts) else self.end
        gap = following - start
        if abs(gap - 2 * self.field) <= self.per_tick or gap > 3 * self.field:
            return start + self.field
        return start + gap // 2


def even_out(
    starts: Sequence[int], end: int, film: Sequence[bool], field: int
) -> tuple[list[int], int]:
    """Times of pictures of which ``film`` ones last 2 and 3 fields in turn; how many were moved.

    Everything else keeps its time. Evened times stay within a field of the true ones.
    """
    film = list(film)
    lasts = np.diff(np.array([*starts, end], np.int64))
    fields = np.rint(lasts / field).astype(np.int64)
    exact = np.abs(lasts - fields * field) <= field // 4
    fits = np.array(film) & exact & ((fields == 2) | (fields == 3))
    times, moved, place = list(starts), 0, 0
    while place < len(times):
        stop = _cadence_end(fields, fits, place)
        if stop == place:
            place += 1
            continue
        if stop == len(times) - 1 and film[stop]:
            stop += 1  # how long the last one lasts is not always known
        anchor = starts[place]
        for number in range(place, stop):
            even = anchor + (number - place) * CYCLE_FIELDS * field // CYCLE
            if abs(even - starts[number]) > field:  # the source's clock is not that of the rate
                stop = number
                break
            times[number] = even
        moved += stop - place
        place = stop
    return times, moved


def _cadence_end(fields: NDArray[np.int64], fits: NDArray[np.bool_], place: int) -> int:
    """Where the cadence that begins at ``place`` ends; ``place`` itself if there is none."""
    stop = place
    while (
        stop + CYCLE <= len(fields)
        and fits[stop : stop + CYCLE].all()
        and fields[stop : stop + CYCLE].sum() == CYCLE_FIELDS
    ):
        stop += 1
    return place if stop == place else stop + CYCLE - 1


def _field(gaps: NDArray[np.int64], time_base: Fraction) -> Fraction:
    """How long a field lasts, in seconds; in soft telecine many frames last three."""
    if not len(gaps):
        return time_base / 2
    short = np.percentile(gaps, 20)
    near = gaps[np.abs(gaps - short) <= max(1.0, short / 4)]
    mean = Fraction(int(near.sum()), len(near)) * time_base / 2
    for rate in FIELD_RATES:
        tolerance = Fraction(1, 1000) / rate + time_base / 2 / len(near)
        if abs(mean - 1 / rate) <= tolerance:
            return 1 / rate
    return max(1, round(mean / (time_base / 4))) * (time_base / 4)


def _common(one: Fraction, other: Fraction) -> Fraction:
    """The greatest step that both are multiples of."""
    return Fraction(
        gcd(one.numerator * other.denominator, other.numerator * one.denominator),
        one.denominator * other.denominator,
    )

"""Chroma planes up to full size and back down, each filter the exact inverse of the other.

A pair of filters such that down(up(c)) = c, so that footage that only passes through keeps its
chroma, and sharp enough that neither blurs. Where chroma samples sit on luma samples ("left",
"top"), the pair is the interpolating Deslauriers-Dubuc filter and its dual, the 9/7-M of wavelet
coding (Calderbank et al., Applied and Computational Harmonic Analysis 5, 1998, section 4). Where
they sit between them ("centre"), it is Catmull-Rom's cubic at a quarter sample and its shortest
smooth dual, solved for by least squares. Borders are mirrored the way that keeps the pair inverse.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

# Halves of symmetric filters, from the middle outwards.
_UP_BETWEEN = (111 / 128, 29 / 128, -9 / 128, -3 / 128)
_DOWN_BETWEEN = (0.61357876, -0.13498461, 0.02134384, -0.00162714, 0.00168915)
_UP_ON = (9 / 16, -1 / 16)
_DOWN_ON = (46 / 64, 16 / 64, -8 / 64, 0.0, 1 / 64)

# Support in luma samples on either side, for each halving. Down: around the place that a chroma
# sample covers, those that it is made of as well. Up: those that a chroma sample takes part in.
DOWN_SUPPORT, UP_SUPPORT = 4, 5


def chroma_reach(multiple: int) -> int:
    """Luma samples on either side that a chroma sample takes part in, if it covers ``multiple``."""
    return UP_SUPPORT * (multiple - 1)


def sited_on_luma(siting: int) -> tuple[bool, bool]:
    """Whether chroma sits on luma samples horizontally and vertically. Unspecified is "left"."""
    return siting in (0, 1, 3, 5), siting in (3, 4)


def chroma_up(
    plane: Tensor, shift: tuple[int, int], siting: int, *, height: int, width: int
) -> Tensor:
    """(n, h, w) float chroma to (n, height, width), where h is height >> shift[1] rounded up."""
    on_x, on_y = sited_on_luma(siting)
    for step in reversed(range(shift[1])):
        plane = _up(plane, 1, on_y, -(-height // (1 << step)))
    for step in reversed(range(shift[0])):
        plane = _up(plane, 2, on_x, -(-width // (1 << step)))
    return plane


def chroma_down(plane: Tensor, shift: tuple[int, int], siting: int) -> Tensor:
    """(n, h, w) float at full size to chroma size, rounded up; the inverse of :func:`chroma_up`."""
    on_x, on_y = sited_on_luma(siting)
    for _ in range(shift[1]):  # rows first: whole ones are quick to add
        plane = _down(plane, 1, on_y)
    for _ in range(shift[0]):
        plane = _down(plane, 2, on_x)
    return plane


def _up(plane: Tensor, axis: int, on: bool, target: int) -> Tensor:
    length = plane.shape[axis]
    # An odd luma line ends on a chroma sample, an even one behind it: so the mirror differs.
    line = _extended(plane, axis, 2, mirror_first=on, mirror_last=on and target % 2 == 1)
    taps = [_part(line, axis, place, length) for place in range(5)]
    if on:
        first = plane
        second = (taps[2] + taps[3]) * _UP_ON[0]
        second.add_(taps[1], alpha=_UP_ON[1]).add_(taps[4], alpha=_UP_ON[1])
    else:  # a quarter sample before and a quarter sample behind the chroma sample
        near, far, farther, beyond = _UP_BETWEEN
        first = taps[2] * near
        second = first.clone()
        first.add_(taps[1], alpha=far).add_(taps[3], alpha=farther).add_(taps[0], alpha=beyond)
        second.add_(taps[3], alpha=far).add_(taps[1], alpha=farther).add_(taps[4], alpha=beyond)
    both = torch.stack([first, second], dim=axis + 1).flatten(axis, axis + 1)
    return both.narrow(axis, 0, target)


def _down(plane: Tensor, axis: int, on: bool) -> Tensor:
    length = plane.shape[axis]
    half = (length + 1) // 2
    if on:
        line = _extended(plane, axis, 4, mirror_first=True, mirror_last=True)
        taps = [(4 - k, 4 + k, tap) for k, tap in enumerate(_DOWN_ON) if tap]
    else:
        if length % 2 and length > 1:
            # The sample that an odd size cut off, as the upward filter would have made it.
            last, before = plane.narrow(axis, length - 1, 1), plane.narrow(axis, length - 2, 1)
            plane = torch.cat([plane, last * 1.5 - before * 0.5], dim=axis)
        line = _extended(plane, axis, 5, mirror_first=False, mirror_last=False)
        taps = [(5 - k, 6 + k, tap) for k, tap in enumerate(_DOWN_BETWEEN)]
    # Every second sample side by side: each is read several times.
    even, odd = (_part(line, axis, n, line.shape[axis] // 2, 2) for n in (0, 1))
    halves = (even.contiguous(), odd.contiguous()) if axis == plane.dim() - 1 else (even, odd)

    def part(start: int) -> Tensor:
        return halves[start % 2].narrow(axis, start // 2, half)

    left, right, tap = taps[0]
    total = part(left) * tap
    if right != left:
        total.add_(part(right), alpha=tap)
    for left, right, tap in taps[1:]:
        total.add_(part(left), alpha=tap).add_(part(right), alpha=tap)
    return total


def _part(line: Tensor, axis: int, start: int, count: int, step: int = 1) -> Tensor:
    """``count`` samples from ``start``, every ``step``-th."""
    index: list[slice] = [slice(None)] * line.dim()
    index[axis] = slice(start, start + (count - 1) * step + 1, step)
    return line[tuple(index)]


def _extended(
    line: Tensor, axis: int, margin: int, *, mirror_first: bool, mirror_last: bool
) -> Tensor:
    """Extend by ``margin`` (and one, for odd lengths) beyond both ends.

    Mirroring is about the end sample itself (it is not repeated); otherwise about the edge behind
    it (it is repeated). Works for any length, a single sample too.
    """
    length = line.shape[axis]
    ends = (
        line.index_select(axis, mirrored(length, places, mirror_first, mirror_last, line.device))
        for places in ((-margin, 0), (length, length + margin + 1))
    )
    return torch.cat([next(ends), line, *ends], dim=axis)


@lru_cache(256)
@torch.inference_mode(False)
def mirrored(
    length: int, places: tuple[int, int], first: bool, last: bool, device: torch.device
) -> Tensor:
    """The indices inside of a line that mirror the ``places`` [from, to) outside of it."""
    period = max(1, 2 * length - int(first) - int(last))
    wrapped = torch.arange(*places) % period
    folded = (2 * length - 1 - int(last)) - wrapped
    return torch.where(wrapped < length, wrapped, folded).to(device)

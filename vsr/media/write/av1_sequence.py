"""Read AV1's sequence header: what the headers of its frames depend on.

Numbers in brackets are sections of the AV1 specification (version 1.0.0 with errata 1).
"""

from __future__ import annotations

from dataclasses import dataclass

from vsr.errors import MediaError


class Bits:
    """Reads bits of a header, the first one first."""

    def __init__(self, data: bytes, place: int = 0) -> None:
        self.data, self.place = data, place

    def take(self, count: int = 1) -> int:
        """An unsigned number of so many bits. Raises :class:`MediaError` behind the end."""
        if self.place + count > 8 * len(self.data):
            raise MediaError("a header of the AV1 that was encoded cannot be read")
        first, last = self.place // 8, -(-(self.place + count) // 8)
        number = int.from_bytes(self.data[first:last], "big") >> (8 * last - self.place - count)
        self.place += count
        return number & ((1 << count) - 1)

    def signed(self, count: int) -> int:
        """A number in two's complement."""
        number = self.take(count)
        return number - (1 << count) if number >> (count - 1) else number

    def below(self, count: int) -> int:
        """A number below ``count``, in as few bits as do (4.10.7)."""
        width = count.bit_length()
        short = (1 << width) - count
        number = self.take(width - 1)
        return number if number < short else (number << 1) - short + self.take()


@dataclass(frozen=True, slots=True)
class Sequence:
    """What of a sequence header the frames' headers depend on."""

    data: bytes
    decoder_model: bool = False
    equal_interval: bool = False
    removal_bits: int = 0
    time_bits: int = 0
    operating_points: tuple[tuple[int, bool], ...] = ()
    width_bits: int = 0
    height_bits: int = 0
    width: int = 0
    height: int = 0
    frame_ids: tuple[int, int] | None = None
    large_blocks: bool = False
    warped: bool = False
    order_bits: int = 0
    motion_field: bool = False
    screen: int = 2
    integer_motion: int = 2
    super_resolution: bool = False
    cdef: bool = False
    restoration: bool = False
    gray: bool = False
    halved: bool = True
    separate_delta: bool = False


def sequence_of(data: bytes) -> Sequence:
    """Read a sequence header (5.5). Raises :class:`MediaError` for what no encoder here writes."""
    bits = Bits(data)
    bits.take(4)  # profile, still_picture
    if bits.take():
        raise MediaError("AV1 of a still picture takes no grain")
    model, equal, delay_bits, removal_bits, time_bits = False, False, 0, 0, 0
    if bits.take():  # timing_info_present
        bits.take(64)
        equal = bool(bits.take())
        if equal:
            _unsigned(bits)
        model = bool(bits.take())
        if model:
            delay_bits = bits.take(5) + 1
            bits.take(32)
            removal_bits, time_bits = bits.take(5) + 1, bits.take(5) + 1
    initial = bits.take()
    points: list[tuple[int, bool]] = []
    for _ in range(bits.take(5) + 1):
        point = bits.take(12)
        if bits.take(5) > 7:
            bits.take()
        of_model = bool(model and bits.take())
        if of_model:
            bits.take(2 * delay_bits + 1)
        if initial and bits.take():
            bits.take(4)
        points.append((point, of_model))
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    width, height = bits.take(width_bits) + 1, bits.take(height_bits) + 1
    ids = None
    if bits.take():
        delta = bits.take(4) + 2
        ids = (delta, bits.take(3) + delta + 1)
    large = bool(bits.take())
    bits.take(4)  # filter intra, intra edge, interintra, masked compound
    warped = bool(bits.take())
    bits.take()  # dual filter
    order_bits, motion_field = 0, False
    ordered = bits.take()
    if ordered:
        bits.take()
        motion_field = bool(bits.take())
    screen = 2 if bits.take() else bits.take()
    integer = 2
    if screen:
        integer = 2 if bits.take() else bits.take()
    if ordered:
        order_bits = bits.take(3) + 1
    super_resolution, cdef, restoration = (bool(bits.take()) for _ in range(3))
    gray, halved, separate = _color(bits, data[0] >> 5)
    return Sequence(
        data, model, equal, removal_bits, time_bits, tuple(points), width_bits, height_bits,
        width, height, ids, large, warped, order_bits, motion_field, screen, integer,
        super_resolution, cdef, restoration, gray, halved, separate,
    )  # fmt: skip


def _color(bits: Bits, profile: int) -> tuple[bool, bool, bool]:
    """Whether it is gray, whether chroma is halved in both directions, separate_uv_delta_q."""
    deep = bool(bits.take())
    twelve = bool(profile == 2 and deep and bits.take())
    gray = bool(profile != 1 and bits.take())
    tags = (bits.take(8), bits.take(8), bits.take(8)) if bits.take() else (2, 2, 2)
    if gray:
        bits.take()
        return True, True, False
    if tags == (1, 13, 0):  # sRGB
        return False, False, bool(bits.take())
    bits.take()
    across = down = profile == 0
    if profile == 2:
        across = bool(bits.take()) if twelve else True
        down = bool(across and twelve and bits.take())
    if across and down:
        bits.take(2)
    return False, across and down, bool(bits.take())


def _unsigned(bits: Bits) -> int:
    """uvlc (4.10.3)."""
    zeros = 0
    while not bits.take():
        zeros += 1
    return bits.take(zeros) + (1 << zeros) - 1

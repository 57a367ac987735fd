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
    """The payload that it was read from."""
    decoder_model: bool = False
    """Whether headers speak of the decoder's buffers (decoder_model_info_present_flag)."""
    equal_interval: bool = False
    """Whether all frames last alike (equal_picture_interval)."""
    removal_bits: int = 0
    """Bits of a buffer removal time."""
    time_bits: int = 0
    """Bits of a frame presentation time."""
    operating_points: tuple[tuple[int, bool], ...] = ()
    """For each operating point, the mask of its layers (operating_point_idc) and whether it has a
    model of the decoder."""
    width_bits: int = 0
    """Bits of a frame's own width less 1."""
    height_bits: int = 0
    """Bits of a frame's own height less 1."""
    width: int = 0
    """Width of frames without one of their own, in pixels."""
    height: int = 0
    """Height of frames without one of their own, in pixels."""
    frame_ids: tuple[int, int] | None = None
    """Bits of a difference of frame ids, and of an id; ``None`` where frames have none."""
    large_blocks: bool = False
    """Whether superblocks are 128 pixels a side instead of 64."""
    warped: bool = False
    """Whether warped motion is possible (enable_warped_motion)."""
    order_bits: int = 0
    """Bits of a frame's number in the order shown; 0: it has none."""
    motion_field: bool = False
    """Whether motion of reference frames can be used (enable_ref_frame_mvs)."""
    screen: int = 2
    """1 where tools for screen content are on, 0 where they are off, 2 where each frame says it."""
    integer_motion: int = 2
    """1 where vectors are whole pixels, 0 where not, 2 where each frame says it."""
    super_resolution: bool = False
    """Whether frames may be coded narrower than they are (enable_superres)."""
    cdef: bool = False
    """Whether the constrained directional enhancement filter is possible."""
    restoration: bool = False
    """Whether loop restoration is possible."""
    gray: bool = False
    """Whether there is no chroma."""
    halved: bool = True
    """Whether chroma is halved in both directions; also without chroma."""
    separate_delta: bool = False
    """Whether U and V may have quantisers of their own (separate_uv_delta_q)."""


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

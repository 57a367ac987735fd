"""Ways to damage a file. Pure: bytes and a random generator in, bytes and a description out."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from fuzz.structure import Part, parts_of

INTERESTING = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 1 << 24)
WIDE = (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


def mutate(data: bytes, random: Random) -> tuple[bytes, str]:
    """``data`` damaged in one to three ways, and which."""
    said: list[str] = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        way = random.choice(_WAYS)
        data, what = way(data, random)
        said.append(what)
        if len(data) < 16:
            break
    return data, "; ".join(said)


def _place(data: bytes, random: Random) -> int:
    """Headers are short and matter most: half of all damage falls on the first 2 KB."""
    return random.randrange(min(len(data), 2048) if random.random() < 0.5 else len(data))


def _flip(data: bytes, random: Random) -> tuple[bytes, str]:
    made, count = bytearray(data), random.choice((1, 1, 2, 8, 32, 200))
    for _ in range(count):
        made[_place(data, random)] ^= 1 << random.randrange(8)
    return bytes(made), f"{count} bits flipped"


def _number(data: bytes, random: Random) -> tuple[bytes, str]:
    made, width = bytearray(data), random.choice((1, 2, 4, 8))
    value = random.choice((*INTERESTING, *WIDE)) & ((1 << 8 * width) - 1)
    at = _place(data, random)
    order = random.choice(("big", "little"))
    made[at : at + width] = value.to_bytes(width, "big" if order == "big" else "little")
    return bytes(made), f"{value} in {width} {order} bytes at {at}"


def _cut(data: bytes, random: Random) -> tuple[bytes, str]:
    at = random.randrange(len(data))
    if random.random() < 0.6:
        return data[:at], f"cut off at {at}"
    length = random.randrange(1, 1 + min(4096, len(data)))
    return data[:at] + data[at + length :], f"{length} bytes left out at {at}"


def _fill(data: bytes, random: Random) -> tuple[bytes, str]:
    at, length = _place(data, random), random.choice((4, 16, 100, 1000, 8000))
    length = min(length, len(data) - at)
    kind = random.choice(("zeros", "ones", "noise"))
    filling = {"zeros": b"\0" * length, "ones": b"\xff" * length}.get(kind)
    filling = random.randbytes(length) if filling is None else filling
    return data[:at] + filling + data[at + length :], f"{length} bytes of {kind} at {at}"


def _double(data: bytes, random: Random) -> tuple[bytes, str]:
    at, length = _place(data, random), random.choice((1, 4, 188, 1000, 5000))
    to = _place(data, random)
    return data[:to] + data[at : at + length] + data[to:], f"{length} bytes at {at} again at {to}"


def _two(data: bytes, random: Random) -> tuple[Part, Part] | None:
    parts = parts_of(data)
    if len(parts) < 2:
        return None
    one, other = sorted(random.sample(parts, 2), key=lambda part: part.start)
    return (one, other) if one.end <= other.start else None


def _swap(data: bytes, random: Random) -> tuple[bytes, str]:
    pair = _two(data, random)
    if pair is None:
        return _flip(data, random)
    one, other = pair
    made = data[: one.start] + data[other.start : other.end] + data[one.end : other.start]
    made += data[one.start : one.end] + data[other.end :]
    return made, f"parts at {one.start} and {other.start} swapped"


def _resize(data: bytes, random: Random) -> tuple[bytes, str]:
    parts = parts_of(data)
    if not parts:
        return _number(data, random)
    part, made = random.choice(parts), bytearray(data)
    width = part.size_bytes
    size = random.choice((*INTERESTING, *WIDE, part.end - part.start + random.randint(-9, 9)))
    size = max(0, size) & ((1 << 8 * width) - 1)
    made[part.size_at : part.size_at + width] = size.to_bytes(
        width, random.choice(("big", "little"))
    )
    return bytes(made), f"size {size} for the part at {part.start}"


def _drop(data: bytes, random: Random) -> tuple[bytes, str]:
    parts = parts_of(data)
    if not parts:
        return _cut(data, random)
    part = random.choice(parts)
    return data[: part.start] + data[part.end :], f"part at {part.start} left out"


def _repeat(data: bytes, random: Random) -> tuple[bytes, str]:
    parts = parts_of(data)
    if not parts:
        return _double(data, random)
    part, times = random.choice(parts), random.choice((1, 1, 2, 20))
    again = data[part.start : part.end][:65536] * times
    return data[: part.end] + again + data[part.end :], f"part at {part.start} {times} times more"


_WAYS: tuple[Callable[[bytes, Random], tuple[bytes, str]], ...] = (
    _flip, _flip, _number, _number, _cut, _fill, _double, _swap, _resize, _resize, _drop, _repeat,
)  # fmt: skip

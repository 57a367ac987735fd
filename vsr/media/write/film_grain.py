"""Write film grain parameters into AV1 that was encoded without any: players add the grain.

SVT-AV1 takes no grain from outside, and what it estimates of one is a third of what is there, at
four times the size (docs/benchmarks.md). So its headers get the parameters afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import av
import numpy as np
from av.stream import Stream
from numpy.typing import NDArray

from vsr.color import ColorSpec
from vsr.errors import MediaError
from vsr.media.grain import LEVELS, Grain
from vsr.media.write.av1_frame import INTER, KEY, FrameHeader, ReferenceFrame
from vsr.media.write.av1_sequence import Bits, Sequence, sequence_of

SEQUENCE, FRAME_HEADER, FRAME, REDUNDANT_HEADER = 1, 3, 6, 7  # types of OBU
LAG = 3  # pixels that the model of grain looks back
AROUND = [(y, x) for y in range(-LAG, 1) for x in range(-LAG, LAG + 1) if (y, x) < (0, 0)]
"""The pixels that one is made of, (down, across), in the order of the parameters."""
COARSEST, SLOWEST = 2.0, 0.03
"""How much larger spots may be than the source's, and cycles a pixel below which there is little:
decoders lay blocks of 32 x 32 side by side, whose edges show where a spot is as large."""
WHITE = 32.0
"""Deviation of decoders' gaussian numbers, in code values of 8 bits (7.18.3.2)."""
MOST = 36.0
"""Deviation of a decoder's grain, at most, before it is scaled: it is cut off at 127."""
LOOSE = (0.1, 0.3)
"""Shares of white noise in the model, from the nearest on: with less it may not come to rest."""
NEAR_ONE = 0.003
"""Of 1 less the sum of the weights, at any frequency: nearer to none, grain drifts away."""
SIDE = 64  # of what the model is tried on


@dataclass(frozen=True, slots=True)
class Model:
    """Grain as AV1 has it (6.8.20), at the target's size."""

    points: tuple[tuple[int, int], ...]
    """Values of luma, 0..255, each with the scale of grain there, 0..255."""
    chroma: tuple[int, int]
    """Scales of grain in U and V, 0..255."""
    scaling: int
    """Scales are divided by 2 to the power of this, 8..11."""
    weights: tuple[int, ...]
    """Weights, -128..127, of the pixels :data:`AROUND` one that it is made of."""
    shift: int
    """Weights are divided by 2 to the power of this, 6..9."""
    halvings: int
    """How many times the white noise that grain is made of is halved, 0..3."""


def model_of(grain: Grain) -> Model:
    """The nearest that AV1 has to a grain, at the target's size."""
    weights, shift, gain = _weights(grain)
    halvings = 0
    while halvings < 3 and WHITE * gain / 2**halvings > MOST:
        halvings += 1
    deviation = WHITE * gain / 2**halvings
    wanted = [*grain.levels, *grain.chroma]
    scaling = next((n for n in (11, 10, 9) if max(wanted) * 2**n / deviation <= 255), 8)
    scales = [min(255, round(amount * 2**scaling / deviation)) for amount in wanted]
    width = 256 // LEVELS
    points = tuple((width // 2 + width * n, scales[n]) for n in range(LEVELS))
    return Model(points, (scales[-2], scales[-1]), scaling, weights, shift, halvings)


def _weights(grain: Grain) -> tuple[tuple[int, ...], int, float]:
    """Weights of an autoregressive model (Yule-Walker), their shift, and what it multiplies the
    deviation of white noise by."""
    fitting = replace(grain, stretch=tuple(min(COARSEST, side) for side in grain.stretch))
    radial = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None])
    power = np.fft.ifft2(
        fitting.density(SIDE, SIDE) * (1 - np.exp(-((radial / SLOWEST) ** 2)))
    ).real
    power /= power[0, 0]
    matrix = np.array([[power[y - v, x - u] for v, u in AROUND] for y, x in AROUND])
    target = np.array([power[y, x] for y, x in AROUND])
    for share in LOOSE:
        exact = np.linalg.solve(matrix + share * np.eye(len(AROUND)), target)
        shift = next((n for n in (9, 8, 7) if abs(exact).max() * 2**n <= 127), 6)
        weights = np.clip(np.rint(exact * 2**shift), -128, 127).astype(np.int64)
        # Their sum, of which they may be short by a little, is what slow changes depend on.
        wanted = min(2**shift - 1, round(exact.sum() * 2**shift))
        weights[-1] = np.clip(weights[-1] + wanted - weights.sum(), -128, 127)
        gain = _gain(weights / 2**shift)
        if gain is not None:
            return tuple(int(weight) for weight in weights), shift, gain
    return (0,) * len(AROUND), 6, 1.0


def _gain(weights: NDArray[np.float64]) -> float | None:
    """How much larger the deviation of noise is behind the model; ``None`` where it grows on."""
    raw = np.random.PCG64(0).random_raw(4 * SIDE * SIDE).reshape(4, -1) >> np.uint64(40)
    white = raw.astype(np.float64).sum(axis=0).reshape(SIDE, SIDE)
    white = (white - white.mean()) / white.std()
    made = np.zeros((SIDE + LAG, SIDE + 2 * LAG))
    for y in range(SIDE):
        for x in range(SIDE):
            before = [made[y + LAG + v, x + LAG + u] for v, u in AROUND]
            made[y + LAG, x + LAG] = white[y, x] + np.dot(before, weights)
    made = made[2 * LAG :, 2 * LAG : -LAG]
    around = np.zeros((4 * SIDE, 4 * SIDE))
    for weight, (v, u) in zip(weights, AROUND, strict=True):
        around[v, u] = -weight
    around[0, 0] = 1
    least = np.abs(np.fft.fft2(around))
    if least.min() < NEAR_ONE or not np.isfinite(made).all():
        return None
    gain = float(np.sqrt((1 / least**2).mean()))
    return gain if made[-SIDE // 4 :].std() < 2 * gain else None


class FilmGrain:
    """Rewrites the packets of one encoder, in order."""

    def __init__(self, grain: Grain, color: ColorSpec) -> None:
        self._model, self._limited = model_of(grain), color.range != 2
        self._sequence: Sequence | None = None
        self._slots = [ReferenceFrame()] * 8
        self._redundant = b""

    def of_header(self, extradata: bytes) -> bytes:
        """What an encoder says ahead of its packets, ``av1C`` or OBUs, of a stream with grain."""
        kept = 4 if extradata[:1] == b"\x81" else 0
        return extradata[:kept] + self._rewritten(extradata[kept:], 0)

    def of_packet(self, packet: av.Packet[Stream], time: int) -> av.Packet[Stream]:
        """A temporal unit, whose frame is shown at ``time``, with grain. Raises
        :class:`MediaError` for headers that make no sense."""
        made = av.Packet(self._rewritten(bytes(packet), time))
        made.stream, made.time_base = packet.stream, packet.time_base
        made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
        made.is_keyframe = packet.is_keyframe
        return made

    def _rewritten(self, data: bytes, time: int) -> bytes:
        seeds = np.random.PCG64([abs(time), time < 0])
        made: list[bytes] = []
        for kind, head, payload in _units(data):
            if kind == SEQUENCE:
                self._sequence = sequence_of(payload)
                payload = _flagged(payload)
            elif kind in (FRAME, FRAME_HEADER):
                seed = int(seeds.random_raw() & 0xFFFF)
                payload = self._frame(payload, head, seed, tiles=kind == FRAME)
                self._redundant = payload
            elif kind == REDUNDANT_HEADER:
                payload = self._redundant
            made += [bytes([head[0] | 2]), head[1:], _leb128(len(payload)), payload]
        return b"".join(made)

    def _frame(self, payload: bytes, head: bytes, seed: int, *, tiles: bool) -> bytes:
        if self._sequence is None:
            raise MediaError("AV1 that was encoded has a frame before its sequence header")
        layers = (head[1] >> 5, head[1] >> 3 & 3) if len(head) > 1 else (0, 0)
        header = FrameHeader(Bits(payload), self._sequence, self._slots, layers=layers)
        header.read()
        if header.existing is not None:
            shown = self._slots[header.existing]
            if shown.kind == KEY:
                self._slots = [shown] * 8
            return payload
        for place in range(8):
            if header.refresh >> place & 1:
                self._slots[place] = header.saved
        end = header.bits.place
        rest = header.bits.take(-end % 8)
        if rest != (0 if tiles or end % 8 == 0 else 1 << (-end % 8 - 1)):
            raise MediaError("a header of the AV1 that was encoded does not end where it should")
        text = f"{int.from_bytes(payload, 'big'):0{8 * len(payload)}b}"[:end]
        if header.shown or header.showable:
            text += self._parameters(seed, inter=header.kind == INTER)
        text += "" if tiles else "1"
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big") + (
            payload[-(-end // 8) :] if tiles else b""
        )

    def _parameters(self, seed: int, *, inter: bool) -> str:
        """film_grain_params (5.9.30), in ones and zeros."""
        assert self._sequence is not None
        model, gray = self._model, self._sequence.gray
        parts = [(1, 1), (seed, 16), *([(1, 1)] if inter else [])]
        parts.append((len(model.points), 4))
        parts += [(number, 8) for point in model.points for number in point]
        # Both planes of chroma have points, or neither (6.8.20).
        colours = list(model.chroma) if not gray and any(model.chroma) else []
        parts += [] if gray else [(0, 1)]  # not scaled by luma
        for scale in colours or ([] if gray else [0, 0]):
            parts += [(1, 4), (128, 8), (scale, 8)] if colours else [(0, 4)]
        parts += [(model.scaling - 8, 2), (LAG, 2)]
        parts += [(weight + 128, 8) for weight in model.weights]
        for _ in colours:
            parts += [(weight + 128, 8) for weight in (*model.weights, 0)]
        parts += [(model.shift - 6, 2), (model.halvings, 2)]
        for _ in colours:  # by chroma alone: one point, so it is the same everywhere
            parts += [(192, 8), (128, 8), (256, 9)]
        parts += [(1, 1), (int(self._limited), 1)]  # blocks overlap
        return "".join(f"{number:0{width}b}" for number, width in parts)


def _units(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The OBUs of a packet: type, header without its size, payload (5.3)."""
    place = 0
    while place < len(data):
        extended, sized = data[place] >> 2 & 1, data[place] >> 1 & 1
        head = data[place : place + 1 + extended]
        place += 1 + extended
        size, shift = (0, 0) if sized else (len(data) - place, 0)
        while sized:
            if place >= len(data):
                raise MediaError("AV1 that was encoded breaks off")
            byte = data[place]
            size |= (byte & 127) << shift
            place, shift = place + 1, shift + 7
            if byte < 128:
                break
        yield head[0] >> 3 & 15, head, data[place : place + size]
        place += size


def _leb128(number: int) -> bytes:
    made = bytearray()
    while True:
        made.append((number & 127) | (128 if number > 127 else 0))
        number >>= 7
        if not number:
            return bytes(made)


def _flagged(payload: bytes) -> bytes:
    """A sequence header that says that there is grain: the last bit before the one that ends it."""
    number = int.from_bytes(payload, "big")
    end = number & -number
    return (number | end << 1).to_bytes(len(payload), "big")

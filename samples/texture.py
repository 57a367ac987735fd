"""Make seeded textures: noise, masonry, tiles, cloth. Arrays only; sizes in finished pixels."""

from __future__ import annotations

import cv2
import numpy as np
from canvas import SUPER, Colour, Pixels, Plane


def noise(
    height: float,
    width: float,
    cell: float | tuple[float, float],
    *,
    seed: int,
    octaves: int = 5,
    gain: float = 0.5,
) -> Plane:
    """Fractal value noise, about -1..1; `cell` is the size of its largest blob (down, across)."""
    generator = np.random.default_rng(seed)
    rows, columns = round(height * SUPER), round(width * SUPER)
    down, across = (cell, cell) if isinstance(cell, int | float) else cell
    total = np.zeros((rows, columns), np.float32)
    strength, spent = 1.0, 0.0
    for octave in range(octaves):
        grid_rows = max(2, round(height / down * 2**octave) + 2)
        grid_columns = max(2, round(width / across * 2**octave) + 2)
        if grid_rows > rows or grid_columns > columns:
            break
        grid = generator.uniform(-1, 1, (grid_rows, grid_columns)).astype(np.float32)
        total += strength * np.asarray(
            cv2.resize(grid, (columns, rows), interpolation=cv2.INTER_CUBIC), np.float32
        )
        spent += strength
        strength *= gain
    return total * np.float32(1.6 / max(spent, 1e-6))


def smoothstep(low: float, high: float, value: Plane) -> Plane:
    """Rise smoothly from 0 at `low` to 1 at `high`; fall where `low` is the greater."""
    x = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(x * x * (3 - 2 * x), np.float32)


def mix(first: Colour | Pixels | Plane, second: Colour | Plane | Pixels, share: Plane) -> Plane:
    """Blend two colours (or pictures) by a plane of shares 0..1; float RGB comes back."""
    a, b = np.asarray(first, np.float32), np.asarray(second, np.float32)
    return np.asarray(a + (b - a) * share[..., None], np.float32)


def to_pixels(picture: Plane) -> Pixels:
    """Round float RGB to bytes."""
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def gradient(height: float, width: float, stops: list[tuple[float, Colour]]) -> Plane:
    """A vertical gradient through (position 0..1, colour) stops; float RGB."""
    down = np.linspace(0, 1, round(height * SUPER))
    at = [position for position, _ in stops]
    column = np.stack([np.interp(down, at, [c[i] for _, c in stops]) for i in range(3)], -1)
    wide = np.repeat(column[:, None], round(width * SUPER), axis=1)
    return np.asarray(wide, np.float32)


def plaster(height: float, width: float, colour: Colour, *, seed: int) -> Pixels:
    """Painted render: blotches, rain streaks, fine grain."""
    streaks = noise(height, width, (height, 7), seed=seed, octaves=3)
    grain = noise(height, width, 3, seed=seed + 1, octaves=2)
    blotch = noise(height, width, 40, seed=seed + 2)
    gain = 1 + 0.05 * streaks + 0.05 * grain + 0.07 * blotch
    return to_pixels(np.asarray(colour, np.float32) * gain[..., None])


def masonry(
    height: float,
    width: float,
    unit: tuple[float, float],
    colour: Colour,
    *,
    seed: int,
    joint: float = 1.0,
    mortar: Colour = (168, 158, 144),
    ragged: float = 0.0,
) -> Pixels:
    """Bricks or stone blocks of `unit` (down, across), each its own tint, with lit top edges."""
    generator = np.random.default_rng(seed)
    rows, columns = round(height * SUPER), round(width * SUPER)
    y = (np.arange(rows, dtype=np.float32) + 0.5)[:, None] / SUPER
    x = (np.arange(columns, dtype=np.float32) + 0.5)[None, :] / SUPER
    bend = noise(height, width, 14, seed=seed + 3, octaves=3) * np.float32(ragged)
    course = np.floor((y + bend) / unit[0]).astype(np.int32)
    offsets = generator.uniform(0, 1, 4096).astype(np.float32)
    start = np.where(course % 2 == 0, 0.0, 0.5) + ragged * 0.35 * offsets[course % 4096]
    along = (x + bend) / unit[1] + start
    block = np.floor(along).astype(np.int32)
    from_top = (y + bend) - course * unit[0]
    from_left = (along - block) * unit[1]
    tints = generator.normal(0, 1, (4096, 3)).astype(np.float32)
    tint = tints[(course * 131 + block * 17) % 4096]
    grain = noise(height, width, 5, seed=seed + 1, octaves=3)
    stain = noise(height, width, 60, seed=seed + 2)
    gain = 1 + 0.13 * tint[..., :1] + 0.035 * tint + (0.11 * grain + 0.10 * stain)[..., None]
    edge = np.minimum(from_top, unit[0] - from_top), np.minimum(from_left, unit[1] - from_left)
    in_joint = 1 - smoothstep(joint * 0.35, joint * 0.75, np.minimum(*edge))
    lit = smoothstep(joint * 2.2, joint * 0.6, from_top) - 0.8 * smoothstep(
        unit[0] - joint * 2.2, unit[0] - joint * 0.6, from_top
    )
    face = np.asarray(colour, np.float32) * (gain + 0.10 * lit[..., None])
    shadowed = np.asarray(mortar, np.float32) * (0.9 + 0.12 * grain)[..., None]
    return to_pixels(mix(np.asarray(face, np.float32), np.asarray(shadowed, np.float32), in_joint))


def roof_tiles(height: float, width: float, colour: Colour, *, seed: int) -> Pixels:
    """Rows of round-ended clay tiles, each row casting a shadow on the next."""
    generator = np.random.default_rng(seed)
    y = (np.arange(round(height * SUPER), dtype=np.float32) + 0.5)[:, None] / SUPER
    x = (np.arange(round(width * SUPER), dtype=np.float32) + 0.5)[None, :] / SUPER
    down, across = 5.0, 6.0
    row = np.floor(y / down).astype(np.int32)
    along = x / across + 0.5 * (row % 2)
    tile = np.floor(along).astype(np.int32)
    round_end = np.abs(np.cos(np.pi * (along - tile)))
    depth = (y / down - row) - 0.30 * (1 - round_end)
    tint = generator.normal(0, 1, 4096).astype(np.float32)[(row * 131 + tile * 29) % 4096]
    moss = noise(height, width, 24, seed=seed + 1)
    belly = 0.14 * np.sin(np.pi * (along - tile))
    gain = 0.84 + belly + 0.10 * tint + 0.08 * moss + 0.28 * smoothstep(0.1, 0.85, depth)
    gain = gain - 0.42 * smoothstep(0.14, -0.02, np.asarray(np.abs(depth), np.float32))
    return to_pixels(np.asarray(colour, np.float32) * gain[..., None])


def planks(height: float, width: float, board: float, colour: Colour, *, seed: int) -> Pixels:
    """Horizontal painted boards with grain along them."""
    grain = noise(height, width, (1.5, 50), seed=seed, octaves=3)
    y = (np.arange(round(height * SUPER), dtype=np.float32) + 0.5)[:, None] / SUPER
    from_top = y % board
    gap = smoothstep(0.9, 0.2, from_top) * 0.45 - 0.10 * smoothstep(2.4, 1.2, from_top)
    gain = 1 + 0.09 * grain - gap
    return to_pixels(np.asarray(colour, np.float32) * gain[..., None])

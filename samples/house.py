"""Draw one harbour house: walls, roof, windows, door, shop. A canvas in, ink on it, no motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from canvas import SUPER, Canvas, Colour, Plane
from texture import gradient, masonry, noise, plaster, roof_tiles, to_pixels

WHITE: Colour = (236, 232, 222)
EAVES = 5.0


@dataclass(frozen=True)
class House:
    """What one house looks like; lengths in finished pixels."""

    x: float
    width: float
    floors: int
    columns: int
    wall: Colour
    roof: Colour
    brick: bool = False
    gable: bool = False
    shutters: Colour | None = None
    sign: str | None = None
    sign_colour: Colour = (34, 58, 74)
    storey: float = 40.0


def draw_house(canvas: Canvas, house: House, base: float, *, seed: int) -> None:
    """Stand the house on the line `base`."""
    height = house.storey * house.floors + 12
    top = base - height
    if house.brick:
        unit = (4.0, 10.0)
        wall = masonry(height, house.width, unit, house.wall, seed=seed, joint=0.9)
    else:
        wall = plaster(height, house.width, house.wall, seed=seed)
    corners = _box(house.x, top, house.width, height)
    canvas.textured(corners, wall)
    roof_top = _roof(canvas, house, top, seed=seed)
    light = np.linspace(1.06, 0.86, 32, dtype=np.float32)[None, :]
    canvas.shade(house.x, top, house.width, height, np.repeat(light, 2, axis=0))
    eave_shadow = np.linspace(0.62, 1.0, 16, dtype=np.float32)[:, None]
    if not house.gable:
        canvas.shade(house.x, top, house.width, 9, np.repeat(eave_shadow, 2, axis=1))
    damp = np.linspace(1.0, 0.72, 16, dtype=np.float32)[:, None]
    canvas.shade(house.x, base - 14, house.width, 14, np.repeat(damp, 2, axis=1))
    _openings(canvas, house, base, seed=seed)
    pipe = house.x + house.width - 3
    canvas.box(pipe, top, 2, height, (92, 90, 86))
    canvas.box(pipe, top, 0.5, height, (150, 148, 142))
    _chimney(canvas, house.x + house.width * 0.72, roof_top + 12, seed=seed)


def _roof(canvas: Canvas, house: House, top: float, *, seed: int) -> float:
    left, right = house.x - EAVES, house.x + house.width + EAVES
    rise = house.width * 0.46 if house.gable else 34.0
    if house.gable:
        middle = house.x + house.width / 2
        attic = [(house.x, top), (middle, top - rise), (house.x + house.width, top)]
        if house.brick:
            wall = masonry(rise, house.width, (4.0, 10.0), house.wall, seed=seed + 5, joint=0.9)
        else:
            wall = plaster(rise, house.width, house.wall, seed=seed + 5)
        canvas.textured(attic, wall)
        for end, tint in ((left, 0.92), (right, 0.74)):
            edge = [(end, top + 4), (middle, top - rise - 4)]
            bright = tuple(round(c * tint) for c in (228, 222, 208))
            canvas.line(edge, (bright[0], bright[1], bright[2]), 3)
            canvas.line([(x, y + 2.2) for x, y in edge], (70, 62, 58), 1)
        _window(canvas, middle - 8, top - rise * 0.45, 16, 20, seed=seed)
        return top - rise * 0.72
    ridge = [(left + 13, top - rise), (right - 13, top - rise), (right, top), (left, top)]
    tiles = roof_tiles(rise, house.width + 2 * EAVES, house.roof, seed=seed + 7)
    canvas.textured(ridge, tiles)
    canvas.line([(left + 13, top - rise), (right - 13, top - rise)], (112, 74, 60), 2)
    canvas.box(left, top - 1, right - left, 2.5, (104, 102, 98))
    canvas.box(left, top - 1, right - left, 0.5, (176, 174, 168))
    if house.width > 110:
        for share in (0.28, 0.62):
            _dormer(canvas, house.x + house.width * share, top - 6, house.wall, seed=seed)
    return top - rise


def _dormer(canvas: Canvas, x: float, base: float, wall: Colour, *, seed: int) -> None:
    canvas.polygon([(x - 13, base - 20), (x, base - 30), (x + 13, base - 20)], (88, 66, 60))
    canvas.box(x - 11, base - 20, 22, 20, wall)
    canvas.shade(x + 7, base - 20, 4, 20, 0.8)
    _window(canvas, x - 7, base - 18, 14, 15, seed=seed)


def _chimney(canvas: Canvas, x: float, base: float, *, seed: int) -> None:
    bricks = masonry(26, 14, (3.0, 7.0), (150, 92, 74), seed=seed + 9, joint=0.8)
    canvas.textured(_box(x, base - 26, 14, 26), bricks)
    canvas.shade(x + 9, base - 26, 5, 26, 0.75)
    canvas.box(x - 1.5, base - 28, 17, 3, (126, 112, 100))
    for pot in (2.5, 8.0):
        canvas.box(x + pot, base - 34, 3.5, 6, (164, 98, 70))


def _openings(canvas: Canvas, house: House, base: float, *, seed: int) -> None:
    pitch = house.width / house.columns
    wide, tall = min(19.0, pitch * 0.52), house.storey * 0.62
    first = 1 if house.sign else 0
    for floor in range(first, house.floors):
        y = base - house.storey * (floor + 1) + 7
        for column in range(house.columns):
            x = house.x + pitch * (column + 0.5) - wide / 2
            if floor == 0 and column == house.columns // 2:
                _door(canvas, x, base, wide + 2)
                continue
            _window(canvas, x, y, wide, tall, seed=seed * 31 + floor * 7 + column)
            if house.shutters:
                for side in (x - wide * 0.5 - 1.5, x + wide + 1.5):
                    _shutter(canvas, side, y, wide * 0.5, tall, house.shutters)
    if house.sign:
        _shop(canvas, house, base, seed=seed)


def _window(canvas: Canvas, x: float, y: float, width: float, height: float, *, seed: int) -> None:
    canvas.shade(x - 2, y - 2, width + 5, height + 6, 0.80)
    canvas.box(x - 1.5, y - 1.5, width + 3, height + 3, WHITE)
    stops: list[tuple[float, Colour]] = [
        (0, (120, 146, 160)),
        (0.45, (58, 76, 88)),
        (1, (30, 38, 46)),
    ]
    glass: Plane = gradient(height, width, stops)
    slant = np.add.outer(np.linspace(0, 1.4, glass.shape[0]), np.linspace(0, 1, glass.shape[1]))
    phase = (seed % 11) / 11 + 0.35
    glare = np.exp(-(((slant - phase) / 0.16) ** 2)) * (40 + seed % 5 * 12)
    blotch = noise(height, width, 6, seed=seed, octaves=2) * 8
    glass = np.asarray(glass + (glare + blotch)[..., None], np.float32)
    if seed % 3 == 0:  # a drawn curtain behind the pane
        glass[:, : glass.shape[1] // 3] = glass[:, : glass.shape[1] // 3] * 0.5 + 96
    canvas.textured(_box(x, y, width, height), to_pixels(glass))
    canvas.box(x + width / 2 - 0.5, y, 1, height, WHITE)
    for share in (1 / 3, 2 / 3):
        canvas.box(x, y + height * share - 0.5, width, 0.5 if height < 18 else 1, WHITE)
    canvas.shade(x, y, width, 2, 0.62)
    canvas.box(x - 3, y + height + 1.5, width + 6, 2, (206, 200, 188))
    canvas.shade(x - 2, y + height + 3.5, width + 6, 2, 0.72)


def _shutter(
    canvas: Canvas, x: float, y: float, width: float, height: float, colour: Colour
) -> None:
    canvas.box(x, y - 1, width, height + 2, colour)
    slats = np.tile(np.array([1.22, 1.0, 0.66], np.float32), 40)[:, None]
    rows = round(height * SUPER / 3) * 3  # whole slats of 1.5 finished pixels
    canvas.shade(x + 1, y + 1, width - 2, height - 2, np.repeat(slats[:rows], 2, axis=1))
    canvas.box(x + width - 0.5, y - 1, 0.5, height + 2, (40, 44, 44))


def _door(canvas: Canvas, x: float, base: float, width: float, height: float = 31.0) -> None:
    canvas.box(x - 2, base - height - 2, width + 4, height + 2, (214, 206, 190))
    canvas.box(x, base - height, width, height, (74, 44, 38))
    canvas.box(x + 2, base - height + 2, width - 4, height * 0.23, (96, 116, 124))
    for share in (0.63, 0.31):
        for column in (2.0, width / 2 + 1):
            top, tall = base - height * share, height * 0.23
            canvas.box(x + column, top, width / 2 - 3, tall, (98, 60, 50))
            canvas.box(x + column, top, width / 2 - 3, 1, (52, 30, 26))
    canvas.disc(x + width - 3, base - height * 0.66, 1, (222, 188, 96))


def _shop(canvas: Canvas, house: House, base: float, *, seed: int) -> None:
    x, width = house.x + 5, house.width - 12
    canvas.box(x, base - 40, width, 12, house.sign_colour)
    canvas.box(x, base - 40, width, 0.5, (230, 214, 170))
    canvas.box(x, base - 28.5, width, 0.5, (230, 214, 170))
    assert house.sign is not None
    size = min(10.0, width / len(house.sign) * 1.45)
    middle = x + width / 2
    canvas.text(
        house.sign, middle, base - 30.6, size=size, colour=(246, 232, 196), weight=600, align=0.5
    )
    half = width / 2 - 10
    for left in (x, x + width - half):
        _window(canvas, left + 2, base - 22, half - 4, 16, seed=seed + 3)
    _door(canvas, middle - 8, base, 16, 23)
    stripes = round(width / 6)
    for stripe in range(stripes):
        start, step = x + stripe * width / stripes, width / stripes
        colour: Colour = (232, 226, 212) if stripe % 2 else house.sign_colour
        upper = [(start, base - 28), (start + step, base - 28), (start + step, base - 21.5)]
        canvas.polygon([*upper, (start + step / 2, base - 20), (start, base - 21.5)], colour)
    canvas.shade(x, base - 20, width, 5, 0.7)


def _box(x: float, y: float, width: float, height: float) -> list[tuple[float, float]]:
    return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]

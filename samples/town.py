"""Build the still layers behind the water: sky, hills, town and quay. No motion, no codec."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from canvas import SUPER, Canvas, Colour, Layer, Pixels, Plane
from house import House, draw_house
from texture import gradient, masonry, mix, noise, smoothstep, to_pixels

WIDTH = 1400  # wider than the picture: the camera pans
QUAY, WATERLINE = 392.0, 430.0
HAZE: Colour = (190, 202, 208)

HOUSES = (
    House(-30, 118, 3, 3, (198, 176, 136), (158, 92, 70), shutters=(86, 122, 110)),
    House(92, 84, 3, 3, (168, 96, 76), (120, 74, 62), brick=True, gable=True),
    House(180, 150, 2, 5, (226, 214, 186), (166, 98, 72), sign="THE ROPE & SAIL CO."),
    House(336, 92, 4, 3, (132, 158, 164), (120, 82, 70), shutters=(236, 230, 216)),
    House(434, 132, 3, 4, (176, 104, 82), (150, 88, 70), brick=True, sign="HARBOUR CAFE"),
    House(572, 80, 3, 2, (220, 188, 122), (134, 80, 64), gable=True, shutters=(110, 66, 58)),
    House(658, 120, 3, 4, (206, 150, 126), (152, 90, 72), shutters=(70, 92, 110)),
    House(784, 96, 2, 3, (234, 226, 206), (128, 84, 72), sign="FISH MARKET", gable=True),
    House(886, 104, 3, 4, (150, 90, 76), (116, 76, 66), brick=True),
)


def sky() -> Pixels:
    """A warm afternoon sky with lit clouds, (880, 2800, 3)."""
    height = 440.0
    stops: list[tuple[float, Colour]] = [
        (0.0, (74, 122, 172)),
        (0.45, (134, 176, 206)),
        (0.8, (214, 214, 204)),
        (1.0, (242, 220, 186)),
    ]
    picture = gradient(height, WIDTH, stops)
    field = noise(1000, 2000, (170, 250), seed=11, octaves=8, gain=0.55)
    bend = noise(height, WIDTH, 200, seed=12, octaves=2)
    rows, columns = bend.shape
    v = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    depth = 1 / (1.25 - v)  # clouds crowd together towards the horizon
    u = np.linspace(-1, 1, columns, dtype=np.float32)[None, :]
    across = (1000 + u * 420 * depth + bend * 12) * SUPER
    down = (60 + depth * 330 + bend * 10) * SUPER
    cloud = _sample(field, across, down)
    toward_sun = _sample(field, across - 26, down - 30)
    cover = smoothstep(-0.08, 0.5, cloud) * smoothstep(1.02, 0.7, v) * np.float32(0.95)
    light = smoothstep(-0.22, 0.30, cloud - toward_sun + 0.1 * bend)
    body = mix((158, 166, 182), (255, 244, 226), light)
    return to_pixels(mix(picture, body, cover))


def hills() -> Layer:
    """Two wooded ridges, the far one bluer."""
    canvas = Canvas(WIDTH, WATERLINE)
    ridges: list[tuple[float, float, Colour, int]] = [
        (262, 46, (112, 136, 156), 21),
        (318, 40, (92, 112, 94), 22),
    ]
    for level, rise, colour, seed in ridges:
        slice_of_noise = noise(420, WIDTH, 420, seed=seed, octaves=7, gain=0.42)[300]
        outline = np.asarray(slice_of_noise, np.float32)
        steps = np.arange(0, WIDTH + 1, 1.0)
        ridge = level - rise * np.interp(steps * SUPER, np.arange(outline.size), outline)
        points = [(float(x), float(y)) for x, y in zip(steps, ridge, strict=True)]
        points = [*points, (WIDTH, WATERLINE), (0, WATERLINE)]
        top = float(np.floor(ridge.min() * SUPER) / SUPER)
        height = WATERLINE - top + 1
        canopy = noise(height, WIDTH, (7, 11), seed=seed + 5, octaves=4)
        fields = noise(height, WIDTH, (26, 120), seed=seed + 9, octaves=3)
        wood = smoothstep(-0.35, 0.05, fields)
        ground = mix((174, 176, 128), colour, wood) * (1 + (0.16 * canopy * wood)[..., None])
        low = np.linspace(0, 1, canopy.shape[0], dtype=np.float32)[:, None]
        distance = 0.55 if seed == 21 else 0.16
        misty = mix(
            np.asarray(ground, np.float32), HAZE, distance + (0.25 * low) * np.ones_like(wood)
        )
        canvas.textured(points, to_pixels(misty))
    return canvas.layer()


def town() -> Layer:
    """The row of houses on its stone quay, with a lighthouse at the end of the pier."""
    canvas = Canvas(WIDTH, WATERLINE)
    _lighthouse(canvas, 1150, QUAY + 6)
    for number, house in enumerate(HOUSES):
        draw_house(canvas, house, QUAY, seed=100 + number * 13)
    _quay(canvas)
    _street(canvas)
    return canvas.layer()


def _lighthouse(canvas: Canvas, x: float, base: float) -> None:
    foot, head, height = 30.0, 19.0, 214.0
    top = base - height
    sides = np.abs(np.linspace(-1, 1, round(2 * foot * SUPER), dtype=np.float32))
    lit = np.linspace(1.06, 0.62, sides.size, dtype=np.float32) * (1 - 0.25 * sides**3)
    bands = 5
    for band in range(bands):
        low, high = band / bands, (band + 1) / bands
        narrow, wide = (foot + (head - foot) * share for share in (high, low))
        y0, y1 = base - height * high, base - height * low
        colour: Colour = (176, 62, 50) if band % 2 else (236, 230, 216)
        rough = noise(y1 - y0 + 1, 2 * wide, (30, 5), seed=70 + band, octaves=3)
        cylinder = np.resize(lit, rough.shape[1])[None, :] * (1 + 0.05 * rough)
        paint = to_pixels(np.asarray(colour, np.float32) * cylinder[..., None])
        shape = [(x - narrow, y0), (x + narrow, y0), (x + wide, y1), (x - wide, y1)]
        canvas.textured(shape, paint)
    for share in (0.25, 0.5, 0.75):
        canvas.box(x - 4, base - height * share - 8, 8, 13, (228, 222, 206))
        canvas.box(x - 3, base - height * share - 7, 6, 11, (44, 54, 62))
    canvas.box(x - 27, top - 4, 54, 4, (70, 72, 74))
    for step in range(19):
        canvas.box(x - 27 + step * 2.95, top - 18, 1, 14, (58, 60, 62))
    for rail in (18, 13, 8.5):
        canvas.box(x - 27, top - rail, 54, 1, (58, 60, 62))
    canvas.box(x - 14, top - 34, 28, 31, (250, 224, 150))
    canvas.shade(x + 3, top - 34, 11, 31, 0.72)
    for bar in range(6):
        canvas.box(x - 14 + bar * 5.5, top - 34, 1, 31, (64, 40, 38))
    for bar in (0.0, 10.0, 20.0):
        canvas.box(x - 14, top - 34 + bar, 28, 0.5, (64, 40, 38))
    dome = [(x - 17, top - 34), (x - 12, top - 46), (x, top - 53), (x + 12, top - 46)]
    canvas.polygon([*dome, (x + 17, top - 34)], (158, 54, 44))
    canvas.polygon(
        [(x + 2, top - 34), (x, top - 53), (x + 12, top - 46), (x + 17, top - 34)], (116, 40, 36)
    )
    canvas.line([(x, top - 53), (x, top - 66)], (50, 50, 50), 1)


def _quay(canvas: Canvas) -> None:
    height = WATERLINE - QUAY
    stone = masonry(
        height,
        WIDTH,
        (12, 27),
        (158, 146, 128),
        seed=50,
        joint=1.6,
        mortar=(96, 90, 80),
        ragged=1.4,
    )
    canvas.textured([(0, QUAY), (WIDTH, QUAY), (WIDTH, WATERLINE), (0, WATERLINE)], stone)
    canvas.box(0, QUAY - 2, WIDTH, 4.5, (196, 186, 168))
    canvas.shade(0, QUAY + 2.5, WIDTH, 3, 0.66)
    wet = np.interp(np.arange(76), [0, 34, 52, 75], [1.0, 0.92, 0.52, 0.34]).astype(np.float32)
    weed = noise(height, WIDTH, (9, 16), seed=51, octaves=3)
    rows = np.asarray(wet[:, None] + 0.16 * weed * (1 - wet[:, None]), np.float32)
    canvas.shade(0, QUAY, WIDTH, height, rows)
    for ladder in (320, 760, 1040):
        for rung in range(9):
            canvas.box(ladder, QUAY + 3 + rung * 4, 9, 1, (60, 52, 46))
        for side in (0.0, 8.5):
            canvas.box(ladder + side, QUAY - 5, 1, height + 5, (72, 62, 54))
    for tyre in range(60, WIDTH, 110):
        canvas.disc(tyre, QUAY + 18, 8, (34, 34, 36))
        canvas.disc(tyre - 0.5, QUAY + 17.5, 3.6, (92, 84, 74))
    for bollard in range(28, WIDTH, 92):
        canvas.box(bollard, QUAY - 10, 6, 9, (48, 52, 54))
        canvas.ellipse(bollard + 3, QUAY - 10, 4.5, 2.2, (66, 70, 72))


def _street(canvas: Canvas) -> None:
    """Lamps, bunting between them and café umbrellas."""
    lamps = [-52, 88, 176, 333, 430, 569, 654, 781, 884, 993, 1092]
    flags: list[Colour] = [(196, 62, 52), (238, 226, 196), (58, 96, 138), (222, 172, 66)]
    for number, x in enumerate(lamps):
        canvas.box(x - 1, QUAY - 62, 2, 61, (38, 46, 46))
        canvas.box(x - 2, QUAY - 12, 4, 11, (38, 46, 46))
        canvas.polygon(
            [(x - 4, QUAY - 63), (x + 4, QUAY - 63), (x + 5.5, QUAY - 73), (x - 5.5, QUAY - 73)],
            (244, 226, 170),
        )
        canvas.polygon([(x - 7, QUAY - 73), (x + 7, QUAY - 73), (x, QUAY - 79)], (38, 46, 46))
        if number + 1 < len(lamps):
            gap = lamps[number + 1] - x
            count = round(gap / 8.5)
            share = np.linspace(0, 1, count + 1)
            rope = [
                (x + gap * float(s), QUAY - 61 + min(0.1 * gap, 10) * float(4 * s * (1 - s)))
                for s in share
            ]
            canvas.line(rope, (70, 66, 62), 0.5)
            for flag, ((x0, y0), (x1, y1)) in enumerate(pairwise(rope)):
                colour = flags[flag % len(flags)]
                canvas.polygon([(x0 + 1, y0), (x1 - 1, y1), ((x0 + x1) / 2, y0 + 8)], colour)
    for x, colour in ((461, flags[0]), (541, flags[1])):
        canvas.box(x - 0.5, QUAY - 22, 1, 21, (96, 80, 64))
        canvas.polygon([(x - 19, QUAY - 20), (x, QUAY - 29), (x + 19, QUAY - 20)], colour)
        canvas.polygon([(x + 2, QUAY - 20), (x, QUAY - 29), (x + 19, QUAY - 20)], (150, 90, 70))
        canvas.box(x - 8, QUAY - 9, 16, 1.5, (120, 96, 72))
        canvas.box(x - 0.5, QUAY - 9, 1, 8, (80, 66, 52))


def _sample(plane: Plane, across: Plane, down: Plane) -> Plane:
    u, v = np.broadcast_arrays(across, down)
    maps = (np.ascontiguousarray(u, np.float32), np.ascontiguousarray(v, np.float32))
    return np.asarray(
        cv2.remap(plane, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.float32
    )

"""Draw the `chart` clip: a moving test card. Frames come out; nothing is encoded here."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from canvas import SUPER, Canvas, Colour, Layer, Pixels, Plane, shift
from texture import to_pixels

WIDTH, HEIGHT = 1280, 720
PANEL = 300.0  # side of the three square panels
PANEL_TOP = 192.0
PAPER: Colour = (236, 234, 226)
INK: Colour = (24, 26, 30)
NIGHT: Colour = (34, 40, 50)
BARS: tuple[Colour, ...] = (  # 75 % bars
    (191, 191, 191),
    (191, 191, 0),
    (0, 191, 191),
    (0, 191, 0),
    (191, 0, 191),
    (191, 0, 0),
    (0, 0, 191),
)
WORDS = "Sphinx of black quartz, judge my vow.  The five boxing wizards jump quickly.  0123456789  "
ROWS: tuple[tuple[float, float, float, Colour, Colour], ...] = (
    # top, text size, pixels per frame, ink, paper
    (520, 9, 1.0, INK, PAPER),
    (538, 12, 2.0, PAPER, NIGHT),
    (560, 16, -1.0, INK, PAPER),
    (588, 22, 3.0, (240, 214, 96), (38, 62, 104)),
    (624, 32, -2.0, PAPER, (122, 40, 44)),
)


def frames(count: int, rate: int) -> Iterator[Pixels]:
    """Give `count` pictures of twice the finished size, (1440, 2560, 3)."""
    card = _card().layer()
    strips = [_strip(size, ink, paper) for _, size, _, ink, paper in ROWS]
    for number in range(count):
        picture = np.zeros((HEIGHT * SUPER, WIDTH * SUPER, 3), np.uint8)
        picture = card.over(picture, shift(0))
        _put(picture, 200, 132, _ramp(880, 36, number))
        _put(picture, 60, PANEL_TOP, _zone_plate(number))
        _put(picture, 490, PANEL_TOP, _star(number))
        _put(picture, 920, PANEL_TOP, _diagonals(number))
        for (top, size, step, _, paper), strip in zip(ROWS, strips, strict=True):
            area = np.full((round(size * 1.5) * SUPER, 1160 * SUPER, 3), paper, np.uint8)
            start = -400.0 if step < 0 else -20.0
            _put(picture, 60, top, strip.over(area, shift(start - step * number)))
        yield _clock(number, rate).over(picture, shift(0))


def _card() -> Canvas:
    """The still part: grid, border, bars, frames of the panels and captions."""
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.box(0, 0, WIDTH, HEIGHT, (92, 96, 102))
    for x in range(40, WIDTH, 40):
        canvas.box(x, 0, 1, HEIGHT, (150, 154, 158))
    for y in range(40, HEIGHT, 40):
        canvas.box(0, y, WIDTH, 1, (150, 154, 158))
    for number in range(32):  # a border of black and white blocks shows what is cut off
        colour = PAPER if number % 2 else INK
        canvas.box(number * 40, 0, 40, 16, colour)
        canvas.box(number * 40, HEIGHT - 16, 40, 16, colour)
    for number in range(18):
        colour = PAPER if number % 2 else INK
        canvas.box(0, number * 40, 16, 40, colour)
        canvas.box(WIDTH - 16, number * 40, 16, 40, colour)
    for number, colour in enumerate(BARS):
        canvas.box(200 + number * 880 / 7, 40, 880 / 7, 92, colour)
    for left in (60, 490, 920):
        canvas.box(left - 3, PANEL_TOP - 3, PANEL + 6, PANEL + 6, INK)
    for left in (60.0, 1100.0):
        canvas.box(left - 3, 37, 126, 134, INK)
        canvas.box(left, 40, 120, 128, NIGHT)
    _wedge(canvas, 375, PANEL_TOP)
    _wedge(canvas, 805, PANEL_TOP)
    canvas.box(57, 517, 1166, 158, INK)
    canvas.box(430, 680, 420, 22, INK)
    caption = "vsr test chart   1280 x 720   BT.709 limited   lines 1 to 4 px"
    canvas.text(caption, 640, 695, size=13, colour=PAPER, align=0.5)
    return canvas


def _wedge(canvas: Canvas, x: float, y: float) -> None:
    """Bars of 1, 1.5, 2, 3 and 4 pixels, upright and lying."""
    canvas.box(x, y, 100, PANEL, PAPER)
    for number, thick in enumerate((1.0, 1.5, 2.0, 3.0, 4.0)):
        top = y + 6 + number * 59
        canvas.text(f"{thick:g}", x + 95, top + 30, size=12, colour=INK, align=1.0)
        for bar in range(int(24 / thick / 2)):
            canvas.box(x + 6 + bar * 2 * thick, top, thick, 50, INK)
            canvas.box(x + 38, top + bar * 2 * thick, 36, thick, INK)
        canvas.box(x + 38, top + 30, 12, 20, (190, 40, 36))
        canvas.box(x + 50, top + 30, 12, 20, (40, 110, 60))
        canvas.box(x + 62, top + 30, 12, 20, (36, 60, 170))


def _grid(width: float, height: float) -> tuple[Plane, Plane]:
    """Finished pixels right of and below the centre."""
    x = (np.arange(round(width * SUPER), dtype=np.float32) + 0.5) / SUPER - width / 2
    y = (np.arange(round(height * SUPER), dtype=np.float32) + 0.5) / SUPER - height / 2
    across, down = np.meshgrid(x, y)
    return np.asarray(across, np.float32), np.asarray(down, np.float32)


def _grey(value: Plane) -> Pixels:
    return to_pixels(np.asarray(np.repeat(value[..., None] * 255, 3, axis=2), np.float32))


def _zone_plate(number: int) -> Pixels:
    """Rings that move out; at the rim they are 3 finished pixels apart."""
    x, y = _grid(PANEL, PANEL)
    radius = np.hypot(x, y)
    rings = 0.5 + 0.46 * np.cos(np.pi * radius**2 / 450 - 2 * np.pi * number / 25)
    inside = np.clip(147 - radius, 0, 1)
    return _grey(np.asarray(0.5 + (rings - 0.5) * inside, np.float32))


def _star(number: int) -> Pixels:
    """A Siemens star of 36 pairs that turns by one pair per second."""
    x, y = _grid(PANEL, PANEL)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    turned = 36 * (angle - 2 * np.pi / 36 * number / 25)
    edge = np.sin(turned) * radius / 36  # about the distance from an edge in pixels
    spokes = np.clip(0.5 + edge * SUPER, 0.04, 0.96)
    inside = np.clip(147 - radius, 0, 1)
    return _grey(np.asarray(0.5 + (spokes - 0.5) * inside, np.float32))


def _diagonals(number: int) -> Pixels:
    """Four fields of thin slanting lines, 1 to 2 pixels thick, that drift across."""
    x, y = _grid(PANEL, PANEL)
    picture = np.empty((*x.shape, 3), np.float32)
    picture[:] = PAPER
    fields: list[tuple[npt.NDArray[np.bool_], float, float, float, Colour]] = [
        ((x < 0) & (y < 0), 45.0, 8.0, 1.0, INK),
        ((x >= 0) & (y < 0), 12.0, 10.0, 1.0, INK),
        ((x < 0) & (y >= 0), 78.0, 12.0, 2.0, (176, 44, 40)),
        ((x >= 0) & (y >= 0), -30.0, 14.0, 2.0, (34, 70, 150)),
    ]
    for where, degrees, pitch, thick, colour in fields:
        angle = np.deg2rad(degrees)
        along = x * np.sin(angle) + y * np.cos(angle) - 0.5 * number
        off = np.abs((along % pitch) - pitch / 2)
        ink = (np.clip((thick / 2 - off) * SUPER + 0.5, 0, 1) * where)[..., None]
        picture += ink * (np.asarray(colour, np.float32) - picture)
    return to_pixels(picture)


def _ramp(width: float, height: float, number: int) -> Pixels:
    """A colour ramp without edges that slides along."""
    x, _ = _grid(width, height)
    phase = 2 * np.pi * (x[..., None] / width - number / 100)
    wave = 128 + 92 * np.cos(phase + np.array([0.0, 2.1, 4.2], np.float32))
    return to_pixels(np.asarray(wave, np.float32))


def _strip(size: float, ink: Colour, paper: Colour) -> Layer:
    canvas = Canvas(2000, round(size * 1.5))
    canvas.box(0, 0, 2000, round(size * 1.5), paper)
    repeats = int(3400 / (len(WORDS) * size * 0.5)) + 1
    canvas.text(WORDS * repeats, 8, size * 1.1, size=size, colour=ink, weight=500)
    return canvas.layer()


def _clock(number: int, rate: int) -> Layer:
    """A dial whose hand turns once a second and whose rim lights up with the beep; a counter."""
    canvas = Canvas(WIDTH, 180)
    flash = number % rate < 2
    canvas.disc(120, 104, 52, (240, 200, 80) if flash else (112, 118, 128))
    canvas.disc(120, 104, 47, NIGHT)
    turn = 2 * np.pi * (number % rate) / rate
    for tick in range(25):
        angle = 2 * np.pi * tick / 25
        inner = 36 if tick % 5 == 0 else 41
        ends = [
            (120 + r * float(np.sin(angle)), 104 - r * float(np.cos(angle))) for r in (inner, 45)
        ]
        canvas.line(ends, PAPER, 1)
    tip = (120 + 40 * float(np.sin(turn)), 104 - 40 * float(np.cos(turn)))
    canvas.line([(120, 104), tip], (226, 84, 62), 2)
    canvas.disc(120, 104, 4, PAPER)
    canvas.text("FRAME", 1160, 66, size=14, colour=PAPER, align=0.5)
    canvas.text(f"{number:03}", 1160, 112, size=44, colour=PAPER, weight=700, align=0.5)
    words = f"{number // rate:02} s {number % rate:02} / {rate}"
    canvas.text(words, 1160, 146, size=16, colour=PAPER, align=0.5)
    return canvas.layer()


def _put(picture: Pixels, x: float, y: float, part: Pixels) -> None:
    left, top = round(x * SUPER), round(y * SUPER)
    picture[top : top + part.shape[0], left : left + part.shape[1]] = part

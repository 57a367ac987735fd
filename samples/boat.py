"""Draw the fishing boat and the foreground: board, wall, railing. Still layers, no motion."""

from __future__ import annotations

import numpy as np
from canvas import Canvas, Colour, Layer
from texture import masonry, noise, planks

BOAT_WIDTH, BOAT_HEIGHT, KEEL = 470.0, 400.0, 372.0  # KEEL: the waterline in the boat's sheet
IRON: Colour = (186, 190, 180)


def boat() -> Layer:
    """The fishing boat, seen from its side."""
    canvas = Canvas(BOAT_WIDTH, BOAT_HEIGHT)
    _rigging(canvas)
    _cabin(canvas)
    _hull(canvas)
    return canvas.layer()


def _curve(start: float, middle: float, end: float, count: int = 40) -> list[float]:
    t = np.linspace(0, 1, count)
    return [float(v) for v in start * (1 - t) ** 2 + 2 * middle * t * (1 - t) + end * t**2]


def _hull(canvas: Canvas) -> None:
    across = [float(x) for x in np.linspace(30, 440, 40)]
    rail = _curve(KEEL - 62, KEEL - 34, KEEL - 92)
    foot_x = [float(x) for x in np.linspace(46, 404, 40)]
    sheer = list(zip(across, rail, strict=True))
    bottom = [(x, KEEL + 8.0) for x in foot_x]
    outline = [*sheer, *reversed(bottom)]
    top = min(rail)
    boards = planks(KEEL + 10 - top, 412, 7, (34, 66, 96), seed=61)
    canvas.textured(outline, boards)
    for share, colour, width in ((0.10, (232, 226, 210), 5.0), (0.88, (154, 54, 44), 14.0)):
        path = [
            (x0 + (x1 - x0) * share, y0 + (KEEL + 8 - y0) * share)
            for (x0, y0), (x1, _) in zip(sheer, bottom, strict=True)
        ]
        canvas.line(path, colour, width)
    canvas.line(sheer, (120, 84, 54), 4)
    canvas.line([(x, y - 1.6) for x, y in sheer], (196, 154, 104), 1)
    rough = noise(100, 412, (40, 60), seed=62, octaves=4)
    falling = np.linspace(1.10, 0.66, rough.shape[0], dtype=np.float32)[:, None]
    canvas.shade(28, top, 414, KEEL + 8 - top, falling + 0.06 * rough)
    name_y = KEEL - 40
    canvas.text("MARIGOLD", 312, name_y, size=17, colour=(244, 238, 222), weight=700)
    canvas.text("VSR 42", 66, name_y + 8, size=14, colour=(244, 238, 222), weight=600)
    for x in (150, 215, 280):
        canvas.line([(x, KEEL - 50), (x, KEEL - 34)], (214, 204, 184), 0.5)
        canvas.ellipse(x, KEEL - 25, 5, 10, (226, 214, 196))
        canvas.ellipse(x + 1.5, KEEL - 25, 3, 9, (176, 160, 142))
    canvas.disc(404, KEEL - 62, 3, (24, 30, 34))
    # a bulwark rail with thin stanchions
    for x, y in sheer[2:38:2]:
        canvas.box(x, y - 17, 1, 16, (222, 222, 214))
    for lift in (17.0, 9.0):
        canvas.line([(x, y - lift) for x, y in sheer[2:37]], (232, 232, 226), 0.5)


def _cabin(canvas: Canvas) -> None:
    deck = KEEL - 48
    canvas.box(116, deck - 62, 104, 64, (234, 228, 212))
    canvas.shade(
        116, deck - 62, 104, 64, np.linspace(1.05, 0.86, 16, dtype=np.float32)[None, :].repeat(2, 0)
    )
    for row in range(9):
        canvas.box(116, deck - 56 + row * 6, 104, 0.5, (196, 188, 170))
    canvas.box(108, deck - 68, 120, 7, (150, 60, 48))
    canvas.box(108, deck - 68, 120, 1, (206, 112, 92))
    for x in (123, 148, 173):
        canvas.box(x - 1.5, deck - 51.5, 22, 19, (120, 86, 58))
        canvas.box(x, deck - 50, 19, 16, (40, 56, 66))
        canvas.polygon(
            [(x + 3, deck - 50), (x + 9, deck - 50), (x + 3, deck - 37)], (132, 158, 168)
        )
        canvas.box(x + 9, deck - 50, 1, 16, (120, 86, 58))
    canvas.box(200, deck - 52, 15, 52, (116, 78, 52))
    canvas.box(202, deck - 48, 11, 14, (48, 62, 70))
    canvas.disc(160, deck - 16, 11, (206, 76, 56))
    for angle in (0.4, 1.97, 3.54, 5.11):
        part = np.linspace(angle, angle + 0.7, 6)
        canvas.line(
            [(160 + 8.4 * float(np.cos(a)), deck - 16 + 8.4 * float(np.sin(a))) for a in part],
            (240, 234, 222),
            5,
        )
    canvas.disc(160, deck - 16, 5.6, (224, 216, 200))
    for x, y, colour in (
        (250, 30, (176, 138, 78)),
        (276, 26, (98, 128, 122)),
        (298, 30, (190, 120, 70)),
    ):
        canvas.box(x, deck - y + 8, 22, y, colour)
        for slat in range(6):
            canvas.box(x, deck - y + 8 + slat * 5, 22, 1, (70, 58, 44))
    canvas.text("COD", 252, deck - 4, size=7, colour=(60, 46, 34), weight=700)


def _rigging(canvas: Canvas) -> None:
    deck, mast = KEEL - 46, 244.0
    canvas.box(mast - 2.5, 30, 5, deck - 30, (150, 108, 70))
    canvas.box(mast - 2.5, 30, 1.5, deck - 30, (196, 152, 104))
    canvas.line([(mast, deck - 60), (382, deck - 128)], (150, 108, 70), 3)
    for end in ((34, KEEL - 66), (436, KEEL - 94), (120, deck), (330, deck - 2), (90, deck - 4)):
        canvas.line([(mast, 36), end], (66, 58, 50), 0.5)
    for foot in (196.0, 292.0):
        canvas.line([(mast, 92), (foot, deck)], (66, 58, 50), 0.5)
    for rung in range(12):  # ratlines between the shrouds
        share = 0.18 + rung * 0.068
        y = 92 + (deck - 92) * share
        canvas.line([(mast - 48 * share, y), (mast + 48 * share, y)], (84, 74, 62), 0.5)
    canvas.line([(mast, 50), (382, deck - 128)], (66, 58, 50), 0.5)
    _net(canvas, (382, deck - 128), (352, deck + 4), (432, deck - 8))
    canvas.polygon(
        [(mast + 2, 34), (mast + 36, 39), (mast + 33, 46), (mast + 36, 54), (mast + 2, 55)],
        (196, 62, 50),
    )
    canvas.box(mast + 2, 43, 32, 4, (240, 232, 216))


def _net(canvas: Canvas, peak: tuple[float, float], *feet: tuple[float, float]) -> None:
    """A fishing net that hangs from the boom: a mesh of thin crossing lines."""
    (left, left_y), (right, right_y) = feet
    count = 18
    for step in range(count + 1):
        share = step / count
        x, y = left + (right - left) * share, left_y + (right_y - left_y) * share
        canvas.line([peak, (x, y)], (104, 124, 104), 0.5)
        canvas.line(
            [
                (peak[0] + (left - peak[0]) * share, peak[1] + (left_y - peak[1]) * share),
                (
                    (peak[0] + (left + right) / 2 * share - peak[0] * share),
                    peak[1] + (left_y - peak[1]) * share + 5 * share,
                ),
                (peak[0] + (right - peak[0]) * share, peak[1] + (right_y - peak[1]) * share),
            ],
            (104, 124, 104),
            0.5,
        )


def foreground(width: float) -> Layer:
    """The near quay: an iron railing, a brick pier and the harbour master's board."""
    canvas = Canvas(width, 720)
    _railing(canvas, width)
    _pier(canvas, -6)
    _board(canvas, 150, 452)
    return canvas.layer()


def _railing(canvas: Canvas, width: float) -> None:
    for x in np.arange(84, width, 8):
        canvas.box(float(x), 636, 2, 84, IRON)
        canvas.box(float(x), 636, 0.5, 84, (238, 238, 230))
    for y, thick in ((626.0, 7.0), (648.0, 3.0), (704.0, 4.0)):
        canvas.box(70, y, width, thick, IRON)
        canvas.box(70, y, width, 1, (248, 248, 242))
    for x in np.arange(84, width, 8):
        canvas.disc(float(x) + 5, 642, 3, IRON)
    for x in np.arange(230, width, 184):
        canvas.box(float(x) - 5, 616, 11, 104, IRON)
        canvas.box(float(x) - 4, 616, 1.5, 104, (250, 250, 244))
        canvas.disc(float(x) + 0.5, 610, 8, IRON)
        canvas.disc(float(x) - 2, 607, 2.5, (255, 255, 250))


def _pier(canvas: Canvas, x: float) -> None:
    brick = masonry(260, 92, (11, 31), (158, 86, 66), seed=81, joint=2.0, ragged=0.5)
    canvas.textured([(x, 466), (x + 92, 466), (x + 92, 726), (x, 726)], brick)
    light = np.linspace(1.12, 0.72, 32, dtype=np.float32)[None, :].repeat(2, 0)
    canvas.shade(x, 466, 92, 254, light)
    cap = masonry(20, 104, (30, 160), (190, 180, 160), seed=82, joint=0.5)
    canvas.textured([(x, 448), (x + 98, 448), (x + 98, 466), (x, 466)], cap)
    canvas.shade(x, 466, 92, 6, 0.6)


def _board(canvas: Canvas, x: float, y: float) -> None:
    for post in (x + 16, x + 174):
        canvas.box(post, y - 6, 8, 280, (92, 70, 52))
        canvas.box(post, y - 6, 2, 280, (140, 110, 82))
    canvas.box(x - 4, y - 4, 208, 142, (84, 62, 46))
    wood = planks(134, 200, 33, (30, 66, 84), seed=83)
    canvas.textured([(x, y), (x + 200, y), (x + 200, y + 134), (x, y + 134)], wood)
    ink: Colour = (246, 238, 216)
    canvas.text("HARBOUR MASTER", x + 100, y + 23, size=18, colour=ink, weight=700, align=0.5)
    canvas.box(x + 10, y + 30, 180, 1, (214, 178, 92))
    lines = (
        ("High water", "04:12", "5.1 m"),
        ("Low water", "10:31", "1.2 m"),
        ("High water", "16:47", "5.3 m"),
        ("Low water", "22:58", "1.0 m"),
    )
    for row, (name, clock, level) in enumerate(lines):
        line_y = y + 47 + row * 15
        canvas.text(name, x + 12, line_y, size=12, colour=ink)
        canvas.text(clock, x + 134, line_y, size=12, colour=ink, align=1.0)
        canvas.text(level, x + 188, line_y, size=12, colour=ink, align=1.0)
    canvas.text("Depth at the steps 3.4 m. Speed 3 knots.", x + 12, y + 112, size=9, colour=ink)
    canvas.text("No swimming between the moorings.", x + 12, y + 125, size=8, colour=ink)

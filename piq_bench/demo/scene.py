"""Paints where a film was shot: a few places per film, each wider than the image, so that tracks show different parts.

A scene is laid out in the camera's units (128 wide, 256 high) from x = -160 to x = 290; its floor begins at `HORIZON`
and is seen in perspective. Films differ in colour, light, contrast and grain.
"""

from dataclasses import dataclass

import numpy as np

from piq_bench.demo.canvas import Canvas, Cloth, Paint, soft, wave
from piq_bench.demo.draw import Ellipse, Place, Polygon, Stroke, mix
from piq_bench.demo.people import Colour, shaded
from piq_bench.demo.props import FABRICS, LEAF, WHITE, WOODS, rectangle, rounded
from piq_bench.demo.random import Draws

HORIZON = 186.0
LEFT, RIGHT = -160, 290
SCENES_PER_FILM = 3
KINDS = {"room": 5, "office": 3, "kitchen": 2, "street": 4, "park": 4, "beach": 2, "night": 2, "stage": 2}
OUTDOORS = ("street", "park", "beach", "night")

WALLS: tuple[Colour, ...] = (
    (0.86, 0.81, 0.70),
    (0.70, 0.78, 0.80),
    (0.77, 0.69, 0.70),
    (0.62, 0.70, 0.60),
    (0.82, 0.82, 0.84),
    (0.56, 0.60, 0.70),
    (0.83, 0.73, 0.56),
    (0.52, 0.36, 0.34),
)
BRICKS: tuple[Colour, ...] = ((0.62, 0.38, 0.32), (0.66, 0.60, 0.52), (0.50, 0.50, 0.54), (0.74, 0.66, 0.54))


@dataclass(frozen=True, slots=True)
class Tone:
    """How a film looks: the colour of its light, brightness, contrast, grain and softness."""

    gain: Colour
    brightness: float
    contrast: float
    grain: float
    softness: int
    vignette: float


def tone_of(seed: int, film: int) -> Tone:
    """The tone of one film."""
    draws = Draws("tone", seed, film)
    warm = draws.between(-0.09, 0.09)
    return Tone(
        gain=(1.0 + warm, 1.0 + draws.between(-0.03, 0.03), 1.0 - warm),
        brightness=draws.between(-0.06, 0.05),
        contrast=draws.between(0.82, 1.15),
        grain=draws.between(0.01, 0.05),
        softness=draws.weighted({0: 5, 1: 3}),
        vignette=draws.between(0.0, 0.35),
    )


def scene_kind(seed: int, film: int, scene: int) -> str:
    """What kind of place a film's scene is."""
    return Draws("scene", seed, film, scene).weighted(KINDS)


def paint_scene(canvas: Canvas, seed: int, film: int, scene: int, view: Place, horizon: float) -> None:
    """Paints wall or sky, and floor; `view` places the scene's units on the canvas, at `horizon` the floor begins."""
    draws = Draws("scene", seed, film, scene)
    kind = draws.weighted(KINDS)
    painters = {
        "room": paint_room,
        "office": paint_office,
        "kitchen": paint_kitchen,
        "street": paint_street,
        "park": paint_park,
        "beach": paint_beach,
        "night": paint_night,
        "stage": paint_stage,
    }
    painters[kind](canvas, draws, view.inside(0.0, horizon - HORIZON))


def paint_room(canvas: Canvas, draws: Draws, view: Place) -> None:
    """A living room: wallpaper, window, pictures, a shelf and a lamp, on boards."""
    wall, wood = draws.pick(WALLS), draws.pick(WOODS)
    kind = draws.weighted({"": 3, "pinstripes": 2, "dots": 1})
    cloth = Cloth(kind, shaded(wall, 0.88), 14.0, view) if kind else None
    canvas.fill(rectangle(view, -400, -400, 500, HORIZON), Paint(wall, cloth=cloth))
    boards(canvas, view, mix(wood, WHITE, 0.2), shaded(wood, 0.75), 26.0)
    canvas.fill(rectangle(view, -400, HORIZON - 9, 500, HORIZON), Paint(mix(wall, WHITE, 0.6), bulge=3, outline=0.2))
    x = LEFT + draws.between(0.0, 40.0)
    while x < RIGHT:
        item = draws.weighted({"window": 4, "picture": 4, "shelf": 3, "lamp": 2, "door": 2, "plant": 2})
        if item == "window":
            paint_window(canvas, view, x, draws.between(24.0, 44.0), draws.pick(FABRICS))
        elif item == "picture":
            y = draws.between(24.0, 60.0)
            canvas.fill(rectangle(view, x, y, x + 42, y + 34), Paint(wood, bulge=3, outline=0.3))
            canvas.fill(rectangle(view, x + 4, y + 4, x + 38, y + 30), Paint(draws.pick(FABRICS)))
            canvas.fill(Ellipse(view.at(x + 21, y + 20), 9, 7), Paint(draws.pick(WALLS)))
        elif item == "shelf":
            paint_shelf(canvas, draws, view, x, wood)
        elif item == "lamp":
            canvas.fill(Stroke([view.at(x + 12, HORIZON + 6), view.at(x + 12, 70)], [1.6, 1.6]), Paint((0.2, 0.2, 0.2)))
            shade = view.points([(x + 4, 46), (x + 20, 46), (x + 28, 74), (x - 4, 74)])
            canvas.fill(Polygon(shade), Paint((0.97, 0.88, 0.62), bulge=6, outline=0.2))
            canvas.fill(Ellipse(view.at(x + 12, 66), 44, 50), Paint((1.0, 0.95, 0.75), alpha=0.14))
        elif item == "plant":
            paint_plant(canvas, draws, view, x + 14)
        else:
            canvas.fill(rectangle(view, x, 40, x + 52, HORIZON), Paint(shaded(wood, 0.9), bulge=4, outline=0.3))
            for top, bottom in ((52, 104), (116, 170)):
                canvas.fill(
                    rectangle(view, x + 8, top, x + 44, bottom), Paint(shaded(wood, 1.1), bulge=3, outline=0.35)
                )
            canvas.fill(Ellipse(view.at(x + 46, 112), 2.5, 2.5), Paint((0.85, 0.75, 0.4)))
        x += draws.between(52.0, 90.0)


def paint_office(canvas: Canvas, draws: Draws, view: Place) -> None:
    """An office: blinds, a white board, cabinets, carpet."""
    wall = mix(draws.pick(WALLS), (0.9, 0.9, 0.9), 0.6)
    canvas.fill(rectangle(view, -400, -400, 500, HORIZON), Paint(wall))
    carpet = draws.pick(((0.36, 0.40, 0.46), (0.46, 0.40, 0.36), (0.34, 0.42, 0.38)))
    boards(canvas, view, carpet, shaded(carpet, 0.86), 60.0, across=True)
    x = LEFT + draws.between(0.0, 40.0)
    while x < RIGHT:
        item = draws.weighted({"blinds": 4, "board": 2, "cabinet": 3, "clock": 1})
        if item == "blinds":
            canvas.fill(rectangle(view, x, 16, x + 74, 118), Paint((0.80, 0.90, 0.97), outline=0.4))
            cloth = Cloth("stripes", (0.70, 0.72, 0.74), 9.0, view)
            canvas.fill(
                rectangle(view, x, 16, x + 74, draws.between(60.0, 118.0)), Paint((0.93, 0.94, 0.95), cloth=cloth)
            )
        elif item == "board":
            canvas.fill(rectangle(view, x, 30, x + 72, 96), Paint(WHITE, bulge=2, outline=0.5))
            for i in range(5):
                y = 42 + 10 * i
                ink = draws.pick(FABRICS)
                canvas.line([view.at(x + 8, y), view.at(x + draws.between(30.0, 64.0), y)], 1.6, ink)
        elif item == "cabinet":
            grey = draws.pick(((0.55, 0.57, 0.60), (0.42, 0.45, 0.48), (0.62, 0.55, 0.45)))
            canvas.fill(rectangle(view, x, 92, x + 48, HORIZON + 4), Paint(grey, bulge=4, outline=0.4))
            for y in (94, 126, 158):
                canvas.fill(rectangle(view, x + 3, y, x + 45, y + 28), Paint(shaded(grey, 1.12), bulge=2, outline=0.4))
                canvas.fill(rectangle(view, x + 18, y + 10, x + 30, y + 13), Paint((0.25, 0.25, 0.27)))
        else:
            canvas.fill(Ellipse(view.at(x + 16, 44), 14, 14), Paint(WHITE, outline=0.7))
            canvas.line([view.at(x + 16, 44), view.at(x + 16, 34)], 1.6, (0.1, 0.1, 0.1))
            canvas.line([view.at(x + 16, 44), view.at(x + 23, 47)], 1.6, (0.1, 0.1, 0.1))
        x += draws.between(70.0, 104.0)


def paint_kitchen(canvas: Canvas, draws: Draws, view: Place) -> None:
    """A kitchen: tiles, cupboards above and below."""
    wall, wood = mix(draws.pick(WALLS), WHITE, 0.3), draws.pick(FABRICS)
    canvas.fill(
        rectangle(view, -400, -400, 500, HORIZON), Paint(wall, cloth=Cloth("checks", shaded(wall, 0.9), 16.0, view))
    )
    boards(canvas, view, (0.80, 0.77, 0.72), (0.52, 0.48, 0.46), 30.0, across=True)
    front = mix(wood, WHITE, 0.35)
    for x in range(LEFT, RIGHT, 46):
        canvas.fill(rectangle(view, x, -20, x + 44, 46), Paint(front, bulge=3, outline=0.4))
        canvas.fill(rectangle(view, x, 118, x + 44, HORIZON), Paint(front, bulge=3, outline=0.4))
        canvas.fill(rectangle(view, x + 34, 128, x + 37, 146), Paint((0.3, 0.3, 0.32)))
        if draws.chance(0.4):
            pot = draws.pick(FABRICS)
            canvas.fill(rounded(view, x + 10, 92, x + 32, 112, 4), Paint(pot, bulge=6, outline=0.3))
    canvas.fill(rectangle(view, -400, 110, 500, 118), Paint((0.35, 0.33, 0.34), bulge=3, outline=0.3))


def paint_street(canvas: Canvas, draws: Draws, view: Place) -> None:
    """Houses with windows under a sky, and pavement."""
    sky(canvas, view, (0.55, 0.72, 0.92), (0.88, 0.92, 0.96))
    houses(canvas, draws, view, lit=False)
    stone = draws.pick(((0.62, 0.60, 0.58), (0.55, 0.54, 0.56), (0.66, 0.60, 0.52)))
    boards(canvas, view, stone, shaded(stone, 0.82), 40.0, across=True)
    for _ in range(2):
        x = draws.between(LEFT, RIGHT)
        canvas.fill(Stroke([view.at(x, HORIZON + 8), view.at(x, 20)], [2.2, 1.6]), Paint((0.18, 0.19, 0.20), bulge=2))
        canvas.fill(Ellipse(view.at(x, 18), 6, 8), Paint((0.97, 0.95, 0.85), outline=0.3))
    x = draws.between(LEFT, RIGHT - 90)
    car = draws.pick(FABRICS)
    canvas.fill(rounded(view, x + 16, 146, x + 74, 172, 8), Paint(shaded(car, 0.8), bulge=6, outline=0.4))
    canvas.fill(rounded(view, x + 22, 150, x + 68, 166, 4), Paint((0.70, 0.82, 0.90)))
    canvas.fill(rounded(view, x, 164, x + 92, HORIZON + 2, 6), Paint(car, bulge=7, outline=0.4))
    for wheel in (18, 74):
        canvas.fill(Ellipse(view.at(x + wheel, HORIZON + 1), 9, 9), Paint((0.10, 0.10, 0.11), bulge=3))


def paint_park(canvas: Canvas, draws: Draws, view: Place) -> None:
    """Trees, hills and grass."""
    sky(canvas, view, (0.45, 0.68, 0.92), (0.90, 0.95, 0.97))
    green = mix(LEAF, draws.pick(((0.45, 0.62, 0.25), (0.62, 0.58, 0.25), (0.25, 0.50, 0.30))), 0.6)
    for _ in range(4):
        hill = Ellipse(
            view.at(draws.between(LEFT, RIGHT), HORIZON + 10), draws.between(90.0, 150.0), draws.between(40.0, 80.0)
        )
        canvas.fill(hill, Paint(mix(green, (0.6, 0.75, 0.85), 0.45), bulge=30, relief=0.3))
    boards(canvas, view, green, shaded(green, 0.9), 70.0)
    for _ in range(7):
        x, high = draws.between(LEFT, RIGHT), draws.between(70.0, 130.0)
        base = HORIZON + draws.between(0.0, 8.0)
        canvas.fill(Stroke([view.at(x, base), view.at(x, base - high)], [5, 3]), Paint((0.35, 0.24, 0.16), bulge=4))
        leaf = shaded(mix(LEAF, green, draws.unit()), draws.between(0.7, 1.15))
        for dx, dy, size in ((-16, 0, 22), (16, 2, 22), (0, -20, 26), (0, 4, 22)):
            canvas.fill(
                Ellipse(view.at(x + dx, base - high + dy), size, size * 0.85), Paint(leaf, bulge=18, relief=0.45)
            )


def paint_beach(canvas: Canvas, draws: Draws, view: Place) -> None:
    """Sky, sea and sand."""
    sky(canvas, view, (0.35, 0.62, 0.92), (0.95, 0.92, 0.85))
    sea = draws.pick(((0.16, 0.45, 0.62), (0.20, 0.55, 0.60), (0.28, 0.42, 0.58)))
    canvas.fill(
        rectangle(view, -400, 120, 500, HORIZON), Paint(sea, cloth=Cloth("stripes", shaded(sea, 1.15), 11.0, view))
    )
    sand = (0.87, 0.77, 0.58)
    boards(canvas, view, sand, shaded(sand, 0.95), 90.0)
    canvas.fill(rectangle(view, -400, HORIZON - 3, 500, HORIZON + 3), Paint(WHITE, alpha=0.8))
    for _ in range(3):
        x = draws.between(LEFT, RIGHT)
        canvas.fill(Polygon(view.points([(x, 118), (x, 78), (x + 26, 112)])), Paint(WHITE, outline=0.2))
        canvas.fill(
            Polygon(view.points([(x - 14, 116), (x + 26, 116), (x + 16, 127), (x - 6, 127)])),
            Paint(draws.pick(FABRICS)),
        )


def paint_night(canvas: Canvas, draws: Draws, view: Place) -> None:
    """A street at night, with lit windows and wet ground."""
    sky(canvas, view, (0.05, 0.06, 0.14), (0.16, 0.15, 0.26))
    houses(canvas, draws, view, lit=True)
    boards(canvas, view, (0.20, 0.20, 0.26), (0.13, 0.13, 0.18), 40.0, across=True)
    for _ in range(4):
        x = draws.between(LEFT, RIGHT)
        glow = draws.pick(((1.0, 0.80, 0.45), (0.95, 0.45, 0.55), (0.45, 0.80, 0.95)))
        canvas.fill(Ellipse(view.at(x, 40), 36, 40), Paint(glow, alpha=0.20))
        canvas.fill(Ellipse(view.at(x, 40), 7, 7), Paint(mix(glow, WHITE, 0.6)))
        canvas.fill(Ellipse(view.at(x, HORIZON + 30), 14, 34), Paint(glow, alpha=0.16))


def paint_stage(canvas: Canvas, draws: Draws, view: Place) -> None:
    """A curtain and boards."""
    red = draws.pick(((0.50, 0.12, 0.16), (0.16, 0.22, 0.42), (0.16, 0.34, 0.28), (0.34, 0.20, 0.40)))
    canvas.fill(
        rectangle(view, -400, -400, 500, HORIZON), Paint(red, cloth=Cloth("pinstripes", shaded(red, 0.6), 20.0, view))
    )
    boards(canvas, view, (0.50, 0.36, 0.24), (0.36, 0.25, 0.17), 22.0)
    canvas.fill(Ellipse(view.at(64, 60), 90, 130), Paint((1.0, 0.95, 0.85), alpha=0.16))


def paint_window(canvas: Canvas, view: Place, x: float, y: float, curtain: Colour) -> None:
    """A window with panes and curtains."""
    canvas.fill(rectangle(view, x, y, x + 64, y + 84), Paint(WHITE, bulge=3, outline=0.3))
    for left in (x + 5, x + 34):
        for top in (y + 5, y + 44):
            canvas.fill(rectangle(view, left, top, left + 25, top + 35), Paint((0.66, 0.82, 0.94), outline=0.15))
            canvas.fill(
                Polygon(view.points([(left + 3, top + 20), (left + 16, top + 2), (left + 22, top + 2)])),
                Paint(WHITE, alpha=0.4),
            )
    for side, left in ((-1, x - 10), (1, x + 54)):
        cloth = Cloth("pinstripes", shaded(curtain, 0.75), 7.0, view)
        canvas.fill(
            rectangle(view, left, y - 8, left + 20 + 2 * side, y + 104), Paint(curtain, outline=0.25, cloth=cloth)
        )


def paint_shelf(canvas: Canvas, draws: Draws, view: Place, x: float, wood: Colour) -> None:
    """Shelves full of books."""
    canvas.fill(rectangle(view, x, 44, x + 60, HORIZON + 3), Paint(shaded(wood, 0.6), outline=0.4))
    for y in (46, 82, 118, 152):
        left = x + 3.0
        while left < x + 52:
            width, high = draws.between(3.5, 8.0), draws.between(18.0, 27.0)
            canvas.fill(
                rectangle(view, left, y + 30 - high, left + width, y + 30), Paint(draws.pick(FABRICS), outline=0.45)
            )
            left += width + (6.0 if draws.chance(0.12) else 0.3)
        canvas.fill(rectangle(view, x, y + 30, x + 60, y + 34), Paint(wood, outline=0.2))


def paint_plant(canvas: Canvas, draws: Draws, view: Place, x: float) -> None:
    """A plant in a pot on the floor."""
    for _ in range(8):
        tip = (x + draws.between(-26.0, 26.0), draws.between(96.0, 140.0))
        middle = (0.5 * (x + tip[0]), tip[1] + 8.0)
        leaf = view.points([(x, 168.0), middle, tip])
        canvas.fill(Stroke(leaf, [1.5, 5.0, 0.8]), Paint(shaded(LEAF, draws.between(0.7, 1.2)), bulge=4, outline=0.3))
    pot = view.points([(x - 13, 164), (x + 13, 164), (x + 9, HORIZON + 5), (x - 9, HORIZON + 5)])
    canvas.fill(Polygon(pot), Paint((0.70, 0.40, 0.28), bulge=6, outline=0.3))


def houses(canvas: Canvas, draws: Draws, view: Place, *, lit: bool) -> None:
    """A row of houses with windows."""
    x = float(LEFT - 40)
    while x < RIGHT:
        width, top = draws.between(60.0, 110.0), draws.between(-40.0, 70.0)
        brick = shaded(draws.pick(BRICKS), 0.22 if lit else 1.0)
        canvas.fill(rectangle(view, x, top, x + width, HORIZON), Paint(brick, outline=0.2))
        columns = int(width / 24)
        for row in range(int((HORIZON - 40 - top) / 34)):
            for column in range(columns):
                left, high = x + 8 + column * (width - 8) / columns, top + 12 + row * 34
                glass = (
                    (1.0, 0.85, 0.5) if lit and draws.chance(0.45) else shaded((0.45, 0.58, 0.70), 0.3 if lit else 1.0)
                )
                canvas.fill(rectangle(view, left, high, left + 13, high + 20), Paint(glass, outline=0.3))
        door = x + draws.between(10.0, width - 34.0)
        canvas.fill(rectangle(view, door, HORIZON - 46, door + 24, HORIZON), Paint(shaded(brick, 0.5), outline=0.3))
        x += width


def sky(canvas: Canvas, view: Place, high: Colour, low: Colour) -> None:
    """A sky that grows paler towards the horizon."""
    _, v = view.coordinates(canvas.x, canvas.y)
    share = np.minimum(np.maximum(v / HORIZON, 0.0), 1.0)
    canvas.blend([a + (b - a) * share for a, b in zip(high, low, strict=True)], 1.0)


def boards(canvas: Canvas, view: Place, colour: Colour, line: Colour, size: float, *, across: bool = False) -> None:
    """A floor in perspective, with boards that run away from the viewer, and joints across if it is tiled."""
    u, v = view.coordinates(canvas.x, canvas.y)
    below = v - HORIZON
    depth = 60.0 / np.maximum(below + 22.0, 4.0)
    near = np.minimum(np.maximum(1.05 - 0.30 * depth / 2.7, 0.0), 1.2)
    seams = soft(wave((u - 64.0) * depth / size) - 0.93, 26.0)
    if across:
        seams = np.maximum(seams, soft(wave(depth * 4.0) - 0.90, 18.0))
    cover = np.minimum(np.maximum(below * view.scale + 0.5, 0.0), 1.0)
    canvas.blend([(a + (b - a) * seams) * near for a, b in zip(colour, line, strict=True)], cover)

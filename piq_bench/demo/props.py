"""Paints the things that people hold, sit on, lie on and stand behind."""

from piq_bench.demo.canvas import Canvas, Cloth, Paint
from piq_bench.demo.draw import Ellipse, Place, Point, Polygon, Rectangle, Shape, Stroke, curve, mix
from piq_bench.demo.people import Colour, shaded
from piq_bench.demo.pose import Skeleton
from piq_bench.demo.random import Draws

WOODS: tuple[Colour, ...] = ((0.52, 0.34, 0.19), (0.36, 0.22, 0.13), (0.68, 0.52, 0.34), (0.30, 0.31, 0.34))
FABRICS: tuple[Colour, ...] = (
    (0.60, 0.22, 0.24),
    (0.22, 0.34, 0.52),
    (0.34, 0.46, 0.34),
    (0.72, 0.64, 0.52),
    (0.50, 0.42, 0.56),
)
WHITE: Colour = (0.95, 0.95, 0.93)
LEAF: Colour = (0.20, 0.46, 0.22)


def paint_held(canvas: Canvas, kind: str, bones: Skeleton, colour: Colour, hand: Point | None = None) -> None:
    """What is in the hands: between both, or in the one hand given."""
    unit = bones.unit
    if hand is None:
        (ax, ay), (bx, by) = bones.hands
        x, y = 0.5 * (ax + bx), 0.5 * (ay + by)
        torso = Place((x, y), bones.torso.along, bones.torso.down)
        if kind == "box":
            canvas.fill(rectangle(torso, -19, -20, 19, 12), Paint((0.72, 0.55, 0.35), bulge=4 * unit, outline=0.45))
            canvas.fill(rectangle(torso, -4, -20, 4, 12), Paint((0.88, 0.78, 0.58), outline=0.1))
        elif kind == "ball":
            ball = Ellipse(torso.at(0, -5), 18 * unit, 18 * unit)
            canvas.fill(ball, Paint(colour, bulge=17 * unit, relief=0.7, outline=0.4))
            canvas.line([torso.at(-16, -8), torso.at(0, 2), torso.at(16, -8)], 2.4 * unit, WHITE)
        elif kind == "book":
            canvas.fill(rectangle(torso, -21, -20, 21, 8), Paint(colour, bulge=2 * unit, outline=0.45))
            canvas.fill(rectangle(torso, -19, -18, -1, 6), Paint(WHITE, outline=0.2))
            canvas.fill(rectangle(torso, 1, -18, 19, 6), Paint(WHITE, outline=0.2))
            for row in (-13, -8, -3, 2):
                canvas.line([torso.at(-16, row), torso.at(-5, row)], 1.0 * unit, (0.45, 0.45, 0.5))
                canvas.line([torso.at(5, row), torso.at(16, row)], 1.0 * unit, (0.45, 0.45, 0.5))
        else:
            handle = curve(torso.at(-9, -14), torso.at(0, -34), torso.at(9, -14))
            canvas.fill(Stroke(handle, [1.6 * unit] * len(handle)), Paint(shaded(colour, 0.6)))
            canvas.fill(rectangle(torso, -19, -16, 19, 16), Paint(colour, bulge=5 * unit, outline=0.45))
            canvas.fill(rectangle(torso, -19, -5, 19, -1), Paint(shaded(colour, 0.6)))
        return
    at = Place(hand, (unit, 0.0), (0.0, unit))
    if kind == "cup":
        ring = curve(at.at(5, -5), at.at(13, -2), at.at(5, 4))
        canvas.fill(Stroke(ring, [1.5 * unit] * len(ring)), Paint(WHITE, outline=0.3))
        canvas.fill(rectangle(at, -6, -10, 6, 6), Paint(WHITE, bulge=4 * unit, outline=0.4))
        canvas.fill(rectangle(at, -6, -4, 6, 0), Paint(colour))
    elif kind == "flowers":
        for x, y in ((-7, -17), (0, -23), (7, -17), (-3, -13), (4, -12)):
            canvas.line([at.at(0, 4), at.at(x, y)], 1.6 * unit, LEAF)
            canvas.fill(Ellipse(at.at(x, y), 4.6 * unit, 4.6 * unit), Paint(colour, bulge=3 * unit, outline=0.35))
            canvas.fill(Ellipse(at.at(x, y), 1.7 * unit, 1.7 * unit), Paint((0.96, 0.85, 0.30)))
    elif kind == "phone":
        canvas.fill(rectangle(at, -4.5, -13, 4.5, 5), Paint((0.10, 0.10, 0.12), bulge=2 * unit, outline=0.3))
        canvas.fill(rectangle(at, -3.2, -11, 3.2, 2), Paint((0.55, 0.75, 0.92)))
    else:
        string = [at.at(0, 2), at.at(4, -22), at.at(1, -40)]
        canvas.line(string, 1.1 * unit, (0.25, 0.25, 0.25))
        canvas.fill(
            Ellipse(at.at(1, -54), 12 * unit, 15 * unit), Paint(colour, bulge=12 * unit, relief=0.8, outline=0.3)
        )


def paint_seat(
    canvas: Canvas, draws: Draws, bones: Skeleton, ground: Place, front: bool, side: int, hip: float
) -> None:
    """A chair, stool or armchair under the pelvis; painted before the person."""
    kind = draws.weighted({"chair": 3, "stool": 1, "armchair": 2})
    colour = draws.pick(FABRICS if kind == "armchair" else WOODS)
    _, level = ground_of(ground, bones.torso.origin)
    top = level + 0.35 * hip
    half = hip + (9.0 if kind == "armchair" else 4.0)
    paint = Paint(colour, bulge=3.0 * bones.unit, outline=0.4)
    dark = Paint(shaded(colour, 0.7), bulge=2.0 * bones.unit, outline=0.4)
    shift = 0.0 if front else side * 6.0
    if kind == "armchair":
        canvas.fill(rounded(ground, -half + shift, level - 62.0, half + shift, top + 6.0, 7.0), dark)
        canvas.fill(rounded(ground, -half - 4 + shift, top - 3.0, half + 4 + shift, -6.0, 3.0), paint)
        if front:
            for edge in (-1, 1):
                x = edge * (half + 5.0)
                canvas.fill(rounded(ground, x - 5.0, level - 16.0, x + 5.0, -4.0, 3.0), paint)
        return
    for x in (-half + 3.0, half - 3.0):
        canvas.fill(Stroke([ground.at(x + shift, top), ground.at(x * 1.08 + shift, 0.0)], [2.2 * bones.unit] * 2), dark)
    if kind == "chair":
        if front:
            for x in (-half + 2.0, half - 2.0):
                canvas.fill(Stroke([ground.at(x, top), ground.at(x, level - 58.0)], [2.4 * bones.unit] * 2), dark)
            canvas.fill(rounded(ground, -half, level - 60.0, half, level - 34.0, 2.0), paint)
        else:
            x = -side * half + shift
            back = [ground.at(x, top), ground.at(x - side * 7.0, level - 60.0)]
            canvas.fill(Stroke(back, [3.0 * bones.unit] * 2), paint)
    canvas.fill(rounded(ground, -half + shift, top, half + shift, top + 5.0, 1.5), paint)


def paint_bed(canvas: Canvas, draws: Draws, body: Place, length: float, outdoors: bool) -> None:
    """A bed or sofa, or a towel on the ground, seen from above; `body` has its y axis along the lying person."""
    colour = draws.pick(FABRICS)
    unit = body.scale
    if outdoors:
        stripes = Cloth("stripes", mix(colour, WHITE, 0.7), 16.0, body)
        canvas.fill(rectangle(body, -40, -length - 14, 40, 20), Paint(colour, outline=0.2, cloth=stripes))
        return
    canvas.fill(rectangle(body, -56, -length - 34, 56, 30), Paint(draws.pick(WOODS), bulge=4 * unit, outline=0.4))
    sheet = mix(colour, WHITE, 0.72)
    cloth = Cloth("checks", mix(colour, WHITE, 0.4), 18.0, body) if draws.chance(0.4) else None
    canvas.fill(rounded(body, -50, -length - 26, 50, 24, 3.0), Paint(sheet, bulge=8 * unit, outline=0.2, cloth=cloth))
    pillow = rounded(body, -34, -length - 18, 34, -length + 34, 8.0)
    canvas.fill(pillow, Paint(WHITE, bulge=12 * unit, relief=0.5, outline=0.3))
    canvas.line(
        [body.at(-26, -length - 8), body.at(-8, -length), body.at(-16, -length + 12)], 1.2 * unit, (0.7, 0.7, 0.72)
    )


def paint_blanket(canvas: Canvas, colour: Colour, body: Place, top: float) -> None:
    """A blanket over the legs of a lying person, from `top` on down."""
    cloth = Cloth("checks", shaded(colour, 0.75), 20.0, body)
    canvas.fill(rounded(body, -46, top, 46, 26, 3.0), Paint(colour, bulge=9 * body.scale, outline=0.3, cloth=cloth))
    canvas.fill(rounded(body, -46, top - 7, 46, top, 2.0), Paint(mix(colour, WHITE, 0.6), outline=0.3))


def paint_occluder(canvas: Canvas, draws: Draws, kind: str, view: Place) -> None:
    """Something between the camera and the person; `view` is the camera's frame, 128 by 256."""
    unit = view.scale
    wood = draws.pick(WOODS)
    if kind == "table":
        top = draws.between(176.0, 206.0)
        canvas.fill(rectangle(view, -20, top, 148, top + 9), Paint(mix(wood, WHITE, 0.15), bulge=4 * unit, outline=0.4))
        canvas.fill(rectangle(view, -20, top + 9, 148, 280), Paint(shaded(wood, 0.8), outline=0.2))
        x = draws.between(12.0, 110.0)
        canvas.fill(
            rectangle(view, x - 5, top - 17, x + 5, top), Paint(draws.pick(FABRICS), bulge=4 * unit, outline=0.3)
        )
    elif kind == "rail":
        for i in range(6):
            x = -8 + 28 * i + draws.between(-1.0, 1.0)
            canvas.fill(
                Stroke([view.at(x, 128), view.at(x, 270)], [2.6 * unit] * 2), Paint(wood, bulge=3 * unit, outline=0.3)
            )
        rail = [view.at(-10, 128), view.at(138, 128)]
        canvas.fill(Stroke(rail, [3.6 * unit] * 2), Paint(shaded(wood, 1.15), bulge=3 * unit, outline=0.3))
    elif kind == "post":
        x = draws.pick((16.0, 26.0, 102.0, 114.0)) + draws.between(-3.0, 3.0)
        half = draws.between(7.0, 13.0)
        canvas.fill(
            rectangle(view, x - half, -20, x + half, 280),
            Paint(mix(wood, (0.5, 0.5, 0.5), 0.4), bulge=8 * unit, outline=0.2),
        )
    elif kind == "leaves":
        side = draws.sign()
        root = 64.0 + side * 70.0
        for _ in range(9):
            tip = (64.0 + side * draws.between(18.0, 66.0), draws.between(130.0, 250.0))
            leaf = curve(view.at(root, 262.0), view.at(root - side * 12.0, tip[1] - 20.0), view.at(*tip))
            width = [1.0, 2.0, 4.0, 6.0, 7.0, 6.0, 4.0, 0.8]
            canvas.fill(
                Stroke(leaf, [w * unit for w in width]),
                Paint(shaded(LEAF, draws.between(0.6, 1.2)), bulge=5 * unit, outline=0.35),
            )
    else:  # the back of somebody's head and shoulder, near the camera
        side = draws.sign()
        x, y = 64.0 + side * draws.between(50.0, 62.0), draws.between(176.0, 204.0)
        canvas.fill(
            Ellipse(view.at(x + side * 6, y + 92), 54 * unit, 62 * unit),
            Paint(shaded(draws.pick(FABRICS), 0.6), bulge=20 * unit),
        )
        canvas.fill(
            Ellipse(view.at(x, y + 8), 25 * unit, 31 * unit), Paint(shaded(wood, 0.35), bulge=14 * unit, relief=0.4)
        )


def rectangle(at: Place, left: float, top: float, right: float, bottom: float) -> Shape:
    """A rectangle in a frame's coordinates."""
    return rounded(at, left, top, right, bottom, 0.0)


def rounded(at: Place, left: float, top: float, right: float, bottom: float, corner: float) -> Shape:
    """A rectangle with round corners in a frame's coordinates."""
    low, high = (left + corner, top + corner), (right - corner, bottom - corner)
    if at.upright:
        return Rectangle((*at.at(*low), *at.at(*high)), corner * at.scale)
    return Polygon(at.points([low, (high[0], low[1]), high, (low[0], high[1])]), corner * at.scale)


def ground_of(ground: Place, point: Point) -> Point:
    """Coordinates of a pixel in an upright frame."""
    return ((point[0] - ground.origin[0]) / ground.along[0], (point[1] - ground.origin[1]) / ground.down[1])

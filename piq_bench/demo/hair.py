"""Paints hair and headgear in the head's coordinates (crown at -1, chin at 1), behind the body and over the face.

Hair leaves an ellipse of the face free, the window. Styles differ in the window, in what hangs down behind, and in what
sticks out.
"""

from collections.abc import Sequence

from piq_bench.demo.canvas import Canvas, Paint
from piq_bench.demo.draw import Cut, Ellipse, Place, Point, Polygon, Shape, Stroke, Union, curve, mix
from piq_bench.demo.face import axis_of
from piq_bench.demo.people import Colour, Looks, shaded

ROUND_CURLS = ((-0.80, 0.00), (-0.88, -0.38), (-0.70, -0.76), (-0.36, -1.00), (0.00, -1.08), (0.36, -1.00),
               (0.70, -0.76), (0.88, -0.38), (0.80, 0.00))  # fmt: skip
LONG_CURLS = (*ROUND_CURLS, (-0.90, 0.35), (-0.92, 0.70), (-0.80, 1.02), (0.90, 0.35), (0.92, 0.70), (0.80, 1.02))
SPIKES = ((-0.84, -0.30), (-1.00, -0.72), (-0.70, -0.70), (-0.72, -1.16), (-0.38, -0.90), (-0.22, -1.34),
          (0.02, -0.95), (0.30, -1.32), (0.42, -0.90), (0.78, -1.12), (0.72, -0.68), (1.00, -0.66), (0.84, -0.30),
          (0.50, -0.58), (0.20, -0.44), (-0.10, -0.60), (-0.46, -0.46))  # fmt: skip


def paint_hair_behind(canvas: Canvas, looks: Looks, at: Place, sway: float) -> None:
    """What hangs down behind neck and shoulders; `sway` moves it sideways, in half heads."""
    style, wide, unit = looks.hair_style, looks.face_width, at.scale
    colour = shaded(looks.hair, 0.72)
    paint = Paint(colour, bulge=0.35 * unit, outline=0.25)
    if style in ("long", "fringe"):
        canvas.fill(Union((oval(at, 0.0, -0.1, 0.95 * wide, 0.95), drape(at, 1.0 * wide, 1.62, sway))), paint)
    elif style == "wavy":
        canvas.fill(Union((oval(at, 0.0, -0.1, 1.0 * wide, 0.98), drape(at, 1.05 * wide, 1.30, sway))), paint)
        knots = [oval(at, wide * x + sway * 0.5, y, 0.28, 0.30) for x in (-0.95, 0.95) for y in (0.2, 0.65, 1.1, 1.45)]
        canvas.fill(Union(knots), paint)
    elif style == "bob":
        canvas.fill(Union((oval(at, 0.0, -0.1, 0.98 * wide, 0.98), drape(at, 1.0 * wide, 0.78, 0.0))), paint)
    elif style == "curly":
        canvas.fill(curls(at, wide, LONG_CURLS, 0.33), paint)
    elif style == "afro":
        canvas.fill(oval(at, 0.0, -0.36, 1.22 * wide, 1.08), paint)
    elif style == "ponytail":
        tail = curve(at.at(0.5, -0.85), at.at(1.35 + sway, -0.75), at.at(1.12 + sway, 0.75))
        canvas.fill(Stroke(tail, taper(len(tail), 0.20 * unit, 0.27 * unit, 0.08 * unit)), paint)
    elif style == "pigtails":
        for side in (-1, 1):
            tail = curve(at.at(side * 0.8, -0.05), at.at(side * 1.35 + sway, 0.15), at.at(side * 1.12 + sway, 1.15))
            canvas.fill(Stroke(tail, taper(len(tail), 0.15 * unit, 0.25 * unit, 0.07 * unit)), paint)
            canvas.fill(oval(at, side * 0.86, -0.02, 0.13, 0.13), Paint((0.85, 0.2, 0.35), bulge=0.1 * unit))
    elif style == "bun":
        canvas.fill(oval(at, 0.0, -1.12, 0.40, 0.34), Paint(looks.hair, bulge=0.25 * unit, outline=0.3))


def paint_hair(canvas: Canvas, looks: Looks, at: Place) -> None:
    """What lies over the forehead and the temples."""
    style, wide, unit = looks.hair_style, looks.face_width, at.scale
    paint = Paint(looks.hair, bulge=0.45 * unit, relief=0.5, outline=0.22)
    scalp = oval(at, 0.0, -0.14, 0.87 * wide, 0.96)
    if style == "bald":
        shine = oval(at, -0.28, -0.72, 0.20, 0.12)
        canvas.fill(shine, Paint((1.0, 1.0, 1.0), alpha=0.28))
    elif style == "receding":
        for side in (-1, 1):
            canvas.fill(
                Cut(oval(at, side * 0.72 * wide, -0.18, 0.24, 0.48), without=oval(at, 0, 0, 0.68 * wide, 1)), paint
            )
        wisp = Cut(oval(at, 0.0, -0.72, 0.62 * wide, 0.34), without=oval(at, 0.0, -0.50, 0.70 * wide, 0.34))
        canvas.fill(wisp, Paint(looks.hair, alpha=0.75))
    elif style == "buzz":
        canvas.fill(
            Cut(oval(at, 0.0, -0.16, 0.82 * wide, 0.88), without=window(at, wide, -0.52, 0.64)),
            Paint(looks.hair, alpha=0.8),
        )
    elif style == "spiky":
        canvas.fill(Polygon(at.points([(x * wide, y) for x, y in SPIKES]), 0.03 * unit), paint)
    elif style == "afro":
        canvas.fill(Cut(oval(at, 0.0, -0.30, 1.05 * wide, 0.92), without=window(at, wide, -0.48, 0.70)), paint)
    elif style in ("curly", "perm"):
        canvas.fill(curls(at, wide, ROUND_CURLS, 0.30), paint)
        canvas.fill(Cut(scalp, without=window(at, wide, -0.50, 0.68)), paint)
        canvas.fill(curls(at, wide, ((-0.45, -0.68), (0.0, -0.74), (0.45, -0.68)), 0.22), paint)
    elif style == "parted":
        canvas.fill(Cut(scalp, without=window(at, wide, -0.46, 0.72)), paint)
        sweep = curve(at.at(-0.42 * wide, -0.98), at.at(0.55 * wide, -1.12), at.at(0.80 * wide, -0.30))
        canvas.fill(Stroke(sweep, taper(len(sweep), 0.10 * unit, 0.22 * unit, 0.06 * unit)), paint)
        canvas.line(at.points([(-0.44 * wide, -0.98), (-0.36 * wide, -0.56)]), 0.05 * unit, shaded(looks.hair, 0.5))
    elif style in ("bowl", "fringe"):
        straight = Polygon(
            at.points([(-0.66 * wide, -0.28), (0.66 * wide, -0.28), (0.62 * wide, 1.2), (-0.62 * wide, 1.2)])
        )
        canvas.fill(
            Cut(Union((scalp, drape(at, 0.85 * wide, 0.15 if style == "bowl" else 0.9, 0.0))), without=straight), paint
        )
        strands(canvas, at, [(x * wide, -0.85, x * 1.1 * wide, -0.32) for x in (-0.4, -0.15, 0.1, 0.35)], looks.hair)
    elif style == "mop":
        canvas.fill(Cut(oval(at, 0.0, -0.20, 0.97 * wide, 1.0), without=window(at, wide, -0.38, 0.70)), paint)
        tufts = [
            (-0.62, -0.36, -0.50, -0.08),
            (-0.30, -0.48, -0.14, -0.16),
            (0.10, -0.50, 0.22, -0.20),
            (0.48, -0.42, 0.60, -0.10),
        ]
        for x, y, to_x, to_y in tufts:
            tuft = at.points([(x * wide, y - 0.2), (to_x * wide, to_y)])
            canvas.fill(Stroke(tuft, [0.20 * unit, 0.05 * unit]), paint)
    else:
        middle_parted = style in ("long", "wavy", "bob")
        canvas.fill(Cut(scalp, without=window(at, wide, -0.58 if middle_parted else -0.50, 0.70)), paint)
        if middle_parted:
            low = {"long": 0.95, "wavy": 0.75, "bob": 0.55}[style]
            for side in (-1, 1):
                lock = curve(
                    at.at(0.06 * side, -0.98), at.at(side * 0.86 * wide, -0.72), at.at(side * 0.86 * wide, low)
                )
                canvas.fill(Stroke(lock, taper(len(lock), 0.10 * unit, 0.17 * unit, 0.12 * unit)), paint)
        strands(canvas, at, [(x * 0.3 * wide, -1.0, x * wide, -0.55) for x in (-0.6, -0.3, 0.3, 0.6)], looks.hair)


def paint_hat(canvas: Canvas, kind: str, colour: Colour, looks: Looks, at: Place) -> None:
    """A cap, a woollen hat or a brimmed hat, over the hair."""
    wide, unit = looks.face_width, at.scale
    crown = Cut(
        oval(at, 0.0, -0.24, 0.96 * wide, 0.98), without=Polygon(at.points([(-2, -0.45), (2, -0.45), (2, 2), (-2, 2)]))
    )
    paint = Paint(colour, bulge=0.4 * unit, outline=0.3)
    if kind == "hat":
        top = Polygon(
            at.points([(-0.68 * wide, -0.6), (-0.56 * wide, -1.30), (0.56 * wide, -1.30), (0.68 * wide, -0.6)]),
            0.08 * unit,
        )
        canvas.fill(top, paint)
        band = [(-0.70 * wide, -0.72), (0.70 * wide, -0.72), (0.72 * wide, -0.56), (-0.72 * wide, -0.56)]
        canvas.fill(Polygon(at.points(band)), Paint(shaded(colour, 0.5)))
        canvas.fill(oval(at, 0.0, -0.52, 1.30 * wide, 0.16), paint)
        return
    canvas.fill(crown, paint)
    if kind == "cap":
        canvas.fill(
            oval(at, 0.22 * wide, -0.46, 0.95 * wide, 0.17), Paint(shaded(colour, 0.75), bulge=0.1 * unit, outline=0.3)
        )
        canvas.fill(oval(at, 0.0, -0.80, 0.18, 0.15), Paint((0.95, 0.95, 0.92), alpha=0.9))
    else:
        brim = [(-0.90 * wide, -0.62), (0.90 * wide, -0.62), (0.92 * wide, -0.38), (-0.92 * wide, -0.38)]
        canvas.fill(Polygon(at.points(brim), 0.05 * unit), Paint(shaded(colour, 0.8), bulge=0.12 * unit, outline=0.3))
        canvas.fill(
            oval(at, 0.0, -1.26, 0.17, 0.17), Paint(mix(colour, (1.0, 1.0, 1.0), 0.5), bulge=0.15 * unit, outline=0.2)
        )


def window(at: Place, wide: float, top: float, half: float) -> Ellipse:
    """The part of the face that hair leaves free: its highest point and its half width."""
    return oval(at, 0.0, 0.5 * (top + 1.7), half * wide, 0.5 * (1.7 - top))


def oval(at: Place, x: float, y: float, rx: float, ry: float) -> Ellipse:
    """An ellipse in the head's coordinates."""
    return Ellipse(at.at(x, y), rx * at.scale, ry * at.scale, axis_of(at))


def drape(at: Place, half: float, low: float, sway: float) -> Polygon:
    """Hair that hangs straight down on both sides as far as `low`."""
    corners = [(-half * 0.86, -0.3), (half * 0.86, -0.3), (half * 0.92 + sway, low), (-half * 0.92 + sway, low)]
    return Polygon(at.points(corners), 0.08 * at.scale)


def curls(at: Place, wide: float, places: Sequence[Point], size: float) -> Union:
    """Round curls at the given places."""
    parts: list[Shape] = [oval(at, x * wide, y, size, size) for x, y in places]
    return Union(parts)


def taper(n: int, first: float, middle: float, last: float) -> list[float]:
    """Radii of a stroke of `n` points that swells and thins out."""
    radii = []
    for i in range(n):
        t = 2.0 * i / (n - 1)
        radii.append(first + (middle - first) * t if t <= 1.0 else middle + (last - middle) * (t - 1.0))
    return radii


def strands(canvas: Canvas, at: Place, lines: list[tuple[float, float, float, float]], hair: Colour) -> None:
    """A few darker hairs that show how the hair falls."""
    for x, y, to_x, to_y in lines:
        canvas.line(at.points([(x, y), (to_x, to_y)]), 0.045 * at.scale, shaded(hair, 0.68), alpha=0.7)

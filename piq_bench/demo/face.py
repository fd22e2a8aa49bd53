"""Paints a person's face with an expression, from the front or slightly turned.

Coordinates are those of the head: the origin in its middle, 1 is half its height, so that the crown is at -1 and the
chin at 1. An expression is a set of pulls on brows, lids, nose and mouth, after the action units that Ekman and
Friesen give for the seven emotions, drawn larger than life because a face is 50 pixels high.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from piq_bench.demo.canvas import Canvas, Paint
from piq_bench.demo.draw import Cut, Ellipse, Place, Point, Polygon, Stroke, Union, curve, mix
from piq_bench.demo.people import Colour, Looks, shaded

BLACK: Colour = (0.06, 0.05, 0.06)
WHITE: Colour = (0.97, 0.97, 0.95)
MOUTH: Colour = (0.30, 0.06, 0.08)
TONGUE: Colour = (0.80, 0.36, 0.36)
BLUSH: Colour = (0.90, 0.35, 0.35)

EYE_Y = 0.06
EYE_X = 0.36
NOSE_Y = 0.36
MOUTH_Y = 0.62


@dataclass(frozen=True, slots=True)
class Pulls:
    """What an expression changes in a calm face; 0 is calm, lengths in half heads, brows and corners positive upwards.

    Attributes:
        brow: both brows raised. brow_inner, brow_outer: their ends. brow_skew: the one above, the other below.
        lid: upper lids opened. squint: lower lids raised. gaze: eyes turned down.
        corner: mouth corners raised. skew: one corner alone. wide: mouth widened.
        open: mouth opened. round: mouth drawn to an O. lip: upper lip raised. teeth: teeth shown.
        nose: nose wrinkled. cheek: cheeks raised, folds beside the nose.
        red, pale, green, tear: the skin's share of these.
    """

    brow: float = 0.0
    brow_inner: float = 0.0
    brow_outer: float = 0.0
    brow_skew: float = 0.0
    lid: float = 0.0
    squint: float = 0.0
    gaze: float = 0.0
    corner: float = 0.0
    skew: float = 0.0
    wide: float = 0.0
    open: float = 0.0
    round: float = 0.0
    lip: float = 0.0
    teeth: float = 0.0
    nose: float = 0.0
    cheek: float = 0.0
    red: float = 0.0
    pale: float = 0.0
    green: float = 0.0
    tear: float = 0.0


PULLS = {
    "happiness": Pulls(brow=0.05, squint=0.55, corner=0.22, wide=0.24, open=0.17, teeth=1.0, cheek=0.8, red=0.15),
    "sadness": Pulls(
        brow_inner=0.24, brow_outer=-0.14, lid=-0.35, gaze=0.5, corner=-0.20, wide=-0.12, lip=-0.02, tear=1.0, pale=0.1
    ),
    "anger": Pulls(
        brow=-0.07, brow_inner=-0.24, brow_outer=0.12, lid=-0.12, squint=0.2, corner=-0.10, wide=0.06, open=0.15,
        teeth=1.0, nose=0.5, red=0.5,
    ),
    "fear": Pulls(
        brow=0.15, brow_inner=0.16, brow_outer=-0.10, lid=0.42, corner=-0.13, wide=0.14, open=0.20, teeth=0.7, pale=0.5
    ),
    "surprise": Pulls(brow=0.26, lid=0.5, wide=-0.4, open=0.24, round=1.0),
    "disgust": Pulls(
        brow=-0.06, brow_inner=-0.13, lid=-0.25, squint=0.65, corner=-0.15, skew=0.08, open=0.09, lip=0.17, teeth=0.5,
        nose=1.0, cheek=0.7, green=0.35,
    ),
    "contempt": Pulls(brow=-0.02, brow_skew=0.16, lid=-0.45, corner=-0.03, skew=0.22, wide=0.0, cheek=0.3),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FaceState:
    """How a face is held in one frame.

    Attributes:
        pulls: the expression.
        turn: the head's turn to the image's right, -1 to 1.
        blink: whether the eyes are shut.
        side: -1 or 1, the side of a lopsided expression.
        lipstick, shadow: strength of the make-up; lip_colour, shadow_colour: its colours.
    """

    pulls: Pulls
    turn: float
    blink: bool
    side: int
    lipstick: float
    lip_colour: Colour
    shadow: float
    shadow_colour: Colour


def pulls_of(expression: Iterable[str], strength: float) -> Pulls:
    """The pulls of one or several emotions at once; for each feature the strongest pull wins."""
    parts = [PULLS[emotion] for emotion in expression]
    if not parts:
        return Pulls()
    values: dict[str, float] = {}
    for pull in fields(Pulls):
        each = [getattr(part, pull.name) for part in parts]
        values[pull.name] = strength * max(each, key=abs)
    if values["corner"] > 0.0:
        values |= {"round": 0.0, "wide": max(values["wide"], 0.1)}  # a smile is no O
    return Pulls(**values)


def skull(looks: Looks, at: Place) -> Union:
    """The outline of the face, as a shape."""
    wide, unit = looks.face_width, at.scale
    axis = (at.along[0] / unit, at.along[1] / unit)
    return Union(
        (
            Ellipse(at.at(0.0, -0.18), 0.78 * wide * unit, 0.82 * unit, axis),
            Ellipse(at.at(0.0, 0.18), (0.70 + 0.06 * looks.jaw) * wide * unit, 0.62 * unit, axis),
            Ellipse(at.at(0.0, 0.52), (0.44 + 0.16 * looks.jaw) * wide * unit, 0.46 * unit, axis),
        ),
        blend=0.25 * unit,
    )


def paint_face(canvas: Canvas, looks: Looks, at: Place, state: FaceState) -> None:
    """Paints ears, skin, eyes, brows, nose, mouth, beard and glasses; hair is painted separately."""
    pulls, unit = state.pulls, at.scale
    skin = mix(mix(looks.skin, (0.86, 0.30, 0.26), 0.35 * pulls.red), (0.93, 0.91, 0.89), 0.4 * pulls.pale)
    skin = mix(skin, (0.55, 0.68, 0.38), 0.45 * pulls.green)
    shade = mix(shaded(skin, 0.62), (0.45, 0.20, 0.16), 0.3)
    wide, face = looks.face_width, skull(looks, at)
    axis = (at.along[0] / unit, at.along[1] / unit)
    for side in (-1, 1):
        if side * state.turn < 0.75:
            ear = Ellipse(at.at(side * 0.76 * wide, 0.12), 0.14 * looks.ears * unit, 0.22 * looks.ears * unit, axis)
            canvas.fill(ear, Paint(shaded(skin, 0.93), bulge=0.15 * unit, outline=0.3))
    canvas.fill(face, Paint(skin, bulge=0.75 * unit, relief=0.30, outline=0.30))
    shift = 0.22 * state.turn
    middle = at.inside(shift, 0.0)
    paint_cheeks(canvas, looks, middle, state, skin, shade)
    if looks.beard:
        paint_beard(canvas, looks, middle, at, face, state)
    paint_nose(canvas, looks, middle, state, skin, shade)
    paint_mouth(canvas, looks, middle, state, skin, shade)
    for side in (-1, 1):
        narrow = 1.0 - 0.25 * max(0.0, side * state.turn)
        eye = middle.inside(side * EYE_X * looks.eye_gap * narrow, EYE_Y)
        paint_eye(canvas, looks, eye, state, skin, side)
        paint_brow(canvas, looks, eye, state, side)
    if looks.wrinkles:
        paint_wrinkles(canvas, looks, middle, shade)
    if looks.glasses:
        paint_glasses(canvas, looks, middle)


def paint_cheeks(canvas: Canvas, looks: Looks, at: Place, state: FaceState, skin: Colour, shade: Colour) -> None:
    """Blush, freckles, a mole, the folds of a raised cheek, and a tear."""
    pulls, unit = state.pulls, at.scale
    rosy = 0.14 + 0.12 * state.lipstick + 0.3 * pulls.red
    for side in (-1, 1):
        canvas.fill(
            Ellipse(at.at(side * 0.45 * looks.face_width, 0.36), 0.18 * unit, 0.12 * unit),
            Paint(mix(skin, BLUSH, 0.6), alpha=min(0.7, rosy)),
        )
        if looks.freckles:
            for x, y in ((0.30, 0.28), (0.40, 0.36), (0.50, 0.27), (0.44, 0.22), (0.34, 0.40), (0.20, 0.30)):
                spot = Ellipse(at.at(side * x, y), 0.028 * unit, 0.028 * unit)
                canvas.fill(spot, Paint(shaded(skin, 0.68), alpha=0.8))
        if pulls.cheek > 0.0:
            fold = [at.at(side * 0.22, 0.36), at.at(side * 0.42, 0.46), at.at(side * 0.44, 0.66)]
            canvas.line(fold, 0.05 * unit, shade, alpha=min(0.75, pulls.cheek))
        if pulls.tear > 0.5 and side == state.side:
            drop = Ellipse(at.at(side * 0.42, 0.36), 0.055 * unit, 0.13 * unit)
            canvas.fill(drop, Paint((0.75, 0.90, 1.0), bulge=0.05 * unit, relief=0.8, outline=0.3, alpha=0.9))
    if looks.mole is not None:
        x, y = looks.mole
        canvas.fill(Ellipse(at.at(x, y), 0.045 * unit, 0.045 * unit), Paint(shaded(skin, 0.4)))


def paint_nose(canvas: Canvas, looks: Looks, at: Place, state: FaceState, skin: Colour, shade: Colour) -> None:
    """A shaded ridge, the wings, and wrinkles across its root."""
    unit, pulls = at.scale, state.pulls
    tip = NOSE_Y + 0.10 * (looks.nose_length - 1.0) - 0.05 * pulls.nose
    wing = 0.125 * looks.nose_width
    lean = 0.10 * state.turn
    ridge = curve(at.at(-0.05, EYE_Y + 0.02), at.at(lean - 0.16, tip - 0.12), at.at(lean - wing, tip))
    canvas.line(ridge[2:], 0.05 * unit, shade, alpha=0.45)
    ball = Ellipse(at.at(lean, tip - 0.03), 1.05 * wing * unit, 0.10 * unit)
    canvas.fill(ball, Paint(mix(skin, BLUSH, 0.14), bulge=0.10 * unit, relief=0.5))
    under = [at.at(lean - wing, tip + 0.01), at.at(lean, tip + 0.09), at.at(lean + wing, tip + 0.01)]
    canvas.line(under, 0.065 * unit, shade, alpha=0.9)
    if pulls.nose > 0.3:
        for y in (-0.06, 0.03, 0.12):
            fold = [at.at(lean - 0.12, y - 0.03), at.at(lean, y + 0.05), at.at(lean + 0.12, y - 0.03)]
            canvas.line(fold, 0.05 * unit, shade, alpha=min(0.9, 0.8 * pulls.nose))


def paint_mouth(canvas: Canvas, looks: Looks, at: Place, state: FaceState, skin: Colour, shade: Colour) -> None:
    """Lips closed in a line or open on teeth and tongue."""
    pulls, unit = state.pulls, at.scale
    half = 0.29 * looks.mouth_width * (1.0 + pulls.wide)
    calm = 0.02 if pulls.corner == 0.0 else 0.0
    lifted = [calm + pulls.corner + max(0.0, state.side * side * pulls.skew) for side in (-1, 1)]
    left, right = (-half, MOUTH_Y - lifted[0]), (half, MOUTH_Y - lifted[1])
    upper = MOUTH_Y - pulls.lip * 1.6 + 0.35 * pulls.corner
    lower = MOUTH_Y + 0.02 + 1.9 * pulls.open + 0.9 * max(0.0, pulls.corner)
    natural = mix(skin, (0.72, 0.28, 0.27), 0.55)
    lips = mix(natural, state.lip_colour, state.lipstick)
    thick = 0.066 * looks.lips * unit * (1.0 + 0.35 * state.lipstick)
    top = curve(at.at(*left), at.at(0.0, upper), at.at(*right))
    bottom = curve(at.at(*left), at.at(0.0, lower), at.at(*right))
    if pulls.round > 0.5 and pulls.corner <= 0.0:
        middle = at.at(0.0, MOUTH_Y + 0.2 * pulls.open)
        hole = Ellipse(middle, 0.62 * half * unit + 0.05 * unit, 0.85 * pulls.open * unit)
        canvas.fill(Ellipse(middle, hole.rx + thick, hole.ry + thick), Paint(lips, bulge=thick, outline=0.2))
        canvas.fill(hole, Paint(MOUTH))
        canvas.fill(
            Cut(Ellipse(at.at(0.0, MOUTH_Y + 0.95 * pulls.open), 0.5 * half * unit, 0.1 * unit), within=hole),
            Paint(TONGUE),
        )
        return
    if pulls.open > 0.05:
        gap = Polygon([*top, *reversed(bottom)])
        rim = Stroke([*top, *reversed(bottom)], [thick * 0.75] * (2 * len(top)))
        canvas.fill(rim, Paint(lips, outline=0.15))
        canvas.fill(gap, Paint(MOUTH))
        if pulls.teeth > 0.2:
            band = [(x, y + 0.16 * unit * pulls.teeth) for x, y in top]
            canvas.fill(Cut(Polygon([*top, *reversed(band)]), within=gap), Paint(WHITE, alpha=0.95))
            if pulls.corner < 0.0:
                row = [(x, y - 0.10 * unit * pulls.teeth) for x, y in bottom]
                canvas.fill(Cut(Polygon([*bottom, *reversed(row)]), within=gap), Paint(shaded(WHITE, 0.93)))
        return
    bow = [(x, y - 0.5 * thick) for x, y in top]
    canvas.fill(Stroke(bow, [0.2 * thick, *[0.7 * thick] * (len(top) - 2), 0.2 * thick]), Paint(lips))
    low = curve(at.at(0.75 * left[0], left[1]), at.at(0.0, lower + 0.10), at.at(0.75 * right[0], right[1]))
    canvas.fill(Stroke(low, [0.3 * thick, *[0.8 * thick] * (len(low) - 2), 0.3 * thick]), Paint(shaded(lips, 1.05)))
    line = curve(at.at(*left), at.at(0.0, 0.5 * (upper + lower)), at.at(*right))
    canvas.line(line, 0.065 * unit, mix(shade, BLACK, 0.35))


def paint_eye(canvas: Canvas, looks: Looks, at: Place, state: FaceState, skin: Colour, side: int) -> None:
    """White, iris and lids of one eye; the lids follow the expression."""
    pulls, unit = state.pulls, at.scale
    half = 0.205 * looks.eye_size
    high = 0.150 * looks.eye_size * (1.0 + pulls.lid)
    low = 0.115 * looks.eye_size * (1.0 - pulls.squint + 0.5 * max(0.0, pulls.lid))
    slant = 0.03
    inner, outer = (-side * half, slant), (side * half, 0.0)
    if state.blink:
        shut = [at.at(*inner), at.at(0.0, 0.10), at.at(*outer)]
        canvas.line(shut, 0.07 * unit, mix(shaded(skin, 0.4), BLACK, 0.5))
        return
    top = curve(at.at(*inner), at.at(0.0, -1.9 * high), at.at(*outer))
    bottom = curve(at.at(*inner), at.at(0.0, 1.9 * low + 0.02), at.at(*outer))
    if state.shadow > 0.05:
        lid = curve(at.at(*inner), at.at(0.0, -1.9 * high - 0.26), at.at(*outer))
        canvas.fill(Polygon([*top, *reversed(lid)]), Paint(state.shadow_colour, alpha=0.65 * state.shadow))
    opening = Polygon([*top, *reversed(bottom)])
    canvas.fill(opening, Paint(WHITE))
    glance = 0.06 * state.turn
    pupil_at = at.at(glance, 0.07 * pulls.gaze - 0.01)
    size = (0.118 - 0.022 * max(0.0, pulls.lid)) * unit
    canvas.fill(Cut(Ellipse(pupil_at, size, size), within=opening), Paint(looks.eye))
    canvas.fill(Cut(Ellipse(pupil_at, 0.55 * size, 0.55 * size), within=opening), Paint(BLACK))
    gleam = (pupil_at[0] - 0.35 * size, pupil_at[1] - 0.4 * size)
    canvas.fill(Cut(Ellipse(gleam, 0.3 * size, 0.3 * size), within=opening), Paint(WHITE, alpha=0.9))
    lash = 0.055 + 0.025 * state.shadow
    canvas.fill(Stroke(top, [lash * unit * 0.5] * len(top)), Paint(mix(shaded(skin, 0.3), BLACK, 0.6)))
    canvas.fill(Stroke(bottom, [0.018 * unit] * len(bottom)), Paint(shaded(skin, 0.5), alpha=0.8))
    if state.shadow > 0.05:
        canvas.line([at.at(*outer), at.at(side * (half + 0.09), -0.09)], 0.05 * unit, BLACK)
    if pulls.lid < -0.2:
        crease = [at.at(*inner), at.at(0.0, -0.34), at.at(*outer)]
        canvas.line(crease, 0.035 * unit, shaded(skin, 0.55), alpha=0.8)


def paint_brow(canvas: Canvas, looks: Looks, at: Place, state: FaceState, side: int) -> None:
    """One brow."""
    pulls, unit = state.pulls, at.scale
    raised = pulls.brow + side * state.side * pulls.brow_skew
    base = -0.30
    inner = at.at(-side * 0.20, base - 0.03 - raised - pulls.brow_inner)
    outer = at.at(side * 0.25, base + 0.05 - raised - pulls.brow_outer)
    peak = at.at(side * 0.05, base - 0.12 - raised * 1.15 - 0.4 * (pulls.brow_inner + pulls.brow_outer))
    arch = curve(inner, peak, outer)
    thick = 0.048 * looks.brow * unit
    radii = [thick * (1.1 - 0.75 * i / (len(arch) - 1)) for i in range(len(arch))]
    colour = mix(shaded(looks.hair, 0.7), BLACK, 0.25)
    canvas.fill(Stroke(arch, radii), Paint(colour))


def paint_wrinkles(canvas: Canvas, looks: Looks, at: Place, shade: Colour) -> None:
    """Lines on the forehead, beside the eyes and the mouth, and bags under the eyes."""
    unit, alpha = at.scale, 0.55 * looks.wrinkles
    for y in (-0.66, -0.54):
        canvas.line([at.at(-0.34, y + 0.02), at.at(0.0, y - 0.05), at.at(0.34, y + 0.02)], 0.035 * unit, shade, alpha)
    for side in (-1, 1):
        x = side * EYE_X * looks.eye_gap
        bag = [at.at(x - 0.17, 0.25), at.at(x, 0.37), at.at(x + 0.17, 0.25)]
        canvas.line(bag, 0.04 * unit, shade, alpha)
        fold = [at.at(side * 0.20, 0.38), at.at(side * 0.34, 0.46), at.at(side * 0.38, 0.72)]
        canvas.line(fold, 0.045 * unit, shade, alpha * 1.2)
        for y in (-0.02, 0.06, 0.14):
            canvas.line([at.at(x + side * 0.24, 0.05 + 0.3 * y), at.at(x + side * 0.34, y)], 0.03 * unit, shade, alpha)


def paint_beard(canvas: Canvas, looks: Looks, at: Place, head: Place, face: Union, state: FaceState) -> None:
    """Stubble, a moustache, a goatee or a full beard, in the colour of the hair."""
    unit, drop = at.scale, 0.10 * state.pulls.open
    colour = mix(shaded(looks.hair, 0.85), BLACK, 0.12)
    lip = [at.at(-0.30, 0.58), at.at(0.0, 0.40), at.at(0.30, 0.58)]
    if looks.beard in ("stubble", "full"):
        cheeks = Ellipse(head.at(0.0, -0.02), 0.60 * looks.face_width * unit, 0.60 * unit, axis_of(head))
        alpha = 0.35 if looks.beard == "stubble" else 1.0
        low = Ellipse(head.at(0.0, 0.62 + drop), 0.66 * looks.face_width * unit, 0.56 * unit, axis_of(head))
        within = Union((face, low)) if looks.beard == "full" else face
        area = Cut(Cut(low, within=within), without=cheeks)
        canvas.fill(area, Paint(colour, bulge=0.25 * unit, alpha=alpha, outline=0.1))
    if looks.beard == "goatee":
        chin = Ellipse(at.at(0.0, 0.90 + drop), 0.26 * unit, 0.22 * unit, axis_of(head))
        canvas.fill(chin, Paint(colour, bulge=0.2 * unit))
    if looks.beard in ("moustache", "goatee", "full"):
        path = curve(*lip)
        radii = [0.05 * unit, *[0.085 * unit] * (len(path) - 2), 0.05 * unit]
        canvas.fill(Stroke(path, radii), Paint(colour, outline=0.15))


def paint_glasses(canvas: Canvas, looks: Looks, at: Place) -> None:
    """Frames round or square."""
    unit = at.scale
    colour = BLACK if looks.glasses == "square" else (0.45, 0.25, 0.12)
    for side in (-1, 1):
        x = side * EYE_X * looks.eye_gap
        if looks.glasses == "round":
            ring: list[Point] = [at.at(x + 0.27 * a, EYE_Y + 0.02 + 0.27 * b) for a, b in OCTAGON]
        else:
            ring = [at.at(x + a, EYE_Y + b) for a, b in SQUARE]
        closed = [*ring, ring[0]]
        canvas.fill(Polygon(ring), Paint((0.85, 0.93, 1.0), alpha=0.16))
        canvas.fill(Stroke(closed, [0.030 * unit] * len(closed)), Paint(colour))
        arm = [at.at(side * (EYE_X * looks.eye_gap + 0.27), EYE_Y), at.at(side * 0.76 * looks.face_width, EYE_Y - 0.03)]
        canvas.line(arm, 0.05 * unit, colour)
    canvas.line([at.at(-0.10, EYE_Y), at.at(0.0, EYE_Y - 0.07), at.at(0.10, EYE_Y)], 0.06 * unit, colour)


def axis_of(at: Place) -> Point:
    """Direction of a frame's first axis, of length 1."""
    return (at.along[0] / at.scale, at.along[1] / at.scale)


OCTAGON = [(1.0, 0.0), (0.81, 0.59), (0.31, 0.95), (-0.31, 0.95), (-0.81, 0.59), (-1.0, 0.0), (-0.81, -0.59),
           (-0.31, -0.95), (0.31, -0.95), (0.81, -0.59)]  # fmt: skip
SQUARE = [(-0.27, -0.17), (0.27, -0.17), (0.25, 0.21), (-0.25, 0.21)]
